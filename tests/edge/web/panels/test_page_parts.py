"""The parts below the picture in a real browser, as wide as on a desktop and on a phone; and the full screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sinks.spool.store import Store
from tests.edge.sinks.spool.spools import opened
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import until

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844, "mobile": True}


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def window(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def feeding() -> Iterator[Served]:
    with serving() as served:
        served.keep_feeding()
        yield served


@pytest.fixture
def store(tmp_path: Path, feeding: Served) -> Iterator[Store]:
    store = opened(tmp_path / "spool")
    feeding.controls.shelves = [store.shelf("spool:frames")]
    yield store
    store.close()


@pytest.fixture
def page(browser: Any, feeding: Served, window: dict[str, Any]) -> Iterator[Any]:
    opened = browser.open(feeding.sink.address, **window)
    opened.wait("Number(document.body.dataset.frames) > 2")
    yield opened
    browser.open("about:blank?", until="true")


def click(page: Any, chosen: str) -> None:
    page.evaluate(f"document.querySelector('{chosen}').scrollIntoView({{ block: 'center' }})")
    left, top = page.evaluate(
        f"(() => {{ const b = document.querySelector('{chosen}').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    page.click(left, top)


def test_the_picture_fills_the_screen_and_comes_back(page: Any, window: dict[str, Any]) -> None:
    width = page.evaluate("document.getElementById('picture').getBoundingClientRect().width")
    click(page, "#fill")
    page.wait("document.getElementById('view').classList.contains('full')")
    page.wait("document.getElementById('fill').textContent === 'Leave full screen'")
    if window.get("mobile"):  # a tall phone: the width is what is filled
        page.wait("document.getElementById('picture').getBoundingClientRect().width === innerWidth")
    else:
        page.wait("document.getElementById('picture').getBoundingClientRect().height > 0.9 * innerHeight")
    place = "document.getElementById('picture').getBoundingClientRect()"
    assert page.evaluate(f"{place}.width / {place}.height") == pytest.approx(4 / 3, rel=0.02)
    assert page.evaluate(f"{place}.left >= 0 && {place}.bottom <= innerHeight")
    assert page.evaluate("document.getElementById('split').getBoundingClientRect().bottom <= innerHeight")
    click(page, "#fill")
    page.wait(f"{place}.width === {width}")
    assert page.evaluate("document.fullscreenElement") is None
    assert page.problems == []


def test_without_the_browsers_help_the_window_is_filled_and_escape_ends_it(page: Any) -> None:
    page.evaluate("Element.prototype.requestFullscreen = undefined")
    click(page, "#fill")
    page.wait("document.getElementById('view').classList.contains('full')")
    page.press("Escape")
    page.wait("!document.getElementById('view').classList.contains('full')")
    assert page.problems == []


def test_stored_frames_are_listed_and_kept(page: Any, store: Store, window: dict[str, Any], tmp_path: Path) -> None:
    assert page.evaluate("document.getElementById('stored').hidden"), "the page was opened before there was a spool"
    entries = [store.add({"_untouched.jpg": bytes(1500 * count)}).name for count in range(1, 61)]
    store.add({"noisy.png": b"noisy", "denoised.png": b"clean"})
    page.evaluate("location.reload()")
    page.wait("document.getElementById('stored') && !document.getElementById('stored').hidden")
    click(page, "#stored summary")
    page.wait("document.querySelectorAll('#shelves li').length === 51")
    words = "document.querySelectorAll('#shelves li')[{}].textContent"
    assert " · denoised.png" in page.evaluate(words.format(0))
    assert page.evaluate(words.format(2)).endswith("jpg, not denoised90 kB")
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    click(page, "#shelves button")
    page.wait("document.querySelectorAll('#shelves li').length === 62")
    assert page.evaluate("document.querySelector('#shelves button').hidden")
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(page, "#shelves li:nth-child(3) a")
    until(lambda: [path.suffix for path in folder.iterdir()] == [".jpg"])
    (kept,) = folder.iterdir()
    assert (kept.name, kept.read_bytes()) == (f"quietcam_{entries[-1]}", bytes(90_000))
    assert page.problems == []


def test_a_list_that_fails_can_be_asked_for_again(page: Any, store: Store, tmp_path: Path) -> None:
    store.add({".jpg": b"x"})
    page.evaluate("location.reload()")
    page.wait("document.getElementById('stored') && !document.getElementById('stored').hidden")
    store.folder.rename(tmp_path / "away")
    click(page, "#stored summary")
    page.wait("document.querySelector('#shelves button')?.textContent.startsWith('try again (The disk')")
    (tmp_path / "away").rename(store.folder)
    click(page, "#shelves button")
    page.wait("document.querySelectorAll('#shelves li').length === 1")


def test_a_short_recording_is_made_and_kept(page: Any, window: dict[str, Any], tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra 'video'")
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    words = page.evaluate("document.getElementById('clip').textContent")
    click(page, "#clip")
    page.wait("document.getElementById('clip').disabled")
    until(lambda: [path.suffix for path in folder.iterdir()] == [".mp4"])
    page.wait(f"document.getElementById('clip').textContent === {words!r}")
    (kept,) = folder.iterdir()
    assert kept.name.endswith("_before_after.mp4")
    with av.open(str(kept)) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 48)
        assert stream.frames > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    assert page.evaluate("document.getElementById('clip-says').textContent") == ""
    assert page.problems == []


def test_a_recording_that_is_not_possible_says_why(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    click(page, "#clip")
    page.wait("document.getElementById('clip-says').textContent.includes(\"pip install 'quietcam[video]'\")")
    assert not page.evaluate("document.getElementById('clip').disabled")

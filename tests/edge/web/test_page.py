"""The page in a real browser, as wide as on a desktop and on a phone, with frames from the test."""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.models import describe, resolve_model
from edge.network.denoiser import Denoiser
from edge.network.treatment import Rung, Treatment
from quietcam.image import Image
from quietcam.sensor.scenes import make_pair
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import until

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844, "mobile": True}
TOKEN = "a token for the test"
MODEL = "demo_256x256_int8"


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Image, Image]]:
    """Noisy frames of a generated scene, and the shipped model's denoised ones."""
    scene = [make_pair(seed, 480, band=(21, 24))[0] for seed in (3008, 3008, 3008)]
    with Denoiser(resolve_model(MODEL)) as denoiser:
        return [(noisy, denoiser.denoise(noisy)) for noisy in scene]


class Running:
    """A page whose camera runs until the test sets it to lost."""

    def __init__(self, served: Served, pairs: list[tuple[Image, Image]]) -> None:
        self.served = served
        self.lost = threading.Event()
        self.treatment = Treatment(model=MODEL)
        self.ladder: dict[str, Any] = {"step": "full", "reason": None}
        self.history: dict[str, Any] = {"on": False, "forgotten": {}}
        self._over = threading.Event()
        self._pairs = pairs
        served.controls.describe = lambda: {  # type: ignore[method-assign]
            "source": "a generated scene", "model": describe(resolve_model(MODEL)),
        }  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        since = 0.0
        for count, pair in enumerate(itertools.cycle(self._pairs)):
            if self._over.wait(0.05):
                return
            if not self.lost.is_set():
                since = time.time()
                noisy, denoised = pair
                self.served.feed(noisy, denoised if self.treatment.share else noisy, self.treatment)
            if count % 10 == 0:
                camera = {"state": "live", "since": since, "reopened": 0, "reason": None}
                if self.lost.is_set():
                    camera |= {"state": "lost", "reason": "the camera was unplugged"}
                work = {"work": self.treatment.report(), "ladder": self.ladder, "history": self.history}
                if self.treatment.model is None:
                    work |= {"latency_ms": {"denoise": {"count": self.served.fed}}, "noise_sigma": None}
                self.served.report(**{"camera": camera, "noise_sigma": 18.2, "fps_now": 30.0} | work)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def window(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def running(pairs: list[tuple[Image, Image]]) -> Iterator[Running]:
    with serving() as served, Running(served, pairs) as page:
        yield page


@pytest.fixture
def page(browser: Any, running: Running, window: dict[str, Any]) -> Any:
    opened = browser.open(running.served.sink.address, **window)
    opened.wait("Number(document.body.dataset.frames) > 2")
    opened.wait("document.getElementById('fps').textContent === '30.0'")
    yield opened
    browser.open("about:blank?", until="true")  # if not, it keeps asking a server that has ended


def box(page: Any, name: str) -> dict[str, float]:
    found = page.evaluate(f"JSON.parse(JSON.stringify(document.getElementById('{name}').getBoundingClientRect()))")
    return dict(found)


def drawn(page: Any) -> Image:
    """The canvas as it is now, uint8 RGB."""
    script = """(() => {
        const canvas = document.getElementById('picture'), copy = document.createElement('canvas');
        copy.width = canvas.width; copy.height = canvas.height;
        const context = copy.getContext('2d', { willReadFrequently: true });
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.width, canvas.height, btoa(Array.from(data, (v) => String.fromCharCode(v)).join(''))];
    })()"""
    width, height, text = page.evaluate(script)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]


def roughness(image: Image) -> float:
    """Mean difference of neighboring pixels: high in a noisy picture."""
    return float(np.abs(np.diff(image[..., 1].astype(int), axis=1)).mean())


def test_it_is_alive_and_fits(page: Any, window: dict[str, Any]) -> None:
    page.wait("document.getElementById('badge').textContent === 'live'")
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    for name in ("picture", "split", "snapshot", "strength"):
        place = box(page, name)
        assert place["left"] >= 0
        assert place["right"] <= window["width"]
        assert place["height"] >= 14
    expected = {
        "network": "3.0 ms", "latency": "3.0 ms", "dropped": "0", "noise": "18.2", "temperature": "51 °C",
        "model-name": MODEL, "share": "100 %", "done": "denoised",
    }  # fmt: skip

    def shown() -> dict[str, str]:
        return {name: page.evaluate(f"document.getElementById('{name}').textContent") for name in expected}

    until(lambda: shown() == expected, shown)
    assert describe(resolve_model(MODEL))["licence"] in page.evaluate("document.getElementById('model').textContent")
    assert page.problems == []


def test_the_sliders_thumb_stands_under_the_divider(page: Any) -> None:
    """At any width of the window, since both have the same width."""
    picture, slider = box(page, "picture"), box(page, "split")
    assert abs(picture["left"] - slider["left"]) <= 1
    assert abs(picture["width"] - slider["width"]) <= 1


def test_the_stream_goes_on(page: Any) -> None:
    seen = page.evaluate("Number(document.body.dataset.frames)")
    page.wait(f"Number(document.body.dataset.frames) > {seen + 5}")
    assert page.problems == []


def test_the_slider_divides_noisy_from_denoised(page: Any) -> None:
    left, right = (roughness(part) for part in np.array_split(drawn(page), 2, axis=1))
    assert left > 2 * right
    place = box(page, "picture")
    middle = place["top"] + place["height"] / 2
    page.drag(place["left"] + place["width"] / 2, middle, place["left"] + place["width"] * 0.98, middle)
    page.wait("Number(document.getElementById('split').value) > 900")
    assert roughness(np.array_split(drawn(page), 2, axis=1)[1]) == pytest.approx(left, rel=0.3)
    page.evaluate("document.getElementById('split').focus()")
    for _ in range(3):
        page.press("ArrowLeft")
    assert page.evaluate("Number(document.getElementById('split').value)") < 990
    page.evaluate(
        "(() => { const s = document.getElementById('split'); s.value = 0; s.dispatchEvent(new Event('input')); })()"
    )
    assert roughness(np.array_split(drawn(page), 2, axis=1)[0]) < left / 2
    assert page.problems == []


def test_strength_is_set_and_shown(page: Any, running: Running) -> None:
    page.wait("!document.getElementById('strength').disabled")
    page.evaluate(
        "(() => { const s = document.getElementById('strength'); s.value = 40;"
        " for (const kind of ['input', 'change']) s.dispatchEvent(new Event(kind)); })()"
    )
    until(lambda: running.served.controls.strength == 0.4)
    # Set elsewhere, it moves here.
    running.served.controls.strength = 0.75
    page.wait("document.getElementById('strength').value === '75'")
    assert page.problems == []


def test_a_snapshot_is_downloaded(page: Any, pairs: list[tuple[Image, Image]], tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    place = box(page, "snapshot")
    page.evaluate("document.getElementById('snapshot').scrollIntoView()")
    place = box(page, "snapshot")
    page.click(place["left"] + 10, place["top"] + 10)
    until(lambda: [path.suffix for path in folder.iterdir()] == [".png"])
    (path,) = folder.iterdir()
    assert path.name.startswith("quietcam_")
    picture = cv2.imread(str(path))
    assert picture is not None
    both = [np.concatenate(pair, axis=1)[..., ::-1] for pair in pairs]
    assert any(np.array_equal(picture, each) for each in both)
    assert page.problems == []


def test_a_lost_camera_is_said_and_its_return_too(page: Any, running: Running) -> None:
    running.lost.set()
    # On a busy machine it first says that the stream has stopped, or that nobody answers.
    page.wait("document.getElementById('gone').textContent.endsWith(': the camera was unplugged')")
    assert not page.evaluate("document.getElementById('gone').hidden")
    said = page.evaluate("document.getElementById('gone').textContent")
    assert said.startswith("No live video since ")
    page.wait("document.getElementById('badge').textContent === 'no live video'")
    running.lost.clear()
    page.wait("document.getElementById('gone').hidden")
    page.wait("document.getElementById('badge').textContent === 'live'")
    assert page.problems == []


def test_a_right_side_that_is_not_denoised_says_so_at_the_divider(
    page: Any, running: Running, window: dict[str, Any]
) -> None:
    def says(name: str) -> str:
        return str(page.evaluate(f"document.getElementById('{name}').textContent"))

    running.treatment = Treatment(model=MODEL, gate=0.37)
    page.wait("document.getElementById('done').textContent === '37 % denoised'")
    page.wait("document.getElementById('share').textContent === '37 %'")
    assert says("badge") == "live"
    since = time.time() - 60
    running.ladder = {"step": "pass-through", "reason": "95 °C, of at most 80", "since": since}
    running.treatment = Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass unchanged")
    page.wait("document.getElementById('done').textContent === 'not denoised'")
    page.wait("document.getElementById('badge').textContent === 'live, not denoised'")
    assert says("network") == says("noise") == "–", "no old number"
    assert says("share") == "0 %"
    assert says("notice").startswith("degraded: pass-through (95 °C, of at most 80), since ")
    assert "running now" in says("model")
    amber = "rgb(232, 176, 75)"
    for name in ("done", "badge"):
        assert page.evaluate(f"getComputedStyle(document.getElementById('{name}')).backgroundColor") == amber
    running.ladder = {"step": "fewer pixels", "reason": "85 °C, of at most 80", "since": since}
    running.treatment = Treatment(Rung.HALF_SIZE, MODEL, "half")
    page.wait("document.getElementById('done').textContent === 'denoised at half the size'")
    page.wait("document.getElementById('badge').textContent === 'live, degraded'")
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    running.ladder, running.treatment = {"step": "full", "reason": None}, Treatment(model=MODEL)
    page.wait("document.getElementById('done').textContent === 'denoised'")
    page.wait("document.getElementById('badge').textContent === 'live'")
    assert page.problems == []


def test_how_many_frames_a_video_network_remembers_is_shown_and_of_a_still_network_nothing(
    page: Any, running: Running, window: dict[str, Any]
) -> None:
    assert box(page, "past")["height"] == 0
    running.history = {"on": True, "forgotten": {}}
    for count in (0, 1, 9_999_999):  # the last one after four days
        running.treatment = Treatment(model=MODEL, history=count)
        page.wait(f"document.getElementById('history').textContent === '{count}'")
    tile, share = box(page, "past"), box(page, "share")
    assert tile["height"] > share["height"]
    assert box(page, "history")["height"] == share["height"], "it stands in one line"
    assert tile["right"] <= window["width"]
    assert page.evaluate("document.getElementById('history').scrollWidth") <= tile["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    running.treatment = Treatment(model=MODEL, why="it is clean", gate=0.0)
    page.wait("document.getElementById('history').textContent === '–'")
    running.history = {"on": False, "forgotten": {}}
    page.wait("document.getElementById('past').getBoundingClientRect().height === 0")
    assert page.problems == []


def test_a_hidden_page_costs_the_device_nothing(running: Running, page: Any) -> None:
    page.evaluate(
        "(() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); })()"
    )
    until(lambda: running.served.viewers == 0)
    encoded = running.served.encoded
    fed = running.served.fed
    until(lambda: running.served.fed > fed + 10)
    assert running.served.encoded <= encoded + 1
    page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    until(lambda: running.served.viewers == 1)


def test_a_server_that_is_gone_is_said(browser: Any, pairs: list[tuple[Image, Image]]) -> None:
    with serving() as served:
        with Running(served, pairs) as running:
            running.ladder = {"step": "pass-through", "reason": "85 °C"}
            page = browser.open(served.sink.address, **DESK)
            page.wait("document.body && Number(document.body.dataset.frames) > 2")
            page.wait("document.getElementById('notice').textContent.includes('85 °C')")
        served.sink.close()
        page.wait("/^No live video since.*does not answer/.test(document.getElementById('gone').textContent)")
        assert page.evaluate("document.getElementById('fps').textContent") == "–", "an old number is none"
        assert page.evaluate("document.getElementById('notice').textContent") == "", "nor an old reason"
        browser.open("about:blank?", until="true")


def test_a_late_client_is_told_why(browser: Any, pairs: list[tuple[Image, Image]]) -> None:
    with serving(viewers=1) as served, Running(served, pairs):
        first = served.watch()
        page = browser.open(served.sink.address, **DESK)
        page.wait("document.getElementById('gone').textContent.startsWith('At most 1 can watch')")
        first.close()
        page.wait("document.getElementById('gone').hidden")
        browser.open("about:blank?", until="true")


def test_the_door_and_the_way_in(browser: Any, pairs: list[tuple[Image, Image]]) -> None:
    with serving(TOKEN) as served, Running(served, pairs):
        page = browser.open(served.sink.address, **PHONE)
        assert page.evaluate("document.querySelector('form').action").endswith("/login")
        page.evaluate(f"document.getElementById('token').value = '{TOKEN}'")
        page.evaluate("document.querySelector('button').click()")
        page.wait("document.body && Number(document.body.dataset.frames) > 1")
        assert TOKEN not in page.evaluate("document.cookie")
        page.send("Network.clearBrowserCookies")
        page = browser.open(f"{served.sink.address}?token={TOKEN.replace(' ', '%20')}", **PHONE)
        page.wait("document.body && Number(document.body.dataset.frames) > 1")
        assert page.evaluate("location.search") == ""
        assert page.problems == []
        page.send("Network.clearBrowserCookies")
        browser.open("about:blank?", until="true")

"""The report of clips: whole in one file, true to the frames, and it plays in a real browser where one is installed."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest

from compare.clips.comparison import compare_clips
from compare.clips.filters.tuned import open_filters
from compare.clips.sources import ClipSet
from compare.page.clip_report import render_clips
from compare.page.reels import COLUMNS, CROP, ReelTaker
from quietcam.app.cli import run
from quietcam.data.clips.make import write_clips
from quietcam.metrics import psnr
from tests.compare.clips.made import MadeClip

FRAMES = 12
BUTTON = "document.querySelector('.player .{}')"


@pytest.fixture(scope="module")
def clip():
    return MadeClip(FRAMES, width=160, height=128, sigma=20, name="square & <noise>")


@pytest.fixture(scope="module")
def made(clip, model_files):
    """The comparison of one model and one filter on one clip, its reels, and every picture."""
    taker, shown = ReelTaker(), {"noisy": [], "clean": []}

    def watch(which, number, shot, pictures):
        taker(which, number, shot, pictures)
        for name, picture in (*pictures.items(), ("clean", shot.clean)):
            shown.setdefault(name, []).append(picture)

    found = compare_clips([model_files["int8"]], ClipSet([clip], "made"), classic=open_filters(["blur"]), watcher=watch)
    return found, taker.reels, shown


@pytest.fixture(scope="module")
def page(made):
    return render_clips(made[0], made[1])


def test_each_sheet_decodes_to_the_frames_of_its_contender(made, clip) -> None:
    comparison, reels, shown = made
    reel = reels[clip.name]
    assert (reel.width, reel.height) == CROP
    names = [row.name for row in comparison.rows]
    for view, (x0, y0, x1, y1) in reel.boxes.items():
        assert list(reel.sheets[view]) == [*names, "clean"]
        for name, content in reel.sheets[view].items():
            sheet = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            for number, frame in enumerate(shown[name]):
                y, x = CROP[1] * (number // COLUMNS), CROP[0] * (number % COLUMNS)
                cell = np.ascontiguousarray(sheet[y : y + CROP[1], x : x + CROP[0]])
                assert psnr(cell, np.ascontiguousarray(frame[y0:y1, x0:x1])) > 38


def test_the_moving_box_holds_the_path_of_the_square_and_the_flat_one_less_of_it(made, clip) -> None:
    boxes = made[1][clip.name].boxes
    moved = sum(shot.moving for number, shot in enumerate(clip.shots()) if number)
    inside = {view: moved[y0:y1, x0:x1].sum() for view, (x0, y0, x1, y1) in boxes.items()}
    assert inside["moving"] == moved.sum()
    assert inside["flat"] < inside["moving"] / 2


def test_reels_end_when_the_page_is_full_but_the_first_clip_has_one() -> None:
    taker = ReelTaker(most_bytes=1)
    for name in ("first", "second"):
        clip = MadeClip(3, name=name)
        for number, shot in enumerate(clip.shots()):
            taker(clip, number, shot, {"noisy": shot.noisy})
    assert list(taker.reels) == ["first"]


def test_a_clip_without_a_reel_still_has_its_figures(made) -> None:
    page = render_clips(made[0], {})
    assert "so that the page does not become too large" in page
    assert "<canvas" not in page
    assert page.count("<polyline") == 3


def test_nothing_is_fetched_and_names_are_escaped(page) -> None:
    bare = re.sub(r"data:[^\"]*", "", page)
    assert "http" not in bare
    assert "url(" not in bare
    assert "square &amp; &lt;noise&gt;" in page
    assert "<noise>" not in page


def test_curves_have_a_point_for_each_frame_at_the_height_of_its_psnr(page, made, clip) -> None:
    lines = [
        np.array([[float(each) for each in point.split(",")] for point in points.split()])
        for points in re.findall(r'<polyline class="[^"]*" points="([^"]*)"', page)
    ]
    values = np.array([row.clips[clip.name].psnr_by_frame for row in made[0].rows])
    assert [len(line) for line in lines] == [FRAMES] * 3
    heights = np.array([line[:, 1] for line in lines])
    slope, _ = np.polyfit(values.ravel(), heights.ravel(), 1)
    assert slope < 0
    np.testing.assert_allclose(heights - slope * values, (heights - slope * values).mean(), atol=0.2)


def test_figures_and_the_strength_of_the_filter_stand_in_the_page(page, made, clip) -> None:
    for row in made[0].rows:
        assert f"{row.psnr:.2f}" in page
    assert made[0].row("blur").clips[clip.name].setting in page


@pytest.fixture
def shown(browser, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    opened = browser.open(path.as_uri(), width=1280, height=900)
    opened.evaluate("document.querySelector('.player').scrollIntoView()")
    opened.wait("document.querySelector('.player').dataset.ready === 'yes'")
    return opened


def _canvas(shown, name):
    found = shown.evaluate(f"document.querySelector('canvas[data-view=moving][data-name=\"{name}\"]').toDataURL()")
    content = np.frombuffer(base64.b64decode(found.split(",")[1]), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])


def _is_frame(shown, made, clip, number):
    """Whether all canvases show that frame: it is nearer to it than to any other."""
    x0, y0, x1, y1 = made[1][clip.name].boxes["moving"]
    for name in ("noisy", "tiny_64x64_int8", "clean"):
        frames = [np.ascontiguousarray(each[y0:y1, x0:x1]) for each in made[2][name]]
        near = [psnr(_canvas(shown, name), each) for each in frames]
        assert near[number] > 38
        assert near[number] == max(near)
    return True


def _press(shown, name):
    shown.evaluate(f"{BUTTON.format(name)}.focus()")
    shown.press("Enter")


def test_in_a_browser_all_contenders_step_together(shown, made, clip) -> None:
    assert _is_frame(shown, made, clip, 0)
    _press(shown, "on")
    assert _is_frame(shown, made, clip, 1)
    _press(shown, "back")
    _press(shown, "back")
    assert _is_frame(shown, made, clip, FRAMES - 1)
    shown.evaluate("document.querySelector('.player input').focus()")
    shown.press("ArrowLeft")
    assert _is_frame(shown, made, clip, FRAMES - 2)
    assert shown.evaluate("document.querySelector('.player output').value") == f"frame {FRAMES - 2} of {FRAMES}"
    assert shown.problems == []


def test_in_a_browser_a_clip_plays_until_it_is_paused(shown) -> None:
    _press(shown, "play")
    assert shown.evaluate(f"{BUTTON.format('play')}.textContent") == "Pause"
    shown.wait("Number(document.querySelector('.player').dataset.shown) > 2")
    _press(shown, "play")
    stopped = shown.evaluate("document.querySelector('.player').dataset.shown")
    assert (
        shown.evaluate(
            "new Promise(done => setTimeout(() => done(document.querySelector('.player').dataset.shown), 300))"
        )
        == stopped
    )
    assert shown.problems == []


@pytest.mark.parametrize(("width", "mobile"), [(1280, False), (390, True)])
def test_in_a_browser_nothing_is_asked_for_and_the_page_fits(browser, page, tmp_path, width, mobile) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    opened = browser.open(path.as_uri(), width=width, height=844, mobile=mobile)
    assert opened.requests == [path.as_uri()]
    assert opened.problems == []
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate("[...document.querySelectorAll('canvas')].every(each => each.getAttribute('aria-label'))")


def test_the_command_writes_the_page(model_files, tmp_path, capsys) -> None:
    write_clips(tmp_path / "clips", count=1, frames=3, size=64)
    path = tmp_path / "pages" / "report.html"
    command = ["compare", str(model_files["int8"]), "--clips", str(tmp_path / "clips"), "--classic", "blur"]
    assert run([*command, "--html", str(path)]) == 0
    assert "Gaussian blur, best at: sigma" in capsys.readouterr().out
    assert path.read_text().count("<canvas") == 2 * 4

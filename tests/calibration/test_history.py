"""Sets with history: made by the float network over the frames before each sample, and the same when made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.choose import calibrate
from calibration.clips import STRETCH
from calibration.history import with_history
from calibration.network import open_network
from quietcam.app.cli import run
from quietcam.data.clips.noisy import find_noisy_clips
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.representative.audit import audit, read_samples
from quietcam.representative.lint import lint
from quietcam.representative.set import load_set, patch_sha256

MODELS = Path(__file__).parents[1] / "edge" / "models"
VIDEO = MODELS / "video_64x64_float32.tflite"

pytest.importorskip("ai_edge_litert", reason="needs the extra 'edge'")


def by_hand() -> Callable[[Image, Image], Image]:
    """What the network remembers, by LiteRT alone and by the names of its tensors; frames of 64x64."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=str(VIDEO))
    interpreter.allocate_tensors()
    entrances = {each["name"]: each["index"] for each in interpreter.get_input_details()}
    exits = {each["name"]: each["index"] for each in interpreter.get_output_details()}

    def index(ends: dict[str, int], word: str) -> int:
        (found,) = [place for name, place in ends.items() if word in name]
        return found

    def remember(noisy: Image, history: Image) -> Image:
        interpreter.set_tensor(index(entrances, "noisy"), noisy[np.newaxis] / np.float32(255))
        interpreter.set_tensor(index(entrances, "history"), history[np.newaxis] / np.float32(255))
        interpreter.invoke()
        values = interpreter.get_tensor(index(exits, "history"))[0]
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)

    return remember


def write_clip(folder: Path, frames: int, size: tuple[int, int], seed: int = 0, clean: bool = False) -> list[Image]:
    """A still scene under noise with a square that moves, as noisy frames or as pairs."""
    rng = np.random.default_rng(seed)
    height, width = size
    scene = np.repeat(rng.integers(40, 200, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)[None], frames, 0)
    for number in range(frames):
        x = 2 * number % (width - 16)
        scene[number, 8:24, x : x + 16] = 250
    noisy = np.clip(scene + rng.normal(0, 9, scene.shape), 0, 255).astype(np.uint8)
    folder.mkdir(parents=True)
    (folder / "clip.json").write_text("{}")
    for number in range(frames):
        if clean:
            write_picture(folder / "clean" / f"{number:04d}.png", scene[number].astype(np.uint8))
        write_picture(folder / "noisy" / f"{number:04d}.png", noisy[number])
    return list(noisy)


def test_history_is_what_the_network_remembered_of_all_frames_before(tmp_path: Path) -> None:
    frames = write_clip(tmp_path / "clips" / "one", 6, (64, 64))
    found = calibrate(tmp_path / "clips", count=12, size=32, model=VIDEO).representative
    assert found.history is not None
    remember, history = by_hand(), [frames[0]]
    for frame in frames[:-1]:
        history.append(remember(frame, history[-1]))
    for index, source in enumerate(found.source):
        number = int(source.rpartition("/")[2])
        x0, y0, x1, y1 = found.box[index]
        np.testing.assert_array_equal(found.patches[index], frames[number][y0:y1, x0:x1])
        np.testing.assert_array_equal(found.history[index], history[number][y0:y1, x0:x1])
    assert {source.rpartition("/")[2] for source in found.source} >= {"0000", "0001", "0002", "0004"}
    assert found.origin["history"] == {
        "model": VIDEO.name,
        "sha256": open_network(VIDEO).sha256,
        "remembers": "history",
    }


def test_first_frames_are_their_own_history_and_a_third_at_most(tmp_path: Path) -> None:
    for number in range(3):
        write_clip(tmp_path / f"clip{number}", 20, (64, 64), number)
    found = calibrate(tmp_path, count=24, size=32, model=VIDEO)
    groups = found.coverage.groups
    assert 1 <= groups["past"]["none"].patches <= 8
    assert set(groups["past"]) == {"none", "1 to 3 frames", "4 to 11 frames", "12 frames and more"}
    assert sum(group.patches for group in groups["motion"].values()) == 24
    past = groups["past"]["none"].patches / 24
    assert found.coverage.history == pytest.approx(1 - past, abs=1e-3)
    assert not [each for each in found.coverage.findings if each.name.startswith("history")]


def test_the_report_and_the_page_show_past_and_motion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2", reason="needs the extra 'edge'")
    write_clip(tmp_path / "clips" / "one", 14, (64, 64))
    words = ["calibrate", "--data", str(tmp_path / "clips"), "--model", str(VIDEO), "--count", "12", "--size", "32"]
    assert run([*words, "--out", str(tmp_path / "rep.npz"), "--html", str(tmp_path / "page.html")]) == 0
    shown = capsys.readouterr()
    assert "with a past" in shown.out
    assert "1 to 3 frames " in shown.out
    assert "still " in shown.out
    assert f"quietcam convert {VIDEO} --representative" in shown.err
    page = (tmp_path / "page.html").read_text()
    assert "Frames before" in page
    assert "of the patches have a past" in page
    assert VIDEO.name in page
    assert page.count("<img ") == 24  # each patch and its history


def test_frames_larger_than_the_network_are_run_in_windows(tmp_path: Path) -> None:
    frames = write_clip(tmp_path / "large", 4, (80, 144))
    found = calibrate(tmp_path, count=24, size=32, model=VIDEO).representative
    assert found.history is not None
    remember = by_hand()
    seen = set()
    for index, source in enumerate(found.source):
        number = int(source.rpartition("/")[2])
        x0, y0, x1, y1 = found.box[index]
        x, y = min(x0 // 32 * 32, 144 - 64), min(y0 // 32 * 32, 80 - 64)
        seen.add((x, y))
        history = frames[0][y : y + 64, x : x + 64]
        for frame in frames[:number]:
            history = remember(frame[y : y + 64, x : x + 64], history)
        np.testing.assert_array_equal(found.history[index], history[y0 - y : y1 - y, x0 - x : x1 - x])
    assert len(seen) > 3


def test_frames_smaller_than_the_network_are_filled_up(tmp_path: Path) -> None:
    frames = write_clip(tmp_path / "small", 3, (48, 40))
    found = calibrate(tmp_path, count=8, size=32, model=VIDEO).representative
    assert found.history is not None
    filled = [np.pad(frame, ((0, 16), (0, 24), (0, 0)), mode="symmetric") for frame in frames]
    remembered = by_hand()(filled[0], filled[0])
    index = next(i for i, source in enumerate(found.source) if source.endswith("0001"))
    x0, y0, x1, y1 = found.box[index]
    np.testing.assert_array_equal(found.history[index], remembered[y0:y1, x0:x1])


def test_a_long_clip_is_forgotten_at_the_start_of_each_stretch(tmp_path: Path) -> None:
    write_clip(tmp_path / "long", STRETCH + 3, (64, 64))
    (clip,) = find_noisy_clips(tmp_path)
    first, later = read_picture(clip.frames[STRETCH].place), read_picture(clip.frames[STRETCH + 1].place)
    chosen = replace(
        calibrate(tmp_path, count=1, size=32).representative,
        patches=np.stack([first, later]),
        source=tuple(clip.frames[STRETCH + i].name for i in range(2)),
        instance=("", ""),
        box=np.array([[0, 0, 64, 64]] * 2, np.int32),
        sha256=(patch_sha256(first), patch_sha256(later)),
    )
    found = with_history(chosen, [clip], open_network(VIDEO))
    assert found.history is not None
    np.testing.assert_array_equal(found.history[0], first)
    np.testing.assert_array_equal(found.history[1], by_hand()(first, first))


@pytest.mark.parametrize("clean", [True, False])
def test_a_set_with_history_is_made_again_byte_for_byte_and_audited(tmp_path: Path, clean: bool) -> None:
    for number in range(2):
        write_clip(tmp_path / "clips" / f"c{number}", 5, (64, 64), number, clean=clean)
    data, out = str(tmp_path / "clips"), tmp_path / "rep.npz"
    words = ["calibrate", "--data", data, "--model", str(VIDEO)]
    assert run([*words, "--count", "9", "--size", "32", "--out", str(out), "--json", str(tmp_path / "rep.json")]) == 0
    report = json.loads((tmp_path / "rep.json").read_text())
    assert [each["history_sha256"] for each in report["samples"]] == list(load_set(out).history_sha256)
    for source in ("rep.npz", "rep.json"):
        again = tmp_path / f"again_{source}.npz"
        assert run([*words, "--rebuild", str(tmp_path / source), "--out", str(again)]) == 0
        assert again.read_bytes() == out.read_bytes()
    assert not audit(read_samples(out), tmp_path / "clips").wrong
    with pytest.raises(UsageError, match="Remedy: give that network with `model`"):
        calibrate(data, rebuild=out)


def test_another_network_does_not_make_a_set_again(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "one", 5, (64, 64))
    out, other = tmp_path / "rep.npz", tmp_path / "other.npz"
    found = calibrate(tmp_path / "clips", count=6, size=32, model=VIDEO, out=out).representative
    assert found.history is not None
    history = found.history.copy()
    history[2] ^= 1
    from quietcam.representative.set import save_set

    save_set(other, replace(found, history=history, history_sha256=tuple(patch_sha256(each) for each in history)))
    with pytest.raises(
        DataError, match=r"1 of 6 histories that differ from those that video_64x64_float32\.tflite made"
    ):
        calibrate(tmp_path / "clips", rebuild=other, model=VIDEO)


def test_stills_give_no_past_and_the_linter_says_what_that_costs(pictures: Path) -> None:
    found = calibrate(pictures, count=12, size=32, model=VIDEO)
    made = found.representative
    np.testing.assert_array_equal(made.history, made.patches)
    (finding,) = [each for each in found.coverage.findings if each.name == "history-none"]
    assert "3 dB lost" in str(finding)
    assert found.coverage.history == 0.0
    assert "history-missing" not in [each.name for each in lint(made, video=True)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 128}, r"`size=128`, and video_64x64_float32\.tflite of 64x64\. Remedy: `size=64`"),
        ({"size": 32, "gray": True}, "leave `gray` out"),
    ],
)
def test_patches_that_the_network_cannot_take_are_refused(pictures: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calibrate(pictures, count=4, model=VIDEO, **options)

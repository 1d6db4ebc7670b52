"""A video network on clips: with history and without, by loops by hand over the bare runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from compare.api import compare as compare_models
from compare.clips.clip import ComparedClip, Shot
from compare.clips.comparison import compare_clips
from compare.clips.models import ModelContender
from compare.clips.scores import ClipComparison
from compare.clips.sources import ClipSet
from compare.comparison import compare_pairs
from compare.contenders import open_contender
from quietcam.data.clips.clip import load_clips
from quietcam.data.clips.make import write_clips
from quietcam.data.sets.pairs import find_pairs
from quietcam.errors import DataError
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.compare.clips.fakes import FakeClip, clip_of, walking_square

INT8, FLOAT = "video_64x64_int8", "video_64x64_float32"


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    write_clips(folder, count=2, frames=6, size=64, seed=3)
    return folder


@pytest.fixture(scope="module")
def compared(models: Path) -> tuple[ClipComparison, dict[str, list[Image]]]:
    """Two clips through the int8 network, and every frame that it made of the first one."""
    clips: list[ComparedClip] = [clip_of(list(walking_square(9, 64)), name=name) for name in ("walk", "again")]
    seen: dict[str, list[Image]] = {}

    def watch(clip: ComparedClip, number: int, shot: Shot, pictures: Mapping[str, Image]) -> None:
        if clip.name == "walk":
            assert number == len(seen.get("noisy", []))
            assert np.array_equal(pictures["noisy"], shot.noisy)
            for name, picture in pictures.items():
                seen.setdefault(name, []).append(picture)

    return compare_clips([models / f"{INT8}.tflite"], ClipSet(clips, "walks"), watcher=watch), seen


def by_hand(path: Path, frames: list[Image], *, remembers: bool) -> list[Image]:
    """What an int8 video network gives, frame by frame, with nothing of quietcam in between."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    ends = {each["name"].split("_")[-1].split(":")[0]: each["index"] for each in interpreter.get_input_details()}
    outputs = {
        name: each["index"]
        for name, each in zip(("history", "denoised"), interpreter.get_output_details(), strict=True)
    }
    made, history = [], None
    for frame in frames:
        codes = (frame.astype(np.int16) - 128).astype(np.int8)[None]
        interpreter.set_tensor(ends["noisy"], codes)
        interpreter.set_tensor(ends["history"], codes if history is None or not remembers else history)
        interpreter.invoke()
        history = interpreter.get_tensor(outputs["history"])
        made.append((interpreter.get_tensor(outputs["denoised"])[0].astype(np.int16) + 128).astype(np.uint8))
    return made


def test_it_runs_with_history_and_without(
    models: Path, compared: tuple[ClipComparison, dict[str, list[Image]]]
) -> None:
    found, seen = compared
    noisy = seen["noisy"]
    assert [row.name for row in found.rows] == ["noisy", INT8, f"{INT8} without history"]
    for name, remembers in ((INT8, True), (f"{INT8} without history", False)):
        expected = by_hand(models / f"{INT8}.tflite", noisy, remembers=remembers)
        assert np.array_equal(np.stack(seen[name]), np.stack(expected)), name
    assert not np.array_equal(seen[INT8][-1], seen[f"{INT8} without history"][-1])


def test_the_scores_are_of_these_frames(compared: tuple[ClipComparison, dict[str, list[Image]]]) -> None:
    found, seen = compared
    clean = list(walking_square(9, 64))
    for row in found.rows:
        by_frame = [psnr(frame, picture) for frame, picture in zip(clean, seen[row.name], strict=True)]
        assert row.clips["walk"].psnr_by_frame == pytest.approx(by_frame, abs=1e-5)
        assert row.psnr == pytest.approx(np.mean(by_frame[3:]), abs=1e-5)


def test_no_clip_remembers_the_one_before(compared: tuple[ClipComparison, dict[str, list[Image]]]) -> None:
    row = compared[0].subject
    assert row.clips["walk"].psnr_by_frame == row.clips["again"].psnr_by_frame


def test_the_rows_know_each_other(compared: tuple[ClipComparison, dict[str, list[Image]]]) -> None:
    found, _ = compared
    video, alone = found.models
    assert (video.without_history, alone.partner) == (alone.name, video.name)
    assert video.history is not None
    assert video.history.psnr == pytest.approx(video.psnr - alone.psnr, abs=1e-5)
    assert video.history.first == 0.0  # the first frame has no past
    assert video.ghost is not None
    assert alone.history is alone.ghost is found.baseline is None
    assert video.time is not None
    assert alone.time is not None
    assert video.time.ratio == 1.0


def test_the_float_twin_is_the_limit_of_the_gate(models: Path, data_set: Path) -> None:
    paths = [models / f"{FLOAT}.tflite", models / f"{INT8}.tflite"]
    found = compare_models(paths, clips=data_set, twins={INT8: str(paths[0])}, max_drop=5.0)
    row = found.row(INT8)
    assert found.about == INT8
    assert row.drop == pytest.approx(found.row(FLOAT).psnr - row.psnr, abs=1e-5)
    (check,) = found.gate
    assert (check.model, check.reference, check.where, check.pictures, check.limit) == (INT8, FLOAT, "all", 8, 5.0)
    assert check.holds


def test_a_clip_that_breaks_is_left_out_and_named(models: Path, said: list[str]) -> None:
    whole, smaller = clip_of(list(walking_square(3, 64))), clip_of(list(walking_square(2, 48)))

    class Broken(FakeClip):
        def shots(self) -> Iterator[Shot]:
            yield from whole.shots()
            raise DataError("The frames of a clip must have one size.")

    broken = Broken([*whole.shots(), *smaller.shots()], "broken")
    clips: list[ComparedClip] = [broken, clip_of(list(walking_square(4, 64)), name="whole")]
    found = compare_clips([models / f"{INT8}.tflite"], ClipSet(clips, "walks"))
    assert [clip.name for clip in found.clips] == ["whole"]
    assert [problem.split(":")[0] for problem in found.problems] == ["broken"]
    assert any("broken" in line for line in said)


def test_on_pairs_it_runs_without_history_and_says_so(models: Path, data_set: Path) -> None:
    pairs = find_pairs(data_set).pairs[:3]
    paths = [models / f"{FLOAT}.tflite", models / f"{INT8}.tflite"]
    found = compare_pairs(paths, pairs, twins={paths[1]: paths[0]}).scores
    alone = ModelContender(open_contender(paths[1]), "alone", history=False)
    frames = [pair.read() for pair in pairs]
    by_itself = [psnr(clean, next(iter(alone.denoise(iter([noisy]))))) for noisy, clean in frames]
    assert found.row(INT8).psnr == pytest.approx(np.mean(by_itself), abs=1e-5)
    assert sum("ran without history" in note for note in found.notes) == 2
    alone.close()


def test_a_keras_file_remembers_pixels(video_run: Path, video_loaded, data_set) -> None:
    found = compare_models(video_run, clips=data_set)
    keras, alone = found.models
    for clip in load_clips(data_set):
        frames = clip.read()
        for row, remembers in ((keras, True), (alone, False)):
            history, by_hand = frames.noisy[:1], []
            for noisy, clean in zip(frames.noisy, frames.clean, strict=True):
                given = [each[None].astype(np.float32) / 255 for each in (noisy, history[0] if remembers else noisy)]
                made = [np.rint(255 * np.asarray(each)).astype(np.uint8) for each in video_loaded.model(given)]
                by_hand.append(psnr(clean, made[0][0]))
                history = made[1]
            assert row.clips[clip.name].psnr_by_frame == pytest.approx(by_hand, abs=0.03)  # its edges are mirrored
    assert keras.history is not None
    assert keras.history.flicker is not None
    assert keras.history.flicker < 0.7
    assert keras.time is None

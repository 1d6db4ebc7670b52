"""A denoiser's past: what it feeds back, compared with a loop by hand, and when it forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene
from tests.edge.network.test_history import ByHand, clip


@pytest.fixture
def video(models: Path) -> Path:
    return models / "video_64x64_int8.tflite"


def remembered(denoiser: Denoiser, noisy: Image, half: bool = False) -> int | None:
    return denoiser.treat(noisy, half=half).treatment.history


def by_hand(path: Path, frames: list[Image], forgets: set[int]) -> list[Image]:
    """The pictures of a loop that forgets before the frames with these numbers."""
    loop, denoised = ByHand(path), []
    for index, noisy in enumerate(frames):
        if index in forgets:
            loop.past = None
        denoised.append(loop(noisy))
    return denoised


def scenes(*lengths: int) -> list[Image]:
    """Clips of other scenes, one after the other, each frame with fresh noise."""
    rng = np.random.default_rng(0)
    shown = [generate_scene(64, 64, seed) for seed, length in enumerate(lengths) for _ in range(length)]
    return [np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).astype(np.uint8) for clean in shown]


def test_a_cut_is_found_on_its_frame_and_on_no_other(video: Path) -> None:
    frames = scenes(7, 8, 5)
    with Denoiser(video, 1, stream=True) as denoiser:
        treated = [denoiser.treat(noisy) for noisy in frames]
    assert [each.treatment.history for each in treated] == [*range(7), *range(8), *range(5)]
    for each, wanted in zip(treated, by_hand(video, frames, {7, 15}), strict=True):
        np.testing.assert_array_equal(each.image, wanted)
    assert denoiser.report()["history"]["forgotten"]["another scene"] == 2


def test_what_is_fed_back_does_not_depend_on_the_strength(video: Path) -> None:
    frames, loop = clip(8), ByHand(video)
    with Denoiser(video, 1, stream=True, strength=0.5) as denoiser:
        for noisy in frames:
            wanted = noisy + 0.5 * (loop(noisy) - noisy.astype(float))
            assert np.abs(denoiser.denoise(noisy) - wanted).max() <= 0.5


def test_pictures_and_frames_without_history_are_like_first_frames(video: Path) -> None:
    frames = clip(4)
    wanted = by_hand(video, frames, {0, 1, 2, 3})
    with Denoiser(video, 1) as pictures, Denoiser(video, 1, stream=True, history=False) as forgetful:
        for denoiser in (pictures, forgetful):
            for noisy, expected in zip(frames, wanted, strict=True):
                image, treatment = denoiser.treat(noisy)
                np.testing.assert_array_equal(image, expected)
                assert treatment.history == 0
            assert denoiser.report()["history"]["on"] is False


def test_a_still_network_says_nothing_of_history(small: Path) -> None:
    with Denoiser(small, 1, stream=True) as denoiser:
        assert [remembered(denoiser, noisy) for noisy in clip(2)] == [None, None]
        assert denoiser.report()["history"]["on"] is False


def test_dropped_frames_are_a_gap_by_their_time(video: Path) -> None:
    found = []
    with Denoiser(video, 1, stream=True) as denoiser:
        for number, noisy in zip((0, 1, 2, 14, 45, 46), clip(6), strict=True):  # of a camera with 30 frames a second
            denoiser.coming(number / 30)
            found.append(remembered(denoiser, noisy))
    assert found == [0, 1, 2, 3, 0, 1]


def test_half_the_size_and_the_full_one_do_not_share_a_past(video: Path) -> None:
    halves = (False, False, True, True, False)
    with Denoiser(video, 1, stream=True) as denoiser:
        found = [remembered(denoiser, noisy, half) for noisy, half in zip(clip(5), halves, strict=True)]
    assert found == [0, 1, 0, 1, 0]


def test_a_size_that_comes_back_does_not_find_its_old_past(video: Path) -> None:
    first, other, last = clip(1)[0], clip(1, height=48)[0], clip(2)[1]
    with Denoiser(video, 1, stream=True) as denoiser:
        for noisy in (first, other):
            denoiser.denoise(noisy)
        np.testing.assert_array_equal(denoiser.denoise(last), ByHand(video)(last))


def test_resume_forgets_and_so_does_the_denoiser_that_takes_over(video: Path) -> None:
    frames = clip(6)
    with Denoiser(video, 1, stream=True) as first, Denoiser(video, 1, stream=True) as second:
        assert [remembered(first, noisy) for noisy in frames[:2]] == [0, 1]
        first.resume()
        assert [remembered(first, noisy) for noisy in frames[2:4]] == [0, 1]
        second.resume(first)
        assert remembered(second, frames[4]) == 0
        first.resume(second)
        assert remembered(first, frames[5]) == 0
        assert first.report()["history"] == second.report()["history"]
        forgotten = first.report()["history"]["forgotten"]
    assert {why: count for why, count in forgotten.items() if count} == {
        "frames were left out": 1,
        "another model": 2,
    }


def test_another_model_forgets_whichever_of_the_two_remembers(video: Path, small: Path, models: Path) -> None:
    noisy = clip(12)
    found: list[list[int | None]] = []
    with Denoiser(small, 1, stream=True) as denoiser:
        for model in (video, models / "video_one_64x64_int8.tflite", small, video):
            denoiser.reload(model)
            found.append([remembered(denoiser, each) for each in noisy[:3]])
    assert found == [[0, 1, 2], [0, 1, 2], [None] * 3, [0, 1, 2]]


def test_while_the_strength_is_0_the_past_ages(video: Path) -> None:
    frames = clip(4)
    with Denoiser(video, 1, stream=True) as denoiser:
        denoiser.coming(0.0)
        assert remembered(denoiser, frames[0]) == 0
        denoiser.strength = 0.0
        denoiser.coming(0.5)
        assert remembered(denoiser, frames[1]) is None
        denoiser.strength = 1.0
        denoiser.coming(0.9)
        assert remembered(denoiser, frames[2]) == 1
        denoiser.coming(2.0)
        assert remembered(denoiser, frames[3]) == 0


def test_a_clean_picture_has_no_past_and_noise_under_the_gate_has_one(video: Path) -> None:
    noisy, clean = scenes(12), np.full((64, 64, 3), 90, np.uint8)
    with Denoiser(video, 1, stream=True, gate=True) as denoiser:
        denoiser.coming(0.0)
        image, treatment = denoiser.treat(clean)
        assert (treatment.model, treatment.history) == (None, None)
        np.testing.assert_array_equal(image, clean)
        denoiser.resume()
        found = []
        for t, frame in enumerate(noisy):
            denoiser.coming(t / 25)
            found.append(remembered(denoiser, frame))
        assert found == list(range(12))


def test_a_network_that_fails_leaves_no_past(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clip(4)
    with Denoiser(video, 1, stream=True) as denoiser:
        assert [remembered(denoiser, noisy) for noisy in frames[:2]] == [0, 1]

        def fail(*_: object) -> bool:
            raise ValueError("the network fails")

        with monkeypatch.context() as broken:
            broken.setattr(denoiser._network, "run", fail)
            with pytest.raises(ValueError, match="fails"):
                denoiser.treat(frames[2])
        assert remembered(denoiser, frames[3]) == 0
        assert denoiser.report()["history"]["forgotten"]["the network failed"] == 1


def test_the_noise_that_the_gate_estimates_is_not_estimated_again(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.network.past.scene.SceneTest._estimate", lambda *_: pytest.fail("estimated again"))
    with Denoiser(video, 1, stream=True, gate=True) as denoiser:
        assert [remembered(denoiser, noisy) for noisy in scenes(3)] == [0, 1, 2]

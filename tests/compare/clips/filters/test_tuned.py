from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from compare.classic import Setting
from compare.clips.filters.classic import CLIP_FILTERS, ClipFilter
from compare.clips.filters.tuned import Excerpts, TunedFilter, open_filters
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.compare.clips.made import MadeClip


def mixed(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
    """A blur in space, then recursive averaging in time, so that the two axes depend on each other."""
    import cv2

    assert threads >= 1
    state = None
    for frame in frames:
        blurred = cv2.GaussianBlur(frame, (0, 0), setting[0]).astype(np.float32)
        state = blurred if state is None else state + (blurred - state) / setting[1]
        yield np.rint(state).astype(np.uint8)


MIXED = ClipFilter(
    "mixed",
    "Mixed",
    {"sigma": (0.3, 0.6, 1.0, 1.5, 2.2), "frames": (1.0, 1.5, 2.0, 4.0, 8.0)},
    (0.6, 1.5),
    mixed,
    needs_ffmpeg=False,
    settle=4,
    judged=4,
)


@pytest.mark.parametrize("sigma", [2.0, 8.0, 30.0])
def test_the_search_finds_what_trying_every_setting_finds(sigma: float) -> None:
    clip = MadeClip(8, sigma=sigma)
    noisy, clean = clip.sides()

    def quality(setting: Setting) -> float:
        return float(np.mean([*map(psnr, clean[4:], [*mixed(iter(noisy), setting, 1)][4:])]))

    tuned = TunedFilter(MIXED)
    told = tuned.prepare(clip)
    best = max(map(quality, itertools.product(*MIXED.axes.values())))
    assert quality(tuned.setting) == pytest.approx(best, abs=1e-6)
    assert told.startswith(f"sigma {tuned.setting[0]:g}, frames {tuned.setting[1]:g}")
    np.testing.assert_array_equal(
        np.stack([*tuned.denoise(iter(noisy))]), np.stack([*mixed(iter(noisy), tuned.setting, 1)])
    )


def test_each_clip_has_its_own_strength() -> None:
    tuned = TunedFilter(CLIP_FILTERS["blur"])
    chosen = []
    for sigma in (2.0, 40.0):
        tuned.prepare(MadeClip(sigma=sigma))
        chosen.append(tuned.setting[0])
    assert chosen[0] < chosen[1]


def test_all_filters_share_one_reading_of_a_clip() -> None:
    excerpts = Excerpts()
    filters = [TunedFilter(CLIP_FILTERS[name], excerpts) for name in ("blur", "nlm")]
    for clip in (MadeClip(), MadeClip()):
        for each in filters:
            each.prepare(clip)
        assert clip.readings == 1


def test_an_excerpt_is_from_the_middle_in_time_and_space() -> None:
    clip = MadeClip(28, width=700, height=500)
    excerpt = Excerpts().of(clip)
    noisy, clean = clip.sides()
    np.testing.assert_array_equal(np.stack(excerpt.noisy), noisy[2:26, 10:490, 30:670])
    np.testing.assert_array_equal(np.stack(excerpt.clean), clean[2:26, 10:490, 30:670])


def test_a_clip_of_two_frames_is_enough() -> None:
    tuned = TunedFilter(MIXED)
    assert tuned.prepare(MadeClip(2))
    assert len([*tuned.denoise(iter(MadeClip(2).sides()[0]))]) == 2


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_filter_is_timed_by_the_frames_after_the_first(count: int) -> None:
    took = TunedFilter(MIXED).time([*MadeClip(8).sides()[0][:count]], 1)
    assert len(took) == (count > 1)
    assert all(seconds > 0 for seconds in took)


@pytest.mark.parametrize("name", ["hqdn3d", "atadenoise", "nlmeans"])
def test_without_ffmpeg_its_filters_are_refused_before_anything_runs(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="sudo apt-get install ffmpeg"):
        open_filters(["blur", name])
    assert [each.name for each in open_filters(["blur", "nlm_multi"])] == ["blur", "nlm_multi"]


def test_filters_are_opened_by_name_each_once(monkeypatch) -> None:
    monkeypatch.setattr("compare.clips.filters.tuned.find_ffmpeg", lambda: "ffmpeg")
    assert [each.name for each in open_filters(["nlm_multi", "blur", "nlm_multi"])] == ["nlm_multi", "blur"]
    assert {each.kind for each in open_filters([*CLIP_FILTERS])} == {"classic"}


def test_a_name_that_is_not_known_is_refused_with_all_that_are() -> None:
    with pytest.raises(
        UsageError, match=r"hqdn3d, atadenoise, nlmeans, nlm_multi, blur, median, bilateral, nlm\. Received: bm3d\."
    ):
        open_filters(["bm3d", "nlm"])

"""The linter of histories: silent on honest ones, and each mistake named, with margins, on generated clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quietcam.data.clips.make import make_clip
from quietcam.data.clips.sources import ClipSource
from quietcam.image import Image
from quietcam.representative.lint import lint
from quietcam.representative.lint_file import lint_file
from quietcam.representative.lint_history import lint_history
from quietcam.representative.rules import RULES
from quietcam.representative.set import RepresentativeSet, patch_sha256, save_set

SIDE, FRAMES = 64, 8
SETS, CLIPS_OF_A_SET = 50, 2
UINT8 = np.dtype(np.uint8)


def remembered(noisy: Image, share: float) -> Image:
    """What a simple network remembers before each frame: a running mean in the cells of 8x8 where nothing moves."""
    found = [noisy[0]]
    history = noisy[0]
    for frame in noisy[:-1]:
        difference = history.astype(np.float32) - frame
        cells = difference.reshape(SIDE // 8, 8, SIDE // 8, 8, 3).mean(axis=(1, 3))
        still = (np.abs(cells).max(axis=-1) < 8.0).repeat(8, 0).repeat(8, 1)[..., None]
        history = np.clip(np.rint(frame + share * still * difference), 0, 255).astype(np.uint8)
        found.append(history)
    return np.stack(found)


@pytest.fixture(scope="module")
def clips() -> list[tuple[Image, Image]]:
    """Noisy and clean frames ``(T, 64, 64, 3)`` of clips that move, cut and change their light, by many cameras."""
    source = ClipSource.open(None, FRAMES, SIDE)
    made = [make_clip(number, source)[0] for number in range(SETS + CLIPS_OF_A_SET)]
    return [(np.stack([each.noisy for each in clip]), np.stack([each.clean for each in clip])) for clip in made]


Triple = tuple[Image, Image, Image]


def set_at(clips: list[tuple[Image, Image]], number: int, share: float = 0.4) -> Triple:
    """Patches, history and clean sides of a few clips."""
    parts = clips[number : number + CLIPS_OF_A_SET]
    noisy, clean = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return noisy, np.concatenate([remembered(part[0], share) for part in parts]), clean


def names(patches: Image, history: NDArray[np.generic], origin: dict[str, object] | None = None) -> list[str]:
    return [found.name for found in lint_history(patches, history, UINT8, origin or {})]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_honest_sets_have_no_findings(clips: list[tuple[Image, Image]], share: float) -> None:
    alarms = {number: found for number in range(SETS) if (found := names(*set_at(clips, number, share)[:2]))}
    assert alarms == {}


def test_mistakes_are_named_in_nearly_every_set(clips: list[tuple[Image, Image]]) -> None:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("history-none", "history-random", "history-other", "history-clean"), 0)
    for number in range(0, SETS, 2):
        patches, history, clean = set_at(clips, number)
        for name, spoiled in {
            "history-none": patches,
            "history-random": rng.integers(0, 256, patches.shape, np.uint8),
            "history-other": np.roll(history, FRAMES + 3, axis=0),
            "history-clean": clean,
        }.items():
            counts[name] += names(patches, spoiled) == [name]
    assert counts["history-none"] == counts["history-random"] == SETS // 2
    assert counts["history-other"] >= 0.9 * SETS // 2
    assert counts["history-clean"] >= 0.6 * SETS // 2  # of two clips each, some of which hardly have noise


def test_a_network_that_remembers_what_it_shows_gives_clean_history(clips: list[tuple[Image, Image]]) -> None:
    patches, _, clean = set_at(clips, 3)
    assert names(patches, clean) == ["history-clean"]
    assert names(patches, clean, {"history": {"remembers": "history"}}) == ["history-clean"]
    assert names(patches, clean, {"history": {"remembers": "denoised"}}) == []


def test_a_third_of_first_frames_is_no_fault(clips: list[tuple[Image, Image]]) -> None:
    patches, history, _ = set_at(clips, 0)
    history[::3] = patches[::3]
    assert names(patches, history) == []


def test_black_history_is_worse_than_that_of_other_scenes(clips: list[tuple[Image, Image]]) -> None:
    patches, history, _ = set_at(clips, 0)
    (black,) = lint_history(patches, np.zeros_like(history), UINT8, {})
    (other,) = lint_history(patches, np.roll(history, FRAMES, axis=0), UINT8, {})
    assert (black.name, black.severity) == ("history-other", "warning")
    assert (other.name, other.severity) == ("history-other", "note")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda history: history[:-1],
        lambda history: history[:, :32],
        lambda history: history[..., :1],
        lambda history: history / np.float32(255),
        lambda history: history.astype(str),
    ],
)
def test_history_of_another_form_is_an_error(
    clips: list[tuple[Image, Image]], spoil: Callable[[Image], NDArray[np.generic]]
) -> None:
    patches, history, _ = set_at(clips, 0)
    (found,) = lint_history(patches, spoil(history), UINT8, {})
    assert (found.name, found.severity) == ("history-form", "error")
    assert str(patches.dtype) in str(found)


def test_floats_with_history_in_floats_are_judged_like_pixels(clips: list[tuple[Image, Image]]) -> None:
    patches, history, _ = set_at(clips, 0)
    floats, past = patches / np.float32(255), history / np.float32(255)
    assert [each.name for each in lint(floats, history=past)] == [each.name for each in lint(floats)]
    assert "history-none" in [each.name for each in lint(floats, history=floats)]


def test_a_video_network_needs_history(clips: list[tuple[Image, Image]], tmp_path: Path) -> None:
    patches, history, _ = set_at(clips, 0)
    still = RepresentativeSet(
        patches,
        ("frame",) * len(patches),
        ("",) * len(patches),
        np.zeros((len(patches), 4), np.int32),
        tuple(patch_sha256(each) for each in patches),
    )
    video = replace(still, history=history, history_sha256=tuple(patch_sha256(each) for each in history))
    for name, given, missing in (("still", still, True), ("video", video, False)):
        assert ("history-missing" in [each.name for each in lint(given, video=True)]) is missing
        assert "history-missing" not in [each.name for each in lint(given)]
        path = tmp_path / f"{name}.npz"
        save_set(path, given)
        assert ("history-missing" in [each.name for each in lint_file(path, video=True).findings]) is missing
    spoiled = replace(video, history=patches, history_sha256=still.sha256)
    save_set(tmp_path / "none.npz", spoiled)
    assert "history-none" in [each.name for each in lint_file(tmp_path / "none.npz").errors]
    assert "history-none" in [each.name for each in lint(tmp_path / "none.npz")]


def test_foreign_files_are_judged_with_the_history_in_them(clips: list[tuple[Image, Image]], tmp_path: Path) -> None:
    patches, history, _ = set_at(clips, 0)
    np.savez(tmp_path / "foreign.npz", patches=patches, history=history[:, :32], other=np.zeros(3))
    report = lint_file(tmp_path / "foreign.npz")
    assert "history-form" in [each.name for each in report.errors]
    assert report.array.others == ("other",)


def test_each_rule_of_history_says_what_to_do() -> None:
    assert [name for name in RULES if name.startswith("history-")] == [
        "history-missing",
        "history-none",
        "history-clean",
        "history-other",
        "history-random",
        "history-form",
    ]
    assert all("quietcam calibrate" in RULES[name].remedy for name in RULES if name.startswith("history-"))

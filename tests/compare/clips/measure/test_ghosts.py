"""Ghosts of a square that walks and leaves: errors that are known by the frames since something changed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare.clips.measure.ghosts import AGES, GhostSums, Leavings
from compare.clips.scores import Ghost
from tests.compare.clips.fakes import clip_of, walking_square


def ages_of(clean: np.ndarray, number: int) -> np.ndarray:
    """By hand: frames since the pixel's clean value changed; -1 where it never did."""
    found = np.full(clean.shape[1:3], -1)
    for y, x in np.ndindex(*found.shape):
        changes = [t for t in range(1, number + 1) if clean[t, y, x, 0] != clean[t - 1, y, x, 0]]
        if changes:
            found[y, x] = number - changes[-1]
    return found


def ghost_of(clean: np.ndarray, errors: list[int], cuts: tuple[int, ...] = ()) -> Ghost | None:
    """Of a network with these errors by age, in steps of 255, against one that errs by 2 everywhere."""
    leavings, sums = Leavings(), GhostSums()
    for number, shot in enumerate(clip_of(list(clean), cuts).shots()):
        ages = ages_of(clean, number)
        error = np.full(ages.shape, 2)
        for age, each in enumerate(errors):
            error[ages == age] = each
        sums.add(leavings.see(shot), 3 * error.astype(np.int32) ** 2, np.full(ages.shape, 12, np.int32))
    return sums.result()


def test_the_excess_is_found_by_the_frames_since_the_square_was_there() -> None:
    ghost = ghost_of(walking_square(16), [8, 4, 2, 2, 2, 2, 2, 2, 2])
    assert ghost is not None
    assert ghost.excess == pytest.approx([20 * math.log10(4), 20 * math.log10(2), *[0.0] * 7], abs=1e-3)
    assert ghost.frames == 2


def test_ages_are_those_by_hand() -> None:
    clean, leavings = walking_square(12), Leavings()
    for number, shot in enumerate(clip_of(list(clean)).shots()):
        by_hand = ages_of(clean, number)
        found = leavings.see(shot)
        counted = (by_hand >= 0) & (by_hand < AGES)
        assert np.array_equal(found[counted], by_hand[counted])
        assert (found[~counted] >= AGES).all()


def test_without_a_ghost_it_is_gone_in_frame_0_and_a_lasting_one_never() -> None:
    none, lasting = ghost_of(walking_square(16), [2] * 9), ghost_of(walking_square(16), [8] * 9)
    assert none is not None
    assert lasting is not None
    assert (none.frames, lasting.frames) == (0, AGES)


def test_a_ghost_that_comes_back_is_not_gone_before() -> None:
    ghost = ghost_of(walking_square(16), [8, 2, 2, 2, 6, 2, 2, 2, 2])
    assert ghost is not None
    assert ghost.frames == 5


def test_where_nothing_leaves_there_is_no_ghost() -> None:
    assert ghost_of(walking_square(6, step=0), [8] * 9) is None
    faint = np.where(walking_square(12) == 180, np.uint8(75), np.uint8(60))  # too faint to be seen
    assert ghost_of(faint, [8] * 9) is None


def test_a_cut_leaves_no_ghosts() -> None:
    clean = np.concatenate([np.full((4, 48, 48, 3), 200, np.uint8), walking_square(4, step=0)])
    assert ghost_of(clean, [8] * 9, cuts=(4,)) is None
    assert ghost_of(clean, [8] * 9) is not None

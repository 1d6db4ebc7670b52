"""Patches whose noise is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import UsageError
from train.patches.extra_noise import ExtraNoise


def batch(count=200, side=48, channels=3):
    """White noise over a ramp: uint8 ``(2, count, side, side, channels)``."""
    rng = np.random.default_rng(0)
    clean = np.broadcast_to(np.linspace(60, 190, side)[None, None, :, None], (count, side, side, channels))
    noisy = clean + rng.normal(0, 12, clean.shape)
    return np.stack([np.clip(np.rint(each), 0, 255).astype(np.uint8) for each in (noisy, clean)])


def likeness(patch):
    """How alike the errors of neighbors in a row are: their correlation."""
    error = patch - patch.mean()
    return float((error[:, 1:] * error[:, :-1]).mean() / (error**2).mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_an_enlarged_part_has_coarser_grain_on_the_same_clean_scene(channels):
    before = batch(channels=channels)
    after = before.copy()
    ExtraNoise(enlarged=1.0).apply(after, np.random.default_rng(1))
    for noisy, clean in after.swapaxes(0, 1):
        grain = noisy.astype(float) - clean
        assert likeness(grain[..., 0]) > 0.15  # white before
        assert 3 < grain.std() < 15
        slope = np.diff(clean[0, :, 0].astype(float)).mean()
        assert 130 / 47 / 3.2 < slope < 130 / 47 / 1.2  # of the ramp, 1.3 to 3 times as wide
        assert np.ptp(clean.astype(int), axis=0).max() <= 1  # and as straight, but for rounding
    assert abs(likeness((before[0, 0].astype(float) - before[1, 0])[..., 0])) < 0.1


def test_of_a_sequence_the_same_part_of_each_frame_is_enlarged():
    frames = np.random.default_rng(4).integers(0, 256, (2, 20, 3, 16, 16, 3), np.uint8)
    sequences = frames.reshape(2, 20, 3 * 16, 16, 3).copy()
    ExtraNoise(enlarged=0.5).apply(sequences, np.random.default_rng(5))
    found = sequences.reshape(frames.shape)
    for index in range(3):
        alone = frames[:, :, index].copy()
        ExtraNoise(enlarged=0.5).apply(alone, np.random.default_rng(5))
        np.testing.assert_array_equal(found[:, :, index], alone)
    assert 0 < (found == frames).all((0, 2, 3, 4, 5)).sum() < 20


def test_as_many_patches_are_enlarged_as_the_share_says():
    before = batch(1000, 16)
    after = before.copy()
    ExtraNoise(none=0.2, enlarged=0.3).apply(after, np.random.default_rng(2))
    changed = (after[1] != before[1]).any((1, 2, 3)).mean()
    assert 0.25 < changed < 0.35


def test_shares_of_zero_draw_as_before_there_was_any_enlarging():
    one, two = batch(50), batch(50)
    ExtraNoise(0.3, 0.2, 0.1).apply(one, np.random.default_rng(3))
    ExtraNoise(0.3, 0.2, 0.1, enlarged=0.0).apply(two, np.random.default_rng(3))
    np.testing.assert_array_equal(one, two)


@given(st.lists(st.floats(-1, 2), min_size=4, max_size=4))
def test_shares_outside_their_bounds_are_refused(shares):
    if min(shares) >= 0 and sum(shares) <= 1:
        ExtraNoise(*shares)
    else:
        with pytest.raises(UsageError, match="must lie in"):
            ExtraNoise(*shares)

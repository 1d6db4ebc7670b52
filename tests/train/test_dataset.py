"""The stream of patches: aligned, complete, reproducible."""

import numpy as np

from quietcam.data.crops import Crops
from train.dataset import training_patches


def numbered(count=12, size=32):
    """Crops in which every pixel tells its crop, row and column; clean is the noisy side plus one step."""
    rows, columns = np.mgrid[:size, :size]
    noisy = np.zeros((count, size, size, 3), np.uint8)
    for number in range(count):
        noisy[number] = np.stack([np.full_like(rows, number), rows, columns], -1)
    return Crops(noisy, noisy + 1, [(str(n), (0, 0, size, size)) for n in range(count)])


def take(batches, seed=5, patch=16, batch=4):
    stream = training_patches(numbered(), patch=patch, batch=batch, seed=seed)
    return [tuple(side.numpy() for side in pair) for pair in stream.take(batches)]


def test_both_sides_are_cut_flipped_and_turned_alike():
    for noisy, clean in take(6):
        np.testing.assert_allclose(clean - noisy, 1 / 255, atol=1e-6)
        assert noisy.shape == (4, 16, 16, 3)
        assert noisy.dtype == np.float32


def test_each_pass_takes_every_crop_once():
    first = np.concatenate([np.rint(noisy[:, 0, 0, 0] * 255) for noisy, _ in take(3)])
    assert sorted(first) == list(range(12))


def test_same_seed_same_stream_and_another_seed_another():
    once, twice, other = take(4), take(4), take(4, seed=6)
    for (a, b), (c, d) in zip(once, twice, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert any(not np.array_equal(a, c) for (a, _), (c, _) in zip(once, other, strict=True))


def test_patches_start_at_even_pixels_and_come_in_all_eight_orientations():
    seen = set()
    for noisy, _ in take(60):
        steps = np.rint(noisy * 255).astype(int)
        for patch in steps:
            down, right = patch[1, 0] - patch[0, 0], patch[0, 1] - patch[0, 0]
            seen.add((*down[1:], *right[1:]))
            assert patch[..., 1].min() % 2 == 0
            assert patch[..., 2].min() % 2 == 0
    assert len(seen) == 8

"""The stream of patches: aligned, complete, reproducible."""

import functools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.data.crops import Crops
from quietcam.data.packed.pack import pack
from quietcam.data.packed.reader import open_shards
from quietcam.errors import UsageError
from quietcam.sensor.scenes import make_pair
from train.patches.dataset import training_patches
from train.patches.sources import CropSource, Mixture, SceneSource, ShardSource

steps = functools.partial(training_patches, as_float=False)


def numbered(count=12, size=32):
    """Crops in which every pixel encodes its crop, row and column; clean is the noisy side plus one step."""
    rows, columns = np.mgrid[:size, :size]
    noisy = np.zeros((count, size, size, 3), np.uint8)
    for number in range(count):
        noisy[number] = np.stack([np.full_like(rows, number), rows, columns], -1)
    return Crops(np.stack([noisy, noisy + 1], 1), [(str(n), (0, 0, size, size)) for n in range(count)])


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


@pytest.fixture(scope="module")
def shards(tmp_path_factory, pair_folder):
    folder = tmp_path_factory.mktemp("packed") / "set"
    pack(pair_folder, folder, patch=32)
    return open_shards(folder)


def untouched(source, **options):
    return steps(source, patch=source.side, batch=5, seed=3, augment=False, endless=False, **options)


def test_one_pass_of_a_packed_set_is_every_patch_of_the_side_as_it_was_packed(shards):
    numbers = shards.of_side("train")
    batches = [(noisy.numpy(), clean.numpy()) for noisy, clean in untouched(ShardSource(shards, numbers))]
    assert [len(noisy) for noisy, _ in batches] == [5] * (len(numbers) // 5) + [len(numbers) % 5] * bool(
        len(numbers) % 5
    )
    found = sorted((a.tobytes(), b.tobytes()) for noisy, clean in batches for a, b in zip(noisy, clean, strict=True))
    assert found == sorted(tuple(side.tobytes() for side in shards.pair(int(number))) for number in numbers)


def test_endless_goes_on_into_further_passes_in_another_order(shards):
    source = ShardSource(shards)
    stream = steps(source, patch=32, batch=len(source), seed=0, augment=False)
    first, second = ([patch.tobytes() for patch in noisy.numpy()] for noisy, _ in stream.take(2))
    assert first != second
    assert sorted(first) == sorted(second)


def test_a_batch_larger_than_the_set_takes_several_passes():
    stream = steps(numbered(3), patch=32, batch=10, seed=0, augment=False)
    drawn = next(iter(stream))[0].numpy()[:, 0, 0, 0].tolist()
    assert [sorted(drawn[i : i + 3]) for i in (0, 3, 6)] == [[0, 1, 2]] * 3


def test_float_is_uint8_over_255(shards):
    options = {"patch": 16, "batch": 4, "seed": 1}
    floats, narrow = (each(ShardSource(shards), **options).take(5) for each in (training_patches, steps))
    for wide, thin in zip(floats, narrow, strict=True):
        for a, b in zip(wide, thin, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy().astype(np.float32) / np.float32(255))


def test_eight_ways_are_numpys(shards):
    """Each batch holds the patches of the batch without augmentation, each turned in one of the eight ways."""
    source, options = ShardSource(shards), {"patch": 16, "batch": 6, "seed": 2}
    for plain, turned in zip(
        steps(source, augment=False, **options).take(4), steps(source, **options).take(4), strict=True
    ):
        for i in range(6):
            ways = [
                [np.rot90(side[i].numpy()[:, ::mirror], turns) for side in plain]
                for turns in range(4)
                for mirror in (1, -1)
            ]
            assert any(all(np.array_equal(a, b[i].numpy()) for a, b in zip(way, turned, strict=True)) for way in ways)


def test_a_stream_can_be_taken_up_where_it_was_left(shards):
    options = {"patch": 16, "batch": 4, "seed": 1}
    whole = list(training_patches(ShardSource(shards), **options).take(7))
    rest = list(training_patches(ShardSource(shards), first=4, **options).take(3))
    for a, b in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(a[0].numpy(), b[0].numpy())


def test_one_stream_read_twice_at_once_gives_the_same_twice(shards):
    stream = training_patches(ShardSource(shards), patch=16, batch=4, seed=1)
    for (a, _), (b, _) in zip(stream.take(6), stream.take(6), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_batches_that_are_kept_are_not_written_over():
    stream = steps(numbered(40), patch=16, batch=4, seed=5)
    kept = list(stream.take(40))
    for (a, _), (b, _) in zip(kept, stream, strict=False):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_scenes_are_made_on_the_fly_and_never_twice():
    make = functools.partial(make_pair, size=32)
    with SceneSource(make, side=32, count=3, seed=100, workers=1) as source:
        stream = steps(source, patch=32, batch=3, seed=0, augment=False)
        found = [sorted(noisy.tobytes() for noisy in batch[0].numpy()) for batch in stream.take(2)]
    expected = [sorted(make(seed)[0].tobytes() for seed in seeds) for seeds in (range(100, 103), range(103, 106))]
    assert found == expected


@pytest.mark.parametrize("count", [0, 4])
def test_nothing_to_cut_from(count):
    source = Crops(np.zeros((count, 2, 32, 32, 3), np.uint8), [])
    with pytest.raises(UsageError, match=r"Received: (patch=64, stored 32|none)"):
        training_patches(source, patch=64 if count else 16, batch=4, seed=0)


def test_the_interpreter_ends_while_a_stream_is_open():
    """TensorFlow's threads must not be in Python when the interpreter ends: it would hang."""
    code = (
        "import numpy as np; from quietcam.data.crops import Crops; "
        "from train.patches.dataset import training_patches; "
        "pixels = np.zeros((64, 2, 128, 128, 3), np.uint8); "
        "stream = iter(training_patches(Crops(pixels, []), patch=96, batch=32, seed=0)); "
        "[next(stream) for _ in range(4)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def tinted(value, count, size=32):
    """Crops whose red value is their source, and whose green value is their number."""
    pairs = np.zeros((count, 2, size, size, 3), np.uint8)
    pairs[..., 0], pairs[..., 1] = value, np.arange(count)[:, None, None, None]
    return CropSource(Crops(pairs, []))


@given(
    weights=st.lists(st.floats(0.05, 20), min_size=1, max_size=5),
    start=st.integers(0, 10**6),
    count=st.integers(1, 300),
)
def test_a_mixture_keeps_its_shares_over_any_stretch_and_leaves_out_no_turn(weights, start, count):
    mixture = Mixture([(tinted(i, 3), weight) for i, weight in enumerate(weights)])
    whose, turns = mixture.assign(np.arange(start, start + count))
    for index, share in enumerate(mixture.shares):
        mine = turns[whose == index]
        assert abs(len(mine) - count * share) <= len(weights)
        np.testing.assert_array_equal(np.diff(mine), 1)
    _, first = mixture.assign(np.arange(200))
    assert first[0] == 0


def test_a_mixture_takes_each_patch_of_a_source_once_in_a_pass_of_it():
    mixture = Mixture([(tinted(10, 6), 3.0), (tinted(20, 4, size=48), 1.0)])
    stream = steps(mixture, patch=32, batch=8, seed=1)
    pixels = np.concatenate([noisy.numpy()[:, 0, 0, :2] for noisy, _ in stream.take(4)])
    first, second = (pixels[pixels[:, 0] == value, 1] for value in (10, 20))
    assert (len(first), len(second)) == (24, 8)
    for start in range(0, 24, 6):
        assert sorted(first[start : start + 6]) == list(range(6))
    assert sorted(second[:4]) == sorted(second[4:]) == list(range(4))
    later = next(iter(steps(mixture, patch=32, batch=8, seed=1, first=2)))[0].numpy()[:, 0, 0, :2]
    np.testing.assert_array_equal(later, pixels[16:24])


@pytest.mark.parametrize("parts", [[], [(tinted(1, 2), 0.0)], [(tinted(1, 2), float("nan"))]])
def test_a_mixture_without_sources_or_weights_is_refused(parts):
    with pytest.raises(UsageError, match="Received"):
        Mixture(parts)

"""Sequences from clips and pairs: frames in order, at one place, turned alike; and what has no history."""

import numpy as np
import pytest

from quietcam.data.crops import Crops
from quietcam.errors import UsageError
from train.config import VideoConfig
from train.patches.clips import ClipCrops, ClipCropSource
from train.patches.extra_noise import ExtraNoise
from train.patches.sequences import SequenceBatches, training_sequences
from train.patches.sources import CropSource, Mixture

VIDEO = VideoConfig(unroll=3, lead=2, without_history=0.25)
SIDE, LENGTHS = 24, (10, 4, 2)


@pytest.fixture(scope="module")
def clips():
    """Clips whose pixels tell their clip and frame, and their place: (10 * clip + frame, y, x); clean is one more."""
    y, x = np.mgrid[:SIDE, :SIDE]
    sequences = []
    for clip, length in enumerate(LENGTHS):
        frames = np.empty((length, 2, SIDE, SIDE, 3), np.uint8)
        for frame in range(length):
            frames[frame, 0] = np.stack([np.full_like(y, 10 * clip + frame), y, x], axis=-1)
        frames[:, 1] = frames[:, 0] + 1
        sequences.append(frames)
    return ClipCropSource(ClipCrops(sequences, [("", (0, 0, SIDE, SIDE))] * len(LENGTHS)))


@pytest.fixture(scope="module")
def pairs():
    numbers = np.arange(100, 112, dtype=np.uint8).reshape(12, 1, 1, 1, 1)
    return CropSource(Crops(np.broadcast_to(numbers, (12, 2, SIDE, SIDE, 3)).copy(), []))


def batches(mixture, count=40, **more):
    made = SequenceBatches(mixture, 8, 6, VIDEO, seed=5, **more)
    return [made.make(number) for number in range(count)]


def test_frames_of_a_clip_follow_each_other_at_one_place(clips):
    firsts = set()
    for noisy, clean, _ in batches(Mixture([(clips, 1.0)])):
        assert noisy.shape == (6, 5, 8, 8, 3)
        np.testing.assert_array_equal(clean, noisy[:, 2:] + 1)
        for sequence in noisy:
            assert (sequence[..., 1:] == sequence[:1, ..., 1:]).all()  # one place, one orientation
            names = sequence[:, 0, 0, 0].astype(int)
            clip, frames = names[0] // 10, names % 10
            assert (names // 10 == clip).all()
            # Each frame follows the one before; only the first of the clip is repeated, before it.
            steps = np.diff(frames)
            repeated = steps == 0
            assert (steps[~repeated] == 1).all()
            assert (frames[:-1][repeated] == 0).all()
            firsts.add((int(clip), int(frames[2])))
            assert {int(value) for value in sequence[0, :2, :2, 1].ravel() % 2} == {0, 1}
    assert firsts == {*((0, first) for first in range(8)), (1, 0), (1, 1), (2, 0)}


def test_places_are_even_and_all_eight_orientations_occur(clips):
    turns = set()
    for noisy, _, _ in batches(Mixture([(clips, 1.0)])):
        for sequence in noisy:
            y, x = (sequence[0, ..., channel].astype(int) for channel in (1, 2))
            assert y.min() % 2 == x.min() % 2 == 0
            turns.add(
                (int(y[0, 0] - y[-1, 0]), int(y[0, 0] - y[0, -1]), int(x[0, 0] - x[0, -1]), int(x[0, 0] - x[-1, 0]))
            )
    assert len(turns) == 8


def test_pairs_have_no_history_and_each_is_seen_once_a_pass(pairs):
    seen = []
    for noisy, clean, remembers in batches(Mixture([(pairs, 1.0)]), count=2):
        assert not remembers.any()
        np.testing.assert_array_equal(noisy[:, 2:], clean)
        seen += clean[:, :, 0, 0, 0].ravel().tolist()
    assert sorted(seen) == sorted([*range(100, 112)] * 3)
    assert sorted(seen[:12]) == list(range(100, 112))


def test_a_share_of_clips_has_no_history_and_weights_are_shares(clips, pairs):
    clip, remembering = [], []
    for noisy, _, remembers in batches(Mixture([(clips, 2.0), (pairs, 1.0)]), count=200):
        is_clip = noisy[:, -1, 0, 0, 0] < 100
        clip += is_clip.tolist()
        remembering += remembers[is_clip].tolist()
    assert np.mean(clip) == pytest.approx(2 / 3, abs=0.01)
    assert np.mean(remembering) == pytest.approx(0.75, abs=0.04)


def test_every_source_gives_patches_without_their_order_too(clips):
    numbers = np.array([0, 9, 10, 13, 15])
    found = [int(pair[0, 0, 0, 0]) for pair in clips.pairs(numbers, np.zeros(5, np.int64))]
    assert found == [0, 9, 10, 13, 21]
    assert len(clips) == 16


def test_the_stream_goes_on_where_it_was_and_extra_noise_is_of_one_kind(clips, pairs):
    mixture = Mixture([(clips, 1.0), (pairs, 1.0)])
    how = {"patch": 8, "batch": 4, "video": VIDEO, "seed": 3, "extra": ExtraNoise(none=0.5)}
    whole = [next(stream) for stream in [iter(training_sequences(mixture, **how))] for _ in range(3)]
    later = next(iter(training_sequences(mixture, first=2, **how)))
    for one, other in zip(whole[2], later, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    equal = [(noisy[:, 2:] == clean).numpy().all((2, 3, 4)) for noisy, clean, _ in whole]
    assert all(row.all() or not row.any() for rows in equal for row in rows if row.shape)


def test_a_patch_larger_than_the_stored_ones_is_refused(clips):
    with pytest.raises(UsageError, match="patch=32, stored 24"):
        training_sequences(Mixture([(clips, 1.0)]), patch=32, batch=4, video=VIDEO, seed=0)

"""What ranges are measured on: patches as training draws them, and what a video network remembers there."""

import numpy as np
import pytest

from quietcam.architecture import Architecture
from train.config import RunConfig, TrainingConfig, VideoConfig
from train.model import build, convolutions
from train.patches.measured import patches_to_measure
from train.patches.sequences import SequenceBatches
from train.patches.sets import load_training_data

SHARE = 0.3003  # of no whole number is this halfway between two whole numbers
TRAINING = TrainingConfig(patch=32, crop=64, batch=4)
VIDEO = RunConfig(Architecture(widths=(8,), depths=(1,), history=1), TRAINING, video=VideoConfig(unroll=2, lead=3))


@pytest.fixture(scope="module")
def model():
    """A network that takes the same share of the history everywhere."""
    model = build(VIDEO.model)
    share = convolutions(model)["share"]
    share.kernel.assign(np.zeros(share.kernel.shape))
    share.bias.assign(np.full(share.bias.shape, SHARE))
    return model


def test_a_still_network_remembers_nothing(pair_folder, tiny):
    config = RunConfig(tiny, TRAINING)
    measured = patches_to_measure(load_training_data([pair_folder], config), config, build(tiny))
    assert measured.crops.noisy.shape == (256, 32, 32, 3)
    assert measured.history is None


def test_the_patches_of_clips_have_the_history_that_the_network_fused(clip_folder, model):
    data = load_training_data([clip_folder], VIDEO)
    measured = patches_to_measure(data, VIDEO, model)
    noisy, clean, history = measured.crops.noisy, measured.crops.clean, measured.history
    assert noisy.shape == clean.shape == history.shape == (256, 32, 32, 3)
    assert history.dtype == np.uint8
    again = patches_to_measure(data, VIDEO, model)
    np.testing.assert_array_equal(again.history, history)
    assert 0.5 < (history != noisy).any((1, 2, 3)).mean() < 1  # the others are the first of their clip
    frames = SequenceBatches(data.training, 32, 16, VideoConfig(1, 4, 0.0), seed=3).make(0)[0].astype(float)
    expected = frames[:, 0]
    for index in range(4):
        expected = frames[:, index] + np.rint(SHARE * (expected - frames[:, index]))
    np.testing.assert_array_equal(noisy[:16], frames[:, 4])
    np.testing.assert_array_equal(history[:16], expected)


def test_the_patches_of_pairs_have_none(clip_folder, pair_folder, model):
    data = load_training_data([clip_folder, f"{pair_folder}@1000"], VIDEO)
    measured = patches_to_measure(data, VIDEO, model)
    assert np.mean((measured.history != measured.crops.noisy).any((1, 2, 3))) < 0.1

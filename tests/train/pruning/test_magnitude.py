"""Magnitude pruning: the share of zeros, which weights become zero, and that the plain network comes back."""

import numpy as np
import pytest
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.data.clips.clip import load_clips
from train.config import PruningConfig, RunConfig, VideoConfig
from train.model import FUSION, build, convolutions
from train.patches.clips import ClipCropSource, cut_clips
from train.pruning import magnitude as pruning
from train.runs.magnitude_pruning import fit_steps_to_minutes
from train.schedule import Budget
from train.trainer import Loop


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16"])
def pruned_pair(request, crops, tiny):
    keras.utils.set_random_seed(0)
    model = build(tiny)
    wrapped = pruning.prunable(tiny, model, 0.6, end_step=10, precision=request.param)
    pruning.start_schedule(wrapped)
    Loop("prune", wrapped, Budget(16, 99), 1e-4).fit(crops, {"own": crops}, patch=32, batch=4)
    return model, pruning.strip(tiny, wrapped)


def test_asked_share_of_every_convolution_is_zero(pruned_pair):
    _, stripped = pruned_pair
    for name, layer in convolutions(stripped).items():
        kernel = layer.kernel.numpy()
        # the residual's kernel starts at zero and may hold more
        assert np.mean(kernel == 0) == pytest.approx(0.6, abs=0.51 / kernel.size + 1e-6) or name == "residual"
    assert pruning.sparsity(stripped) == pytest.approx(0.6, abs=0.01)


def test_the_smallest_weights_went(pruned_pair):
    model, stripped = pruned_pair
    before = convolutions(model)["down1_0"].kernel.numpy()
    after = convolutions(stripped)["down1_0"].kernel.numpy()
    assert np.abs(before[after == 0]).max() < np.median(np.abs(before[after != 0]))


def test_stripped_network_is_the_plain_one(pruned_pair, tiny):
    _, stripped = pruned_pair
    assert [type(layer).__name__ for layer in stripped.layers] == [type(layer).__name__ for layer in build(tiny).layers]
    assert stripped.count_params() == tiny.parameters


def test_the_body_of_a_video_network_is_pruned_and_its_fusion_is_not(clip_folder):
    video = Architecture(widths=(8, 16), depths=(1, 1), history=1)
    keras.utils.set_random_seed(0)
    wrapped = pruning.prunable(video, build(video), 0.6, end_step=10)
    pruning.start_schedule(wrapped)
    crops = cut_clips(load_clips(clip_folder).clips, 32, frames=6, limit=36)
    loop = Loop("prune", wrapped, Budget(16, 99), 1e-4, video=VideoConfig(unroll=3, lead=2))
    loop.fit(ClipCropSource(crops), {"own": crops}, patch=32, batch=4)
    # A step is a step, however many frames it has.
    assert {int(layer.pruning_step) for layer in wrapped.layers if hasattr(layer, "pruning_step")} == {16}
    stripped = pruning.strip(video, wrapped)
    assert stripped.count_params() == video.parameters
    for name, layer in convolutions(stripped).items():
        zeros = np.mean(layer.kernel.numpy() == 0)
        assert zeros == 0 if name in FUSION else zeros == pytest.approx(0.6, abs=0.02) or name == "residual"
    assert set(pruning.sensitivity(stripped, lambda _: 30.0)) == set(convolutions(stripped)) - set(FUSION)


@pytest.mark.parametrize(
    ("asked", "minutes", "step_seconds", "steps"),
    [
        (60, 1.0, 0.5, 60),  # 36 s, with masks
        (60, 0.5, 0.5, 50),  # 30 s hold 50 steps of 0.6
        (60, 0.05, 10.0, 20),
        (12, 0.05, 10.0, 12),
        (60, 0.05, None, 60),  # nothing is known of how long they take
    ],
)
def test_steps_end_pruning_unless_the_minutes_hold_fewer(asked, minutes, step_seconds, steps):
    config = RunConfig(pruning=PruningConfig(steps=asked))
    fitted = fit_steps_to_minutes(config, minutes, step_seconds).pruning
    assert (fitted.steps, fitted.minutes) == (steps, minutes)

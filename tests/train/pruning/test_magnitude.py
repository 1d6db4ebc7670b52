"""Magnitude pruning: the share of zeros, which weights become zero, and that the plain network comes back."""

import numpy as np
import pytest
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.data.clips.clip import load_clips
from quietcam.errors import UsageError
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


NETWORKS = [
    Architecture(),
    Architecture(widths=(8,), depths=(1,)),
    Architecture(channels=1, widths=(8, 8), depths=(2, 1), last_kernel=1),
    Architecture(stem=4, widths=(16, 8, 96), depths=(1, 2, 1)),
    Architecture(history=1),
]


def kept_weights(network, sparsity):
    """By convolution that is pruned: how many weights it has, and how many it keeps."""
    shares = pruning.shares(network, sparsity)
    sizes = {each.name: each.kernel**2 * each.inputs * each.outputs for each in network.convolutions()}
    return {name: (sizes[name], (1 - share) * sizes[name]) for name, share in shares.items()}, sum(sizes.values())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.8, 0.9])
def test_all_convolutions_keep_the_same_number_of_weights_or_all_of_theirs(network, sparsity):
    if network.history and sparsity == 0.9:
        network = Architecture(widths=(32, 64, 128), depths=(1, 2, 2), history=1)  # its fusion is a smaller part
    kept, total = kept_weights(network, sparsity)
    assert sum(size - rest for size, rest in kept.values()) == pytest.approx(sparsity * total)
    most = max(rest for _, rest in kept.values())
    assert [rest for _, rest in kept.values()] == pytest.approx([min(size, most) for size, _ in kept.values()])


def test_the_finest_levels_stay_whole_until_the_others_cannot_reach_the_share():
    fine = [each.name for each in Architecture().convolutions() if each.scale <= 4]
    assert {name: pruning.shares(Architecture(), 0.5)[name] for name in fine} == dict.fromkeys(fine, 0.0)
    assert pruning.shares(Architecture(), 0.9)["down1_1"] > 0.5


def test_a_video_network_cannot_lose_more_than_its_body():
    network = Architecture(widths=(8, 16), depths=(1, 1), history=1)
    sizes = {each.name: each.kernel**2 * each.inputs * each.outputs for each in network.convolutions()}
    body = 1 - sum(sizes[name] for name in FUSION) / sum(sizes.values())
    pruning.shares(network, np.floor(100 * body) / 100 - 0.01)
    with pytest.raises(UsageError, match=rf"less than {np.floor(100 * body) / 100:g} here\. Received: 0\.8\."):
        pruning.shares(network, 0.8)


def test_every_convolution_loses_its_share(pruned_pair, tiny):
    _, stripped = pruned_pair
    shares = pruning.shares(tiny, 0.6)
    assert len({round(share, 3) for share in shares.values()}) > 1
    for name, layer in convolutions(stripped).items():
        kernel = layer.kernel.numpy()
        # the residual's kernel starts at zero and may hold more
        assert np.mean(kernel == 0) == pytest.approx(shares[name], abs=0.51 / kernel.size + 1e-6) or name == "residual"
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
    video = Architecture(widths=(16, 64), depths=(1, 1), history=1)
    keras.utils.set_random_seed(0)
    wrapped = pruning.prunable(video, build(video), 0.3, end_step=10)
    pruning.start_schedule(wrapped)
    crops = cut_clips(load_clips(clip_folder).clips, 32, frames=6, limit=36)
    loop = Loop("prune", wrapped, Budget(16, 99), 1e-4, video=VideoConfig(unroll=3, lead=2))
    loop.fit(ClipCropSource(crops), {"own": crops}, patch=32, batch=4)
    # A step is a step, however many frames it has.
    assert {int(layer.pruning_step) for layer in wrapped.layers if hasattr(layer, "pruning_step")} == {16}
    stripped, shares = pruning.strip(video, wrapped), pruning.shares(video, 0.3)
    assert not shares.keys() & set(FUSION)
    assert stripped.count_params() == video.parameters
    for name, layer in convolutions(stripped).items():
        zeros = np.mean(layer.kernel.numpy() == 0)
        assert zeros == pytest.approx(shares.get(name, 0.0), abs=0.02) or name == "residual"
    assert pruning.sparsity(stripped) == pytest.approx(0.3, abs=0.01)
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

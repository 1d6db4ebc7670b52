"""Magnitude pruning: the share of zeros, which weights they are, and that the plain network comes back."""

import numpy as np
import pytest
import tf_keras as keras

from train import pruning
from train.model import build, convolutions
from train.schedule import Budget
from train.trainer import Loop


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16"])
def pruned_pair(request, crops, tiny):
    keras.utils.set_random_seed(0)
    model = build(tiny)
    wrapped = pruning.prunable(tiny, model, 0.6, end_step=10, precision=request.param)
    pruning.begin(wrapped)
    Loop("prune", wrapped, Budget(16, 5), 1e-4).fit(crops, {"own": crops}, patch=32, batch=4)
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

"""All phases of a block are changed by the same mean, and colors keep theirs."""

import numpy as np
import pytest
import tf_keras as keras

from quietcam.architecture import Architecture
from train.model import build, convolutions
from train.runs.even_phases import even_phases

NETWORKS = [
    Architecture(widths=(8, 16), depths=(1, 1)),
    Architecture(channels=1, stem=4, widths=(16,), depths=(1,)),
    Architecture(widths=(8, 16), depths=(1, 1), history=1),
]


def change_by_phase(network, model, noisy):
    """The mean of denoised minus noisy, ``(stem, stem, C)``, in steps of 255; nothing is near black or white."""
    given = noisy.astype(np.float32) / 255
    found = model([given, given])[0] if network.history else model(given)
    change = (found.numpy() - given) * 255
    stem = network.stem
    return np.array([[change[:, y::stem, x::stem].mean((0, 1, 2)) for x in range(stem)] for y in range(stem)])


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_all_phases_of_a_color_have_one_mean(network):
    keras.utils.set_random_seed(0)
    model = build(network)
    rng = np.random.default_rng(1)
    residual = convolutions(model)["residual"]
    residual.kernel.assign(rng.normal(0, 0.002, residual.kernel.shape))
    residual.bias.assign(rng.normal(0, 0.01, residual.bias.shape))
    noisy = rng.integers(100, 156, (32, 64, 64, network.channels), np.uint8)

    kernels = {name: layer.kernel.numpy() for name, layer in convolutions(model).items()}
    before = change_by_phase(network, model, noisy)
    assert np.ptp(before, axis=(0, 1)).min() > 1
    even_phases(network, model, noisy)
    after = change_by_phase(network, model, noisy)
    np.testing.assert_allclose(after, np.broadcast_to(before.mean((0, 1)), after.shape), atol=0.01)
    for name, kernel in kernels.items():
        np.testing.assert_array_equal(convolutions(model)[name].kernel, kernel)

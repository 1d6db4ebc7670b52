"""Figures of activations, compared with numpy on all of their values, and on a network that int8 must ruin."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

from pathlib import Path

import numpy as np
import tf_keras as keras

from quietcam.image import to_float
from quietcam.tflite.activations import Range, collapsed, layer_name
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import measure_activations, tensor_runner
from tests.tiny_network import noisy_pictures


@pytest.fixture(scope="module")
def frames():
    return [to_float(picture)[None] for picture in noisy_pictures(4, 64)[0]]


@pytest.fixture(scope="module")
def measured(conversions, frames):
    return {each.layer: each for each in measure_activations(conversions["float32"].content, lambda: frames).values()}


@pytest.fixture(scope="module")
def values(loaded, frames):
    """All values of ``up0_0`` behind its ReLU6, ``(positions, channels)``, from Keras."""
    inner = keras.Model(loaded.model.input, loaded.model.get_layer("up0_0_relu").output)
    return np.concatenate([inner(frame).numpy().reshape(-1, 8) for frame in frames])


def test_extremes_and_percentiles_are_those_of_all_values(measured, values):
    found = measured["up0_0"]
    assert found.high == pytest.approx(values.max(), rel=1e-4)
    np.testing.assert_allclose(found.channel_high, values.max(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.channel_low, values.min(0), rtol=1e-3, atol=1e-5)
    for share in (0.5, 0.9, 0.999):
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), abs=0.002 * float(values.max()))
    middle = np.quantile(values, 0.9995, axis=0) - np.minimum(np.quantile(values, 0.0005, axis=0), 0)
    np.testing.assert_allclose(found.channel_middle, middle, rtol=0.02, atol=1e-4)


def test_rails_are_the_values_that_no_code_stands_for(measured, values):
    chosen = Range(0.0, float(np.quantile(values, 0.98)))
    assert measured["up0_0"].rails(chosen) == pytest.approx(np.mean(values > chosen.high), abs=5e-4)
    assert measured["up0_0"].rails(measured["up0_0"].whole) == 0.0


def test_levels_are_steps_in_the_middle_of_the_values(measured, values):
    step = values.max() / 255
    middle = np.quantile(values, 0.9995) / step
    assert measured["up0_0"].levels() == pytest.approx(middle, rel=0.02)
    assert measured["up0_0"].levels(Range(0.0, 4 * float(values.max()))) == pytest.approx(middle / 4, rel=0.02)


def test_gains_are_the_squared_weights_of_the_reading_convolution(measured, loaded):
    kernel = loaded.model.get_layer("residual").kernel.numpy()
    np.testing.assert_allclose(measured["up0_0"].gain, np.square(kernel).sum((0, 1, 3)), rtol=1e-5)


def test_gains_pass_through_what_keeps_channels_apart(measured):
    """`rise0` is doubled and added to a skip before `up0_0` reads it."""
    for layer in ("rise0", "double0", "join0"):
        np.testing.assert_allclose(measured[layer].gain, measured["join0"].gain)


def test_a_sound_network_is_not_called_collapsed(measured):
    assert collapsed(measured.values()) == []


def test_outliers_collapse_a_range_that_is_not_cut(measured):
    stretched = {each.name: Range(0.0, 40 * each.high) for each in measured.values() if each.layer == "up0_0"}
    (found,) = collapsed(measured.values(), stretched)
    assert found.layer == "up0_0"
    assert found.to_dict(stretched[found.name])["range"] == [0.0, 40 * found.high]


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("quietcam/up0_0_relu/Relu6;quietcam/up0_0/BiasAdd;quietcam/up0_0/Conv2D;x/ReadVariableOp1", "up0_0"),
        ("quietcam/double2/resize/ResizeBilinear", "double2"),
        ("quietcam/clip/Relu;quietcam/denoise/add", "clip"),
        ("StatefulPartitionedCall:0", "output"),
        ("model/inner/conv2d/BiasAdd", "inner/conv2d"),
        ("quietcam/tf.nn.space_to_depth_3/SpaceToDepth", "space_to_depth"),
        ("quietcam/tf.__operators__.add/AddV2", "add"),
    ],
)
def test_layers_are_called_what_training_called_them(tensor, layer):
    assert layer_name(tensor) == layer


def test_a_frame_goes_in_as_the_codes_that_the_ends_take():
    levels = np.arange(32, dtype=np.float32).reshape(1, 32, 1, 1) * np.ones((1, 1, 32, 3), np.float32)
    models = Path(__file__).parents[2] / "edge/models"
    for kind, zero in (("uint8", 0), ("int8", -128)):
        content = (models / f"small_32x32_{kind}.tflite").read_bytes()
        entrance = read_graph(content).inputs[0]
        assert entrance.dtype == kind
        ((_, codes),) = tensor_runner(content, [entrance.index])(levels / 255)
        np.testing.assert_array_equal(codes.reshape(levels.shape), levels + zero)

"""Quantization-aware training rounds where int8 does, keeps zeros, and gives a plain graph that can be converted."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from quietcam.app.cli import run
from quietcam.architecture import Architecture
from tests.tiny_network import build_tiny
from train import qat
from train.model import build, convolutions
from train.pruning.magnitude import sparsity
from train.qat import (
    export,
    fit_ranges,
    measure_peaks,
    measure_ranges,
    quantizable,
    round_kernels,
    scale_channels,
    trained_weights,
)
from train.schedule import Budget
from train.trainer import Loop


@pytest.fixture(scope="module")
def trained(crops, tiny):
    keras.utils.set_random_seed(0)
    model = build(tiny)
    Loop("train", model, Budget(60, 99), 5e-3).fit(crops, {"own": crops}, patch=32, batch=4)
    for layer in convolutions(model).values():  # half of the weights are gone
        kernel = layer.kernel.numpy()
        layer.kernel.assign(np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0, kernel))
    return model


@pytest.fixture(scope="module")
def peaks(trained, crops, tiny):
    return measure_peaks(tiny, trained, crops.noisy)


@pytest.fixture(scope="module")
def fit(trained, peaks, crops, tiny):
    scaled = scale_channels(tiny, trained, peaks)
    return scaled, measure_ranges(tiny, scaled, crops.noisy)


@pytest.fixture(scope="module")
def tuned(fit, crops, tiny):
    quantized = quantizable(tiny, *fit)
    Loop("qat", quantized, Budget(20, 99), 1e-4, average=0.9, optimizer=keras.optimizers.Adam).fit(
        crops, {"own": crops}, patch=32, batch=4
    )
    return quantized


def test_peaks_hold_all_but_a_few_values_of_each_channel(trained, peaks, crops):
    assert set(peaks) == {"down0_0", "down1_0", "rise0", "up0_0"}
    inner = keras.Model(trained.input, trained.get_layer("down1_0_relu").output)
    values = inner(crops.noisy.astype(np.float32) / 255).numpy()
    beyond = np.mean(values > peaks["down1_0"], axis=(0, 1, 2))
    assert peaks["down1_0"].shape == (16,)
    assert np.all(beyond < 0.002)
    assert len(np.unique(peaks["down1_0"].round(3))) > 3


def test_the_residual_has_whole_steps_of_a_pixel(fit):
    low, high = fit[1]["residual"]
    assert (high - low) / 255 == pytest.approx(1 / 255)
    assert low * 255 == pytest.approx(-128)
    assert fit[1]["denoise"] == (0.0, 1.0)


def factors_by_hand(peaks):
    """The strongest channel fills [0, 6], a weaker one the more the stronger it is."""
    strongest = peaks.max()
    return 6 / strongest * (strongest / np.maximum(peaks, strongest / 32)) ** 0.75


def test_a_network_whose_channels_fill_their_relu_computes_the_same_within_it(trained, peaks, fit, crops, tiny):
    """By hand: the network as it was, every channel cut off where the scaled one is."""
    skip = np.maximum(peaks["down0_0"], peaks["rise0"])  # they are added to each other
    ends = {"down0_0": skip, "rise0": skip, "down1_0": peaks["down1_0"], "up0_0": peaks["up0_0"]}

    def cut(layer):
        if not layer.name.endswith("_relu"):
            return layer
        high = 6 / factors_by_hand(ends[layer.name.removesuffix("_relu")])
        return lambda x: tf.minimum(tf.nn.relu(x), high.astype(np.float32))

    by_hand = build(tiny, cut)
    for name, layer in convolutions(by_hand).items():
        layer.kernel.assign(convolutions(trained)[name].kernel)
        layer.bias.assign(convolutions(trained)[name].bias)
    noisy = tf.constant(crops.noisy[:4].astype(np.float32) / 255)
    np.testing.assert_allclose(fit[0](noisy), by_hand(noisy), atol=1e-5)


def test_weak_channels_fill_more_of_their_relu_than_before(peaks, fit, crops, tiny):
    after = measure_peaks(tiny, fit[0], crops.noisy)
    before = 6 / max(peaks["down1_0"]) * peaks["down1_0"]
    assert after["down1_0"].max() == pytest.approx(6, rel=0.03)  # the layer before clips a few values now
    weak = (before < 4) & (before > 6 / 32)
    assert weak.any()
    assert np.all(after["down1_0"][weak] > before[weak] * 1.05)


def test_a_level_without_values_can_be_scaled(tiny, crops):
    model = build(tiny)
    model.get_layer("down1_0").kernel.assign(tf.zeros_like(model.get_layer("down1_0").kernel))
    scaled, ranges = fit_ranges(tiny, model, crops.noisy)
    assert ranges["down1_0_relu"] == (0.0, 6.0)
    assert all(np.isfinite(weight).all() for weight in scaled.get_weights())


def test_rounded_kernels_keep_the_picture_better_than_weights_rounded_one_by_one(fit, crops, tiny):
    scaled, ranges = fit
    nearest = build(tiny)
    for name, layer in convolutions(nearest).items():
        kernel = convolutions(scaled)[name].kernel.numpy()
        scale = np.maximum(np.abs(kernel).max((0, 1, 2)) / 127, 1e-12)
        layer.kernel.assign(np.rint(kernel / scale) * scale)
        layer.bias.assign(convolutions(scaled)[name].bias)
    rounded = round_kernels(tiny, scaled, ranges, crops.noisy)
    noisy = tf.constant(crops.noisy.astype(np.float32) / 255)
    errors = [np.square(net(noisy) - scaled(noisy)).mean() for net in (rounded, nearest)]
    assert errors[0] < 0.7 * errors[1]
    for name, layer in convolutions(rounded).items():
        before, after = convolutions(scaled)[name].kernel.numpy(), layer.kernel.numpy()
        np.testing.assert_array_equal(after == 0, before == 0)  # rounding makes no zeros that training would keep
        steps = after / np.maximum(np.abs(before).max((0, 1, 2)) / 127, 1e-12)
        np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)


@pytest.mark.parametrize(
    "network",
    [
        Architecture(widths=(8,), depths=(1,)),
        Architecture(channels=1, widths=(8, 8), depths=(2, 1), last_kernel=1),
        Architecture(stem=4, widths=(16, 8, 8), depths=(1, 2, 1)),
    ],
    ids=str,
)
def test_networks_of_any_shape_are_scaled_and_rounded(network):
    keras.utils.set_random_seed(2)
    model = build(network)
    noisy = np.random.default_rng(0).integers(0, 256, (4, 64, 64, network.channels), np.uint8)
    scaled, ranges = fit_ranges(network, model, noisy)
    picture = tf.constant(noisy.astype(np.float32) / 255)
    rounded = quantizable(network, scaled, ranges)(picture)
    assert rounded.shape == picture.shape
    np.testing.assert_allclose(
        export(network, quantizable(network, scaled, ranges), ranges)(picture), rounded, atol=0.02
    )


@pytest.mark.parametrize("border", [0, 2])
def test_what_a_convolution_reads_is_measured_where_it_reads(border):
    """The mean of what it reads, times its kernel, plus its bias, is the mean of its output."""
    network = Architecture(widths=(8, 8, 8), depths=(1, 2, 1), border=border)
    assert any(steps % 2 for steps in network.extra_steps) == (border == 2)
    model = build_tiny(architecture=network)
    noisy = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for each in network.convolutions():
        layer = model.get_layer(each.name)
        mean, _ = qat._moments(keras.Model(model.inputs, layer.input), [noisy], each, layer.padding)
        output = keras.Model(model.inputs, layer.output)(noisy.astype(np.float32) / 255).numpy()
        expected = mean @ layer.kernel.numpy().reshape(-1, each.outputs) + layer.bias.numpy()
        np.testing.assert_allclose(output.mean((0, 1, 2)), expected, atol=1e-4, err_msg=each.name)


def test_zeros_stay_and_weights_move(trained, tuned):
    assert sparsity(trained) > 0.45
    for name, layer in convolutions(trained).items():
        before, after = layer.kernel.numpy(), trained_weights(tuned, name)[0].numpy()
        np.testing.assert_array_equal(after[before == 0], 0)
        assert np.any(after != before)


def test_export_computes_what_was_trained(tuned, fit, crops, tiny, tmp_path):
    plain = export(tiny, tuned, fit[1])
    noisy = tf.constant(crops.noisy[:4].astype(np.float32) / 255)
    for name, layer in convolutions(plain).items():
        kernel = layer.kernel.numpy()
        steps = kernel / np.maximum(np.abs(kernel).max((0, 1, 2)) / 127, 1e-12)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        trained = trained_weights(tuned, name)[0].numpy()
        assert np.abs(kernel - trained).max() <= np.abs(trained).max() / 127 * 0.51
    # A value between two levels may go either way, and what reads it with it: a step at the most, and rarely.
    apart = np.abs(plain(noisy) - tuned(noisy, training=False))
    assert apart.max() < 1.5 / 255
    assert np.mean(apart > 0.5 / 255) < 0.1
    plain.save(tmp_path / "m.keras", save_format="keras")
    again = keras.models.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_array_equal(again(noisy), plain(noisy))


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning")  # the ranges are in the graph
def test_it_converts_to_int8_with_exact_ends(tuned, fit, tiny):
    plain = export(tiny, tuned, fit[1])
    fixed = keras.Input((32, 32, 3), batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, plain(fixed)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = Interpreter(model_content=converter.convert())
    for end in (interpreter.get_input_details()[0], interpreter.get_output_details()[0]):
        assert end["quantization"] == (pytest.approx(1 / 255, rel=1e-6), -128)
    kinds = {str(np.dtype(each["dtype"])) for each in interpreter.get_tensor_details()}
    assert kinds <= {"int8", "int32"}


def test_convolutions_can_multiply_in_bfloat16(fit, crops, tiny):
    """bfloat16 keeps eight bits of a number, so the outputs are near; everything else is float32."""
    noisy = tf.constant(crops.noisy[:4].astype(np.float32) / 255)
    whole, halved = (quantizable(tiny, *fit, precision)(noisy) for precision in ("float32", "mixed_bfloat16"))
    assert whole.dtype == halved.dtype == tf.float32
    assert 0 < np.abs(whole - halved).mean() < 0.5 / 255


def test_a_run_is_made_ready_from_the_command_line(pair_folder, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[model]\nwidths = [8, 16]\ndepths = [1, 1]\n[training]\npatch = 32\nbatch = 4\nsteps = 12\ncrop = 64\n"
    )
    words = ["--data", str(pair_folder)]
    assert run(["train", str(config), *words, "--out", str(tmp_path / "run")]) == 0
    assert run(["train", str(tmp_path / "run"), "--qat", *words, "--steps", "8"]) == 0
    told = json.loads((tmp_path / "run-qat" / "evaluation.json").read_text())
    assert told["quantization_aware_training"]["ranges"]["denoise"] == [0.0, 1.0]
    model = keras.models.load_model(tmp_path / "run-qat" / "model.keras", compile=False)
    assert sum("fake_quant" in layer.name for layer in model.layers) == 8
    assert run(["train", str(config), "--qat", *words]) == 2
    assert run(["train", str(tmp_path / "run"), "--qat", *words, "--teacher", str(tmp_path / "run")]) == 2

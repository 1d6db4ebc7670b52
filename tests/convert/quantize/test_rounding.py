"""Weights that make up for each other's rounding: outputs stay nearer, and nothing but weights changes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from convert import orders
from convert.converter import prepare
from convert.quantize import rounding
from convert.quantize.loss import Loss
from convert.quantize.rounding import round_kernels, stored_kernels, write_kernels
from convert.quantize.scheme import Scheme
from convert.sources.keras_model import load_keras
from quietcam.app.cli import run
from quietcam.image import to_float
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import read_manifest
from quietcam.tflite.measurement import tensor_runner
from tests.convert.quantize.test_collapse import plain_network
from tests.tiny_network import build_tiny, noisy_pictures, set_of


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """A run of the tiny network with some of its weights pruned."""
    from train.model import convolutions

    model = build_tiny()
    for layer in convolutions(model).values():
        kernel = layer.kernel.numpy()
        layer.kernel.assign(np.where(np.abs(kernel) < np.quantile(np.abs(kernel), 0.15), 0, kernel))
    path = tmp_path_factory.mktemp("pruned") / "pruned.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def prepared(pruned):
    return prepare(load_keras(pruned), set_of(noisy_pictures(16, 32)[0]))


@pytest.fixture(scope="module")
def made(prepared):
    """Graphs of int8 with both ways of rounding, their biases not corrected: ``{rounding: graph}``."""
    return {
        each: read_graph(prepared.quantize(prepared.content, Scheme(rounding=each, bias=False)))
        for each in (False, True)
    }


def kernel_of(op):
    """The weights as real numbers, ``(height, width, inputs, outputs)``."""
    weights = op.inputs[1]
    steps = np.reshape(weights.scales or 1.0, (-1, 1, 1, 1))
    return (np.asarray(weights.data, np.float64).reshape(weights.shape) * steps).transpose(1, 2, 3, 0)


def convolutions_of(graph):
    return {op.outputs[0].name: op for op in graph.ops if op.kind == "CONV_2D"}


def test_what_each_convolution_computes_is_nearer_than_with_nearest_steps(prepared, made):
    """Of pictures that are not in the set, by TensorFlow's own convolution; the mean is left to the bias."""
    floats = convolutions_of(read_graph(prepared.content))
    given = {op.inputs[0].index: op.inputs[0].shape for op in floats.values()}
    run_frame = tensor_runner(prepared.content, list(given))
    frames = [dict(run_frame(to_float(each)[None])) for each in noisy_pictures(6, 32, seed=9)[0]]
    ratios = []
    for name, op in floats.items():
        reads = tf.constant(np.concatenate([f[op.inputs[0].index].reshape(op.inputs[0].shape) for f in frames]))
        off = {}
        for way, graph in made.items():
            error = kernel_of(convolutions_of(graph)[name]) - kernel_of(op)
            strides = [op.options.strideH, op.options.strideW]
            off[way] = tf.nn.conv2d(reads, error.astype(np.float32), strides, "SAME").numpy().var((0, 1, 2)).sum()
        ratios.append(off[True] / off[False])
    assert len(ratios) == 5
    assert max(ratios) < 0.9
    assert np.mean(ratios) < 0.6


def test_only_weights_change_and_by_few_steps_and_zeros_stay_zero(prepared, made):
    floats = convolutions_of(read_graph(prepared.content))
    changed = 0
    for before, after in zip(made[False].tensors, made[True].tensors, strict=True):
        assert (before.name, before.shape, before.scales) == (after.name, after.shape, after.scales)
        if before.data is not None and not np.array_equal(before.data, after.data):
            assert before.dtype == "int8"
            assert len(before.scales) == before.shape[0]
            changed += 1
    assert changed == 5
    zeros = 0
    for name, op in convolutions_of(made[True]).items():
        exact = kernel_of(floats[name])
        steps = (kernel_of(op) - exact) / np.reshape(op.inputs[1].scales, (1, 1, 1, -1))
        assert 0.51 < np.abs(steps).max() < 3
        np.testing.assert_array_equal(kernel_of(op)[exact == 0], 0)
        zeros += np.sum(exact == 0)
    assert zeros > 500


@pytest.mark.parametrize(
    "layer",
    [
        {"strides": 2, "padding": "same"},
        {"strides": (2, 1), "padding": "valid"},
        {"dilation_rate": 2, "padding": "same"},
        {"kernel_size": (1, 5), "strides": 3, "padding": "same"},
    ],
    ids=str,
)
def test_the_values_that_are_compared_are_those_that_the_convolution_reads(layer):
    """Their products with the kernel are what TensorFlow computes at as many places."""
    given = np.random.default_rng(0).normal(size=(1, 11, 8, 3)).astype(np.float32)
    convolution = keras.layers.Conv2D(4, **{"kernel_size": 3, "use_bias": False, **layer})
    expected = convolution(given).numpy().reshape(-1, 4)
    fixed = keras.Input(given.shape[1:], batch_size=1)
    content = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, convolution(fixed))).convert()
    (op,) = (op for op in read_graph(content).ops if op.kind == "CONV_2D")
    values = tf.nn.space_to_batch(given, [2, 2], [[0, 0], [0, 0]]).numpy() if op.inputs[0].shape[0] != 1 else given
    read = rounding._read(op, values.reshape(-1, 3), 10_000)
    np.testing.assert_allclose(read @ kernel_of(op).reshape(-1, 4), expected, atol=1e-4)


def test_convolutions_that_are_finished_or_in_float_keep_their_weights(prepared, conversions):
    names = list(convolutions_of(read_graph(prepared.content)))
    kernels = round_kernels(prepared.content, prepared.frames, finished=names[:2])
    assert list(kernels) == names[2:]
    floating = conversions["float32"].content
    assert write_kernels(floating, kernels) == write_kernels(floating, {})
    int8 = prepared.quantize(prepared.content, Scheme())
    assert write_kernels(int8, stored_kernels(int8)) == write_kernels(int8, {})


class Given:
    """A judge whose losses are given: ``{rounding: dB}``."""

    def __init__(self, losses):
        self.losses = losses

    def loss(self, scheme):
        return Loss(self.losses[scheme.rounding])


@pytest.mark.parametrize(("losses", "kept"), [({True: 0.1, False: 0.3}, True), ({True: 0.3, False: 0.1}, False)])
def test_the_rounding_that_loses_less_is_chosen(losses, kept):
    scheme, loss = orders._choose_rounding(Given(losses), Scheme())
    assert (scheme.rounding, loss.drop) == (kept, 0.1)
    nearest = Scheme(rounding=False)
    assert orders._choose_rounding(Given(losses), nearest) == (nearest, Loss(losses[False]))


def test_convert_says_what_each_rounding_loses_and_the_manifest_names_the_chosen_one(tmp_path, capsys):
    plain_network(1.0).save(tmp_path / "plain.keras")
    save_set(tmp_path / "rep.npz", set_of(noisy_pictures(16, 32, seed=5)[0]))
    words = ["convert", str(tmp_path / "plain.keras"), "--recipe", "int8", "--size", "64x64", "--out", str(tmp_path)]
    assert run([*words, "--representative", str(tmp_path / "rep.npz")]) == 0
    assert "if weights make up for rounding, and about" in " ".join(capsys.readouterr().err.split())
    scheme = read_manifest(tmp_path / "plain_64x64_int8.tflite").training["ranges"]["scheme"]
    assert "weights that make up for rounding" in scheme

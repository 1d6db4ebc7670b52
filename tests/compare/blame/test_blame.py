"""Blame: the layer that was broken on purpose is named, and every figure is computed independently."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter as LiteRt

from compare.blame.blame import blame
from compare.blame.cause import cause_of
from compare.blame.isolate import isolate
from compare.blame.match import match_layers
from convert.converter import convert_model
from convert.recipes import get_recipe
from convert.sources.loaded_model import LoadedModel
from quietcam.errors import ModelError
from quietcam.tflite.graph import read_graph
from quietcam.tflite.packing import pack, schema
from tests.tiny_network import SIZE, noisy_pictures, set_of

LAYERS = ("early", "middle", "late")


def plain_network():
    """Convolutions with plain ReLU between them, which no range bounds: a 3x3 mean that goes through 16 channels.

    Each layer is close to the identity and positive, so that the ReLUs let everything through, and the last one is the
    inverse of the others times the mean over 3x3 pixels. So the network does denoise, without any training.
    """
    layers, rng = keras.layers, np.random.default_rng(3)
    noisy = keras.Input((None, None, 3), name="noisy")
    mixes = [np.tile(np.eye(3), (1, 6))[:, :16], np.eye(16), np.eye(16)]
    mixes = [mix + rng.uniform(0, 0.1, mix.shape) for mix in mixes]
    x, through = noisy, np.eye(3)
    for name, mix in zip(LAYERS, mixes, strict=True):
        kernel = np.zeros((3, 3, *mix.shape), np.float32)
        kernel[1, 1] = mix
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name=name, weights=[kernel, np.zeros(16)])(x)
        through = through @ mix
    kernel = np.tile(np.linalg.pinv(through) / 9, (3, 3, 1, 1)).astype(np.float32)
    x = layers.Conv2D(3, 3, padding="same", name="back", weights=[kernel, np.zeros(3)])(x)
    return keras.Model(noisy, layers.ReLU(1.0, name="clip")(x), name="plain")


def stretch(model, name, reader, channel, k):
    """Multiply one ReLU channel by ``k`` and divide what reads it: the same function, since ReLU(kx) = k ReLU(x)."""
    kernel, bias = model.get_layer(name).get_weights()
    kernel[..., channel] *= k
    bias[channel] *= k
    model.get_layer(name).set_weights([kernel, bias])
    kernel, bias = model.get_layer(reader).get_weights()
    kernel[:, :, channel] /= k
    model.get_layer(reader).set_weights([kernel, bias])


def busiest_channel(model, name, noisy):
    """The channel that carries most, so that the stretch is felt whatever the weights are."""
    inner = keras.Model(model.input, model.get_layer(name).output)
    return int(np.asarray(inner(noisy[:2] / np.float32(255))).mean(axis=(0, 1, 2)).argmax())


def contents(model, noisy):
    """Float and int8 ``.tflite`` of a network."""
    loaded = LoadedModel(path=None, model=model, channels=3, carries_ranges=False, architecture=None)
    return [
        convert_model(
            loaded,
            get_recipe(recipe),
            width=SIZE,
            height=SIZE,
            representative=set_of(noisy) if recipe == "int8" else None,
        ).content
        for recipe in ("float32", "int8")
    ]


@pytest.fixture(scope="module")
def pictures():
    return noisy_pictures(8, SIZE, seed=11, sigma=8.0)


@pytest.fixture(scope="module")
def healthy(pictures):
    model = plain_network()
    return contents(model, pictures[0])


def test_a_healthy_network_has_no_outliers(healthy, pictures):
    found = blame(*healthy, zip(*pictures, strict=True), model="m int8", reference="m float32")
    assert abs(found.drop) < 0.3
    assert not [layer for layer in found.layers if "outlier" in layer.cause]
    assert [layer.name for layer in found.layers if layer.kind == "CONV_2D"] == [*LAYERS, "back"]


@pytest.mark.parametrize(("name", "reader"), [("early", "middle"), ("middle", "late"), ("late", "back")])
def test_the_stretched_layer_is_named_with_its_channel(name, reader, healthy, pictures):
    noisy, clean = pictures
    model = plain_network()
    channel = busiest_channel(model, name, noisy)
    stretch(model, name, reader, channel, 50.0)
    floating, quantized = contents(model, noisy)
    # The float function is the same; int8 collapses.
    before, after = (_run(content, noisy[0])[0] for content in (healthy[0], floating))
    np.testing.assert_allclose(after, before, atol=2e-5)
    sound = blame(*healthy, zip(noisy, clean, strict=True))
    found = blame(floating, quantized, zip(noisy, clean, strict=True), model="m int8")
    assert found.drop > sound.drop + 1.0
    assert found.culprit == name
    layer = next(each for each in found.layers if each.name == name)
    assert layer.cost == max(each.cost for each in found.layers)
    assert layer.channel == channel
    assert f"channel {channel} reaches" in layer.cause
    # 50 times the range leaves the other channels a fiftieth of the levels.
    assert layer.typical_peak / layer.high * 255 < 16
    assert name in found.verdict
    assert "outlier channel" in found.verdict


def test_an_outlier_in_values_is_told_from_one_in_channels(pictures):
    """One bright pixel drives every channel of a layer: no channel stands out, the values do."""
    noisy, clean = (np.repeat(each[:1], 2, axis=0) for each in pictures)
    model = plain_network()
    floating, quantized = contents(model, noisy)
    found = blame(floating, quantized, zip(noisy, clean, strict=True))
    layer = next(each for each in found.layers if each.name == "middle")

    wide = dataclasses.replace(layer, low=0.0, high=40 * layer.percentiles["99.95"], cost_weights=None)
    wide = dataclasses.replace(wide, channel_peak=wide.high, typical_peak=wide.high / 2, levels=6)
    assert "outliers: the range is" in cause_of(wide)
    assert "on 6 of 256 levels" in cause_of(wide)
    clipped = dataclasses.replace(layer, clipped=0.02, clipped_error=0.9, cost_weights=None)
    assert cause_of(clipped).startswith("clipping: 2 %")
    weights = dataclasses.replace(layer, cost=1.0, cost_weights=0.8)
    assert cause_of(weights).startswith("its weights")


def test_ratios_ranges_and_levels_are_those_of_litert_and_numpy(healthy, pictures):
    floating, quantized = healthy
    noisy, clean = pictures
    found = blame(floating, quantized, zip(noisy, clean, strict=True))
    assert found.pictures == 6
    graphs = read_graph(floating), read_graph(quantized)
    for layer, (_, op, tensor) in zip(found.layers, match_layers(*graphs), strict=True):
        values = np.stack([_keep(floating, picture, tensor.index) for picture in noisy[:6]]).astype(np.float64)
        codes = np.stack([_keep(quantized, picture, op.outputs[0].index) for picture in noisy[:6]])
        scale, zero = op.outputs[0].scales[0], op.outputs[0].zero_points[0]
        real = (codes.astype(np.float64) - zero) * scale
        assert layer.sqnr == pytest.approx(_ratio(values, values - real), abs=0.01)
        rounded = (np.clip(np.rint(values / scale) + zero, -128, 127) - zero) * scale
        assert layer.own_sqnr == pytest.approx(_ratio(values, values - rounded), abs=0.05)
        assert (layer.least, layer.greatest) == pytest.approx((values.min(), values.max()), rel=1e-4)
        assert (layer.low, layer.high) == pytest.approx(((-128 - zero) * scale, (127 - zero) * scale), rel=1e-4)
        assert layer.read_levels <= 256
        assert layer.percentiles["99"] == pytest.approx(np.percentile(values, 99), rel=0.05, abs=0.02)
        ordered = np.sort(codes.astype(int).ravel())
        middle = ordered[int(0.0005 * ordered.size) : int(np.ceil(0.9995 * ordered.size))]
        assert layer.levels == pytest.approx(middle[-1] - middle[0] + 1, abs=1)
        beyond = (values > layer.high + scale / 2) | (values < layer.low - scale / 2)
        assert layer.clipped == pytest.approx(beyond.mean(), abs=1e-4)
        peaks = np.abs(values).max(axis=(0, 1, 2))
        assert (layer.channel, layer.channel_peak) == (int(peaks.argmax()), pytest.approx(peaks.max(), rel=1e-4))


def test_isolating_rounds_one_tensor_and_nothing_else(healthy, pictures):
    floating = healthy[0]
    graph = read_graph(floating)
    out = graph.ops[-1].outputs[0]
    plain = _run(floating, pictures[0][0])[0]
    # At the end of the network the outcome is known by hand.
    rounded = _run(isolate(floating, activation=(out.index, 0.05, -128, "int8")), pictures[0][0])[0]
    np.testing.assert_allclose(rounded, np.rint(plain / 0.05) * 0.05, atol=0.0501)
    assert np.mean(np.abs(rounded - np.rint(plain / 0.05) * 0.05) > 1e-5) < 1e-3  # ties may fall either way
    np.testing.assert_allclose(rounded, (np.rint(rounded / 0.05)) * 0.05, atol=1e-6)
    # And the same weights change nothing, while none at all do.
    weights = next(op.weights for op in graph.ops if op.weights is not None)
    same = isolate(floating, weights={weights.index: weights.data.view("<f4")})
    np.testing.assert_array_equal(_run(same, pictures[0][0])[0], plain)
    gone = isolate(floating, weights={weights.index: np.zeros(weights.size, np.float32)})
    assert np.abs(_run(gone, pictures[0][0])[0] - plain).max() > 0.01


def test_the_whole_family_matches_layer_by_layer(conversions):
    graphs = conversions["float32"].graph, conversions["int8"].graph
    pairs = match_layers(*graphs)
    assert [op for _, op, _ in pairs] == list(graphs[1].ops)
    add = next(tensor for _, op, tensor in pairs if op.kind == "ADD" and tensor.shape[-1] == 12)
    assert "clip" in add.name  # int8 ends at [0, 1] where float clips in operators of their own


def test_a_graph_that_leaves_depth_to_space_to_the_host_is_blamed_alike(conversions):
    """What the Edge TPU takes: the same network without its last operator."""
    pairs = list(zip(*noisy_pictures(3, SIZE, seed=2), strict=True))
    floating, quantized = (conversions[each].content for each in ("float32", "int8"))
    model = schema().ModelT.InitFromPackedBuf(quantized, 0)
    last = model.subgraphs[0].operators.pop()
    model.subgraphs[0].outputs = last.inputs
    model.signatureDefs = None
    whole, cut = blame(floating, quantized, pairs), blame(floating, pack(model), pairs)
    assert cut.drop == whole.drop
    assert cut.layers == whole.layers[:-1]


def test_networks_that_have_nothing_in_common_are_refused(healthy, pictures):
    import tensorflow as tf

    function = tf.function(lambda x: {"y": tf.abs(x)}).get_concrete_function(tf.TensorSpec([1, 8, 8, 3]))
    other = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    with pytest.raises(ModelError, match=r"no layer matches.*Remedy"):
        blame(other, healthy[1], zip(*pictures, strict=True), model="a", reference="b")


def _ratio(signal, noise):
    squares = float(np.square(noise).sum())
    return 200.0 if squares == 0 else min(200.0, 10 * math.log10(float(np.square(signal).sum()) / squares))


def _interpreter(content, **options):
    interpreter = LiteRt(model_content=content, **options)
    interpreter.allocate_tensors()
    return interpreter


def _run(content, noisy):
    interpreter = _interpreter(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], (noisy / np.float32(255))[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _keep(content, noisy, index):
    import warnings

    from ai_edge_litert.interpreter import OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = _interpreter(
            content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
    entrance = interpreter.get_input_details()[0]
    is_float = entrance["dtype"] == np.float32
    value = (noisy / np.float32(255)) if is_float else (noisy.astype(int) - 128).astype(np.int8)
    interpreter.set_tensor(entrance["index"], value[None])
    interpreter.invoke()
    return interpreter.get_tensor(index)[0].copy()

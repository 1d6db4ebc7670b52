"""The receptive field against what really happens: a pixel is changed, and one looks how far the output changes."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from convert.recipes import RECIPES
from quietcam.architecture import Architecture
from quietcam.tflite.graph import read_graph
from quietcam.tflite.receptive_field import receptive_field
from tests.tiny_network import VIDEO

SIDE = 64
CENTER = 32


def _graph(model, side=SIDE):
    function = tf.function(model).get_concrete_function(tf.TensorSpec([1, side, side, 1], tf.float32))
    return read_graph(tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert())


def _farthest(model):
    """From every output pixel of the middle, how far the farthest input pixel is that changes it. From gradients."""
    farthest = 0
    for position in range(CENTER, CENTER + 4):
        noisy = tf.ones((1, SIDE, SIDE, 1))
        with tf.GradientTape() as tape:
            tape.watch(noisy)
            out = model(noisy)[0, position, position, 0]
        rows, columns = np.nonzero(tape.gradient(out, noisy).numpy()[0, ..., 0])
        farthest = max(farthest, *np.abs(rows - position), *np.abs(columns - position))
    return int(farthest)


def _network(inner):
    def conv(filters, kernel, **options):
        return keras.layers.Conv2D(filters, kernel, padding="same", kernel_initializer="ones", **options)

    noisy = keras.Input((None, None, 1))
    return keras.Model(noisy, inner(noisy, conv))


@pytest.mark.parametrize(
    "inner",
    [
        lambda x, conv: conv(1, 3)(conv(2, 5)(x)),
        lambda x, conv: conv(1, 3, dilation_rate=3)(x),
        lambda x, conv: keras.layers.UpSampling2D(2, interpolation="bilinear")(conv(1, 3, strides=2)(x)),
        lambda x, conv: keras.layers.UpSampling2D(2)(keras.layers.AveragePooling2D(2)(conv(1, 3)(x))),
        lambda x, conv: keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same", kernel_initializer="ones")(
            conv(1, 3, strides=2)(x)
        ),
        lambda x, conv: tf.nn.depth_to_space(conv(4, 3)(tf.nn.space_to_depth(x, 2)), 2),
        lambda x, conv: x + conv(1, 7)(x),
    ],
)
def test_it_is_twice_the_farthest_gradient_and_one(inner):
    model = _network(inner)
    assert receptive_field(_graph(model)) == 2 * _farthest(model) + 1


def test_it_agrees_with_the_description_of_our_own_networks(conversions):
    described = Architecture(stem=2, widths=(8, 16), depths=(1, 1)).receptive_field
    for recipe in RECIPES:
        assert receptive_field(conversions[recipe].graph) == pytest.approx(described, abs=2)


def test_the_reach_of_an_unknown_operator_is_not_guessed(conversions):
    graph = conversions["float32"].graph
    odd = dataclasses.replace(graph.ops[0], kind="CUSTOM wonder")
    assert receptive_field(dataclasses.replace(graph, ops=(odd, *graph.ops[1:]))) is None


def test_a_video_network_looks_through_its_fusion_from_either_input(video_conversions):
    """Against the description of the network, which counts it by hand; int8 and float alike."""
    for recipe in ("float32", "int8"):
        graph = video_conversions[recipe].graph
        assert graph.stride == VIDEO.stride == 8
        found = receptive_field(graph)
        assert found is not None
        assert VIDEO.receptive_field <= found + VIDEO.stride
        assert found <= VIDEO.receptive_field + VIDEO.stride
        assert graph.gmacs_256 == pytest.approx(VIDEO.gmacs(), rel=1e-6)
        assert graph.parameters == VIDEO.parameters


def test_no_pixel_of_a_video_network_looks_farther_than_the_graph_says(video_loaded, video_conversions):
    """By gradients of both outputs, to both inputs."""
    reach = receptive_field(video_conversions["float32"].graph) // 2
    farthest = 0
    frames = [tf.constant(np.random.default_rng(seed).uniform(0.3, 0.7, (1, 96, 96, 3)), tf.float32) for seed in (0, 1)]
    for place in range(48, 56):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(frames)
            outputs = [tf.reduce_sum(each[0, place, place]) for each in video_loaded.model(frames)]
        for out in outputs:
            for gradient in tape.gradient(out, frames):
                rows, columns = np.nonzero(np.abs(gradient.numpy()[0]).sum(-1))
                farthest = max([farthest, *np.abs(rows - place), *np.abs(columns - place)])
    assert 0 < farthest <= reach
    assert farthest >= reach - 8

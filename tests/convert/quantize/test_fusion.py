"""Which graphs have a fusion with ranges by design: those that blend a frame with its history, and no others."""

from __future__ import annotations

import pytest
import tensorflow as tf

from convert.quantize.fusion import STEPS, find_fusion
from quietcam.tflite.activations import Range
from quietcam.tflite.graph import read_graph
from quietcam.tflite.surgery import order_ends


def graph_of(fuse):
    specs = [tf.TensorSpec([1, 16, 16, 3], tf.float32, name=name) for name in ("noisy", "history")]
    kernel = tf.constant([[[[0.5] * 3] * 3]])

    def network(noisy, history):
        share = lambda x: tf.nn.conv2d(x, kernel, 1, "SAME")  # noqa: E731
        fused = fuse(noisy, history, share)
        return {"denoised": tf.nn.conv2d(fused, kernel, 1, "SAME"), "history": fused}

    root = tf.Module()
    concrete = tf.function(network).get_concrete_function(*specs)
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], root).convert()
    return read_graph(order_ends(content))


def clipped(x):
    return tf.clip_by_value(x, 0.0, 1.0)


@pytest.mark.parametrize(
    "fuse",
    [
        lambda n, h, share: n + clipped(share(h - n)) * (h - n),
        lambda n, h, share: n - clipped(share(n - h)) * (n - h),
        lambda n, h, share: h + clipped(share(n - h)) * (n - h),
        lambda n, h, share: h - (h - n) * clipped(share(h - n)),
    ],
)
def test_each_way_to_write_a_blend_is_found(fuse):
    graph = graph_of(fuse)
    fusion = find_fusion(graph)
    assert fusion.fused == "history_out"
    assert len(fusion.shares) >= 2
    assert fusion.ranges[fusion.change] == fusion.ranges[fusion.differences[0]] == STEPS
    assert {fusion.ranges[each] for each in (*fusion.shares, fusion.fused)} == {Range(0.0, 1.0)}


@pytest.mark.parametrize(
    "fuse",
    [
        lambda n, h, share: h + clipped(share(h - n)) * (h - n),  # away from the noisy frame
        lambda n, h, share: n + clipped(share(h)) * h,
        lambda n, h, share: share(tf.concat([n, h], -1)[..., 2:5]),
    ],
)
def test_what_is_no_blend_is_not_found(fuse):
    assert find_fusion(graph_of(fuse)) is None


def test_a_share_without_bounds_keeps_the_range_that_is_measured():
    fusion = find_fusion(graph_of(lambda n, h, share: n + share(h - n) * (h - n)))
    assert fusion.shares == ()
    fusion = find_fusion(graph_of(lambda n, h, share: n + tf.nn.relu(share(h - n)) * (h - n)))
    assert fusion.shares == ()


def test_a_still_network_has_none(conversions):
    assert find_fusion(conversions["float32"].graph) is None

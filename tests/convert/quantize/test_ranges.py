"""Ranges against Keras: what each layer gives when it runs alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tf_keras as keras

from convert.quantize.ranges import RangeRule, choose_ranges, measure_ranges, quantize, stored_ranges
from quietcam.image import to_float
from quietcam.tflite.measurement import measure_activations
from tests.tiny_network import noisy_pictures


@pytest.fixture(scope="module")
def frames():
    return [to_float(picture)[None] for picture in noisy_pictures(3, 64)[0]]


def _by_layer(loaded, names, frames):
    """All values of the named layers over all frames, from Keras."""
    inner = keras.Model(loaded.model.input, [loaded.model.get_layer(name).output for name in names])
    outputs = [inner(frame) for frame in frames]
    return [np.concatenate([np.ravel(each[i]) for each in outputs]) for i in range(len(names))]


def test_activations_are_measured_before_an_add_overwrites_them(loaded, conversions, frames):
    """`residual` feeds an ADD that may overwrite it; its range must still be its own."""
    measured = measure_activations(conversions["float32"].content, lambda: frames).values()
    names = ["residual", *(layer.name for layer in loaded.model.layers if layer.name.endswith("_relu"))]
    for values in _by_layer(loaded, names, frames):
        assert any(
            found.low == pytest.approx(values.min(), abs=1e-3) and found.high == pytest.approx(values.max(), abs=1e-3)
            for found in measured
        )


def test_a_tail_gives_up_that_share_of_values_and_no_more(loaded, conversions, frames):
    (values,) = _by_layer(loaded, ["up0_0_relu"], frames)
    whole = measure_ranges(conversions["float32"].content, lambda: frames, tail=0.0)
    name = next(n for n, found in whole.items() if found.high == pytest.approx(values.max(), abs=1e-3))
    found = measure_ranges(conversions["float32"].content, lambda: frames, tail=0.01)[name]
    assert 0.008 < np.mean(values > found.high) <= 0.01


def _residuals_ranges(content, frames, scale):
    """Ranges that reach below zero after int8, if the residual reached ``scale`` times as far as it does."""
    measured = measure_activations(content, lambda: frames).values()
    scaled = [
        replace(each, low=scale * each.low, high=scale * each.high) if each.low < 0 else each for each in measured
    ]
    found = stored_ranges(quantize(content, choose_ranges(content, scaled, RangeRule(0.0))))
    return min(each.low for each in scaled), [each for each in found.values() if each.low < 0]


def test_what_is_added_to_pixels_has_whole_steps_of_a_pixel(conversions, frames):
    """So the sum rounds nothing more, and a pixel of salt can be moved by half of the range."""
    reach, found = _residuals_ranges(conversions["float32"].content, frames, 0.2)
    assert -0.3 < reach < 0
    assert found
    for each in found:
        assert (255 * each.low, 255 * each.high) == (pytest.approx(-128), pytest.approx(127))


def test_a_residual_that_reaches_further_keeps_its_range(conversions, frames):
    reach, found = _residuals_ranges(conversions["float32"].content, frames, 1.0)
    assert reach < -0.51
    assert found
    for each in found:
        assert each.low == pytest.approx(reach, rel=0.02)


def test_pixels_keep_their_own_range(conversions, frames):
    content, graph = conversions["float32"].content, conversions["float32"].graph
    ranges = measure_ranges(content, lambda: frames)
    for end in (*graph.inputs, *graph.outputs):
        assert (ranges[end.name].low, ranges[end.name].high) == (0.0, 1.0)

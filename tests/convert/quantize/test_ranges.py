"""Ranges against Keras: what each layer gives when it runs alone."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras as keras

from convert.quantize.ranges import measure_ranges
from quietcam.image import to_float
from tests.tiny_network import noisy_pictures


@pytest.fixture(scope="module")
def frames():
    return [to_float(picture)[None] for picture in noisy_pictures(3, 64)[0]]


def _by_layer(loaded, names, frames):
    """All values of the named layers over all frames, from Keras."""
    inner = keras.Model(loaded.model.input, [loaded.model.get_layer(name).output for name in names])
    outputs = [inner(frame) for frame in frames]
    return [np.concatenate([np.ravel(each[i]) for each in outputs]) for i in range(len(names))]


def test_without_a_tail_ranges_are_the_extremes_even_before_an_add(loaded, conversions, frames):
    """`residual` feeds an ADD that may overwrite it; its range must still be its own."""
    ranges = measure_ranges(conversions["float32"].content, lambda: frames, tail=0.0)
    names = ["residual", *(layer.name for layer in loaded.model.layers if layer.name.endswith("_relu"))]
    for values in _by_layer(loaded, names, frames):
        low, high = min(values.min(), 0.0), max(values.max(), 0.0)
        assert any(
            found.low == pytest.approx(low, abs=1e-3) and found.high == pytest.approx(high, abs=1e-3)
            for found in ranges.values()
        )


def test_a_tail_gives_up_that_share_of_values_and_no_more(loaded, conversions, frames):
    (values,) = _by_layer(loaded, ["residual"], frames)
    whole = measure_ranges(conversions["float32"].content, lambda: frames, tail=0.0)
    name = next(n for n, found in whole.items() if found.low == pytest.approx(values.min(), abs=1e-3))
    found = measure_ranges(conversions["float32"].content, lambda: frames, tail=0.01)[name]
    assert 0.008 < np.mean(values < found.low) <= 0.01
    assert 0.008 < np.mean(values > found.high) <= 0.01


def test_pixels_keep_their_own_range(conversions, frames):
    content, graph = conversions["float32"].content, conversions["float32"].graph
    ranges = measure_ranges(content, lambda: frames)
    for end in (*graph.inputs, *graph.outputs):
        assert (ranges[end.name].low, ranges[end.name].high) == (0.0, 1.0)

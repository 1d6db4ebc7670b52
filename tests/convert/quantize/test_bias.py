"""Bias correction: shifts put in on purpose are found and taken out, and nothing but biases changes."""

from __future__ import annotations

import numpy as np
import pytest

from convert.quantize.bias import add_shifts, measure_shifts
from quietcam.image import to_float
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import tensor_runner
from tests.tiny_network import noisy_pictures


@pytest.fixture(scope="module")
def frames():
    return [to_float(picture)[None] for picture in noisy_pictures(3, 64, seed=2)[0]]


def _mean(content, frames):
    """Per channel, real numbers, of what the convolution `residual` gives."""
    out = next(op.outputs[0] for op in read_graph(content).ops if "residual" in op.outputs[0].name)
    run = tensor_runner(content, [out.index])
    values = np.concatenate([values for frame in frames for _, values in run(frame)]).astype(np.float64)
    return values.mean(0) if not out.scales else (values.mean(0) - out.zero_points[0]) * out.scales[0]


def test_a_shift_that_was_put_in_is_taken_out(conversions, frames):
    floating, quantized = conversions["float32"].content, conversions["int8"].content
    name = next(op.outputs[0].name for op in read_graph(quantized).ops if "residual" in op.outputs[0].name)
    step = next(op.outputs[0].scales[0] for op in read_graph(quantized).ops if op.outputs[0].name == name)
    shifted = add_shifts(quantized, {name: np.linspace(-6, 6, 12) * step})
    expected = _mean(floating, frames)
    assert np.abs(_mean(shifted, frames) - expected).max() > 4 * step
    mended = add_shifts(shifted, measure_shifts(floating, shifted, lambda: frames))
    assert np.abs(_mean(mended, frames) - expected).max() < 0.3 * step


def test_nothing_but_biases_changes(conversions, frames):
    floating, quantized = conversions["float32"].content, conversions["int8"].content
    shifts = measure_shifts(floating, quantized, lambda: frames)
    mended = add_shifts(quantized, {name: each + 1 for name, each in shifts.items()})
    changed = 0
    for before, after in zip(read_graph(quantized).tensors, read_graph(mended).tensors, strict=True):
        assert (before.name, before.shape, before.scales) == (after.name, after.shape, after.scales)
        if before.data is not None and not np.array_equal(before.data, after.data):
            assert before.dtype == "int32"
            changed += 1
    assert changed == sum(op.weights is not None for op in read_graph(quantized).ops)

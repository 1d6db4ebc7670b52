"""Kernels are rounded to whole steps so that what they compute stays."""

import numpy as np
import pytest

from quietcam.rounding import round_kernel


def smooth_inputs(count, size, seed=0):
    """Values that rise and fall together, as neighboring pixels do: ``(count, size)``."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (count, 1)) + 0.05 * rng.normal(size=(count, size))


@pytest.fixture
def kernel():
    drawn = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype(np.float32)
    drawn[np.abs(drawn) < 0.3] = 0
    return drawn


def test_every_weight_is_a_whole_step_and_zeros_and_the_largest_stay(kernel):
    rounded = round_kernel(kernel, np.cov(smooth_inputs(500, 36).T))
    steps = rounded / (np.abs(kernel).max((0, 1, 2)) / 127)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    assert np.abs(rounded).max((0, 1, 2)) == pytest.approx(np.abs(kernel).max((0, 1, 2)))
    np.testing.assert_array_equal(rounded[kernel == 0], 0)


def test_outputs_are_nearer_than_with_weights_rounded_one_by_one(kernel):
    inputs, others = smooth_inputs(2000, 36), smooth_inputs(500, 36, seed=2)
    step = np.abs(kernel).max((0, 1, 2)) / 127
    errors = [
        np.std(others @ (new - kernel).reshape(36, 5), axis=0).mean()
        for new in (round_kernel(kernel, np.cov(inputs.T)), np.rint(kernel / step) * step)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_inputs_that_are_all_independent_leave_the_nearest_steps(kernel):
    step = np.abs(kernel).max((0, 1, 2)) / 127
    np.testing.assert_allclose(round_kernel(kernel, np.eye(36)), np.rint(kernel / step) * step, atol=1e-6)


def test_inputs_that_are_always_zero_are_rounded(kernel):
    rounded = round_kernel(kernel, np.zeros((36, 36)))
    assert np.isfinite(rounded).all()
    assert np.abs(rounded - kernel).max() <= np.abs(kernel).max() / 127


def test_no_filter_is_worse_than_with_nearest_steps_and_no_weight_is_three_steps_off():
    """Few inputs, most of which are nearly the same, tempt weights far away."""
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(1, 1, 6, 400))
    covariance = np.cov(smooth_inputs(50, 6, seed=4).T)
    step = np.abs(drawn).max((0, 1, 2)) / 127
    steps = round_kernel(drawn, covariance) / step
    assert np.abs(steps - drawn / step).max() < 3
    off, nearest = ((np.rint(new) - drawn / step).reshape(6, 400) for new in (steps, drawn / step))
    errors = [np.einsum("if,ij,jf->f", each, covariance, each) for each in (off, nearest)]
    assert np.all(errors[0] <= errors[1] + 1e-6)
    assert np.mean(errors[0] < 0.5 * errors[1]) > 0.2

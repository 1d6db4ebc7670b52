"""Muon, against a singular value decomposition by numpy and against Keras's Adam."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from train.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(144, 16), (12, 16), (16, 64), (64, 64), (1440, 160)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_all_singular_values_are_about_1_and_the_directions_stay(shape, size):
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32) * size
    found = orthogonalized(tf.constant(matrix)).numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    values = np.linalg.svd(left.T @ found @ right.T, compute_uv=False)
    # A square random matrix has a singular value near 0, which five steps do not lift to 1.
    assert values.max() < 1.25
    assert shape[0] == shape[1] or values.min() > 0.6
    exact = left @ right
    cosine = np.sum(found * exact) / np.linalg.norm(found) / np.linalg.norm(exact)
    assert cosine > 0.95


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 4), rows=st.integers(1, 40), columns=st.integers(8, 24))
def test_matrices_of_low_rank_give_finite_updates_of_bounded_size(seed, rank, rows, columns):
    random = np.random.default_rng(seed)
    matrix = (random.normal(size=(rows, rank)) @ random.normal(size=(rank, columns))).astype(np.float32)
    values = np.linalg.svd(orthogonalized(tf.constant(matrix)).numpy(), compute_uv=False)
    assert np.isfinite(values).all()
    assert values.max() < 1.25


def test_a_gradient_of_zeros_changes_nothing():
    assert not orthogonalized(tf.zeros((9, 16))).numpy().any()


@pytest.mark.parametrize("shape", [(16,), (3, 3, 16, 4), (1, 1, 8, 7)])
def test_biases_and_kernels_of_few_outputs_are_updated_by_adam(shape):
    start = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    mine, keras_own = tf.Variable(start), tf.Variable(start)
    ours, adam = Muon(1e-2), keras.optimizers.Adam(1e-2)
    for seed in range(3):
        gradient = tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)
        ours.apply_gradients([(gradient, mine)])
        adam.apply_gradients([(gradient, keras_own)])
    np.testing.assert_allclose(mine.numpy(), keras_own.numpy(), rtol=1e-6)


def test_the_first_step_of_a_kernel_is_that_of_the_formula():
    start = np.random.default_rng(3).normal(size=(3, 3, 16, 32)).astype(np.float32)
    gradient = np.random.default_rng(4).normal(size=start.shape).astype(np.float32)
    kernel = tf.Variable(start)
    Muon(1e-2).apply_gradients([(tf.constant(gradient), kernel)])
    left, _, right = np.linalg.svd(gradient.reshape(144, 32), full_matrices=False)
    expected = -1e-2 * 0.2 * np.sqrt(144) * (left @ right).reshape(start.shape)
    step = kernel.numpy() - start
    assert np.sum(step * expected) / np.linalg.norm(step) / np.linalg.norm(expected) > 0.97
    assert 0.7 < np.linalg.norm(step) / np.linalg.norm(expected) < 1.2


def test_steps_have_the_size_of_adams():
    """So one learning rate serves both: root mean squares within a factor of two, for gradients that are all noise."""
    shape, sizes = (3, 3, 32, 32), []
    for optimizer in (Muon(1e-3), keras.optimizers.Adam(1e-3)):
        kernel, last = tf.Variable(tf.zeros(shape)), np.zeros(shape)
        for seed in range(60):
            last = kernel.numpy()
            gradient = np.random.default_rng(seed).normal(size=shape)
            optimizer.apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
        sizes.append(np.sqrt(np.mean((kernel.numpy() - last) ** 2)))
    assert 0.5 < sizes[0] / sizes[1] < 2.0


@pytest.mark.parametrize(("start", "allowed"), [(0.0, 8.0), (0.05, 8.0), (0.2, 0.2 * 96)])
def test_a_kernel_grows_to_the_larger_of_its_first_norm_and_that_of_he(start, allowed):
    kernel = tf.Variable(np.full((3, 3, 32, 32), start, np.float32))  # 9216 weights: their norm is 96 times their size
    optimizer = Muon(0.1)
    norms = []
    for seed in range(40):
        gradient = np.random.default_rng(seed // 20).normal(size=kernel.shape)
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
        norms.append(float(tf.norm(kernel)))
    assert max(norms) == pytest.approx(allowed, rel=1e-5)


def test_a_small_kernel_of_few_outputs_may_grow():
    kernel = tf.Variable(np.zeros((3, 3, 32, 4), np.float32))
    optimizer = Muon(0.5)
    for _ in range(40):
        optimizer.apply_gradients([(tf.ones_like(kernel), kernel)])
    assert float(tf.norm(kernel)) > np.sqrt(2 * 4)


def test_its_settings_make_it_again():
    again = Muon.from_config(Muon(3e-4, momentum=0.9, size=0.1, global_clipnorm=1.0).get_config())
    assert (again.momentum, again.size, again.global_clipnorm) == (0.9, 0.1, 1.0)
    assert float(again.learning_rate) == pytest.approx(3e-4)

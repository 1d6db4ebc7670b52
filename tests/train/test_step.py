"""One step: its loss by hand, with and without a teacher, with and without XLA; and the error when memory is full."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from train import step
from train.losses import charbonnier
from train.model import build
from train.schedule import Budget
from train.step import MemoryFullError, Teacher, largest_batch
from train.trainer import Loop


def shifted(architecture, shift):
    """A network that adds ``shift`` to every value, and clips."""
    model = build(architecture)
    bias = model.get_layer("residual").bias
    bias.assign([shift] * bias.shape[0])
    return model


def batch(crops):
    return tuple(tf.constant(side[:8].astype(np.float32) / 255) for side in (crops.noisy, crops.clean))


def test_the_loss_with_a_teacher_by_hand(crops, tiny):
    noisy, clean = batch(crops)
    loop = Loop("train", build(tiny), Budget(1, 99), 1e-3, teacher=Teacher(shifted(tiny, -0.1), 0.3))
    shown = np.clip(noisy.numpy() - np.float32(0.1), 0, 1)  # the untrained network gives back the noisy picture

    def distance(a, b):
        return np.mean(np.sqrt((np.asarray(a, np.float64) - b) ** 2 + 1e-4))

    expected = 0.7 * distance(noisy, clean.numpy()) + 0.3 * distance(noisy, shown)
    assert loop._step_function()(noisy, clean) == pytest.approx(expected, rel=1e-5)


def test_a_student_comes_nearer_to_its_teacher_and_leaves_it_as_it_is(crops, tiny):
    teacher = shifted(tiny, -0.1)
    before = [weight.copy() for weight in teacher.get_weights()]

    def distance(taught_by):
        keras.utils.set_random_seed(5)
        model = build(tiny)
        Loop("train", model, Budget(60, 99), 5e-3, teacher=taught_by).fit(crops, {"own": crops}, patch=32, batch=4)
        noisy = crops.noisy.astype(np.float32) / 255
        return float(np.abs(model(noisy) - teacher(noisy)).mean())

    alone, taught = distance(None), distance(Teacher(teacher, 0.8))
    assert taught < 0.5 * alone
    for weight, kept in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-3), ("mixed_float16", 2e-3)]
)
def test_xla_computes_the_same(crops, tiny, precision, tolerance):
    noisy, clean = batch(crops)
    weights = []
    for xla in (False, True):
        keras.utils.set_random_seed(2)
        loop = Loop(
            "train",
            build(tiny, precision=precision),
            Budget(1, 99),
            1e-3,
            loss_scaling=precision == "mixed_float16",
            xla=xla,
        )
        take = loop._step_function()
        losses = [take(noisy, clean) for _ in range(3)]
        weights.append([*loop.model.get_weights(), np.array(losses)])
    assert weights[0][-1][0] > weights[0][-1][2]
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=tolerance)


def full_above(most):
    """The loss, on a device that has memory for at most that many patches."""

    def loss(clean, denoised):
        if clean.shape[0] > most:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return charbonnier(clean, denoised)

    return loss


@pytest.mark.parametrize(
    ("most", "remedy"), [(3, r"batch = 2 in \[training\] fits"), (0, "not even one patch a device fits: lower patch")]
)
def test_full_memory_says_which_batch_would_fit(crops, tiny, monkeypatch, most, remedy):
    monkeypatch.setattr(step, "charbonnier", full_above(most))
    with pytest.raises(MemoryFullError, match=rf"Received: batch=8 of 32x32\. Remedy: {remedy}"):
        Loop("train", build(tiny), Budget(4, 99), 1e-3).fit(crops, {"own": crops}, patch=32, batch=8)


def test_halves_are_tried_until_one_fits():
    tried = []

    def attempt(count):
        tried.append(count)
        if count > 5:
            raise tf.errors.ResourceExhaustedError(None, None, "full")

    assert largest_batch(attempt, 48) == 3
    assert tried == [24, 12, 6, 3]
    assert largest_batch(attempt, 1) == 0

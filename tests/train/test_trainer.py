"""The loop: it learns, keeps its budget, leaves a history, and says when it diverges."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.errors import DataError, StoppedError, UsageError
from quietcam.metrics import psnr
from tests.stopping import stopped_after
from train import trainer
from train.evaluation.validation import inference, validate
from train.losses import charbonnier, psnr_uint8
from train.model import build
from train.patches.extra_noise import ExtraNoise
from train.run_directory.state import read_state
from train.schedule import Budget, rate
from train.trainer import Loop, TrainingDivergedError


def test_charbonnier_by_hand():
    clean, denoised = np.zeros((1, 1, 2, 1), np.float32), np.array([0.0, 0.3], np.float32).reshape(1, 1, 2, 1)
    expected = (1e-2 + math.sqrt(0.09 + 1e-4)) / 2
    assert float(charbonnier(clean, denoised)) == pytest.approx(expected, rel=1e-6)


def test_psnr_equals_the_floors(crops):
    noisy, clean = (side.astype(np.float32) / 255 for side in (crops.noisy, crops.clean))
    expected = [psnr(a, b) for a, b in zip(crops.noisy, crops.clean, strict=True)]
    np.testing.assert_allclose(psnr_uint8(clean, noisy).numpy(), expected, atol=1e-4)


def test_untrained_network_scores_the_noisy_psnr(crops, tiny):
    expected = np.mean([psnr(a, b) for a, b in zip(crops.noisy, crops.clean, strict=True)])
    assert validate(inference(build(tiny)), crops) == pytest.approx(expected, abs=1e-3)


def test_rate_warms_up_peaks_and_ends_at_a_hundredth():
    assert rate(0.0, 1.0) == pytest.approx(0.02)
    assert rate(0.05, 1.0) == pytest.approx(1.0)
    assert rate(0.525, 1.0) == pytest.approx(0.505)
    assert rate(1.0, 1.0) == pytest.approx(0.01)


def test_it_learns_and_leaves_a_history(crops, tiny, tmp_path):
    keras.utils.set_random_seed(1)
    model = build(tiny)
    before = validate(inference(model), crops)
    rows = Loop("train", model, Budget(120, 99), 5e-3, run=tmp_path).fit(crops, {"own": crops}, patch=32, batch=8)
    assert rows[-1].step == 120
    assert rows[-1].validation_psnr > before + 1.0
    with (tmp_path / "history.csv").open() as file:
        kept = list(csv.DictReader(file))
    assert [int(row["step"]) for row in kept] == [row.step for row in rows]
    state = read_state(tmp_path / "checkpoints" / "train.npz")
    assert state.step == 120
    for expected, found in zip(model.get_weights(), state.weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_minutes_end_it_whatever_the_steps(crops, tiny):
    rows = Loop("train", build(tiny), Budget(10**9, 0.02), 1e-4).fit(crops, {"own": crops}, patch=32, batch=8)
    assert 1 <= rows[-1].step < 10**5
    assert rows[-1].learning_rate < 1e-5


def test_least_steps_are_taken_whatever_the_minutes(crops, tiny):
    loop = Loop("prune", build(tiny), Budget(10**9, 1e-6), 1e-4, least_steps=5)
    assert loop.fit(crops, {"own": crops}, patch=32, batch=8)[-1].step == 5


@pytest.mark.parametrize("validations", [0, 2])
def test_ctrl_c_keeps_the_state_and_says_so(crops, tiny, tmp_path, monkeypatch, validations):
    calls = iter(range(validations))

    def interrupted(*_):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return 30.0

    monkeypatch.setattr(trainer, "validate", interrupted)
    loop = Loop("train", build(tiny), Budget(32, 99), 1e-3, run=tmp_path)
    with pytest.raises(StoppedError, match=r"`resume`") as error:
        loop.fit(crops, {"own": crops}, patch=32, batch=8)
    assert ("30.00 dB at its last validation" in str(error.value)) == bool(validations)
    assert read_state(tmp_path / "checkpoints" / "train.npz").step == 2 * (validations + 1)


def test_without_a_run_directory_nothing_is_kept(crops, tiny, monkeypatch):
    monkeypatch.setattr(trainer, "validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(StoppedError, match="nothing is kept"):
        Loop("train", build(tiny), Budget(16, 99), 1e-3).fit(crops, {"own": crops}, patch=32, batch=8)


def test_divergence_goes_back_and_ends_when_that_does_not_help(crops, tiny, caplog):
    model = build(tiny)
    model.get_layer("down0_0").bias.assign([np.nan] * 8)
    with pytest.raises(TrainingDivergedError, match=r"after 3 returns .* lower learning_rate"):
        Loop("train", model, Budget(5, 99), 1e-3).fit(crops, {"own": crops}, patch=32, batch=8)
    assert caplog.text.count("at half the learning rate") == 3


def test_one_bad_step_is_undone(crops, tiny, monkeypatch, caplog):
    """The weights become NaN once, after a validation: training continues from there and ends with numbers."""
    loop = Loop("train", build(tiny), Budget(32, 99), 1e-3)
    losses, real = iter(range(10**6)), trainer.Loop._step_function

    def poisoned(self):
        step_once = real(self)

        def step(noisy, clean):
            loss = step_once(noisy, clean)
            if next(losses) == 9:
                self.model.get_layer("down0_0").bias.assign([np.nan] * 8)
                return tf.constant(np.nan)
            return loss

        return step

    monkeypatch.setattr(trainer.Loop, "_step_function", poisoned)
    rows = loop.fit(crops, {"own": crops}, patch=32, batch=8)
    assert "at step 10: back to step 8" in caplog.text
    assert rows[-1].step == 32
    assert all(np.isfinite(weight).all() for weight in loop.model.get_weights())
    assert rows[-1].learning_rate == pytest.approx(rate(31 / 32, 1e-3) / 2)


def test_resumed_equals_uninterrupted_bit_for_bit(crops, tiny, tmp_path, monkeypatch):
    def loop(run):
        keras.utils.set_random_seed(7)
        return Loop("train", build(tiny), Budget(24, 99), 3e-3, seed=7, run=run, average=0.9, recipe='{"patch": 1}')

    extra = ExtraNoise(gaussian=0.3, salt_and_pepper=0.2, none=0.1)
    fit = {"training": crops, "validation": {"own": crops}, "patch": 32, "batch": 4, "extra": extra}
    whole = loop(tmp_path / "whole")
    rows = whole.fit(**fit)
    with stopped_after(5, monkeypatch):
        loop(tmp_path / "stopped").fit(**fit)
    resumed = loop(tmp_path / "stopped")
    again = resumed.fit(**fit, resume=True)
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row.validation_psnr for row in again][-3:] == [row.validation_psnr for row in rows][-3:]


def test_a_checkpoint_of_something_else_is_not_resumed(crops, tiny, tmp_path):
    fit = {"training": crops, "validation": {"own": crops}, "patch": 32, "batch": 4}
    loop = Loop("train", build(tiny), Budget(2, 99), 1e-3, run=tmp_path, recipe='{"patch": 1}')
    with pytest.raises(UsageError, match="resumed only from a checkpoint"):
        loop.fit(**fit, resume=True)
    loop.fit(**fit)
    with pytest.raises(UsageError, match="the network, the settings and the data"):
        Loop("train", build(tiny), Budget(4, 99), 1e-3, run=tmp_path, recipe='{"patch": 2}').fit(**fit, resume=True)
    other = build(Architecture(stem=2, widths=(16, 16), depths=(1, 1)))
    with pytest.raises(UsageError, match="the network, the settings and the data"):
        Loop("train", other, Budget(4, 99), 1e-3, run=tmp_path, recipe='{"patch": 1}').fit(**fit, resume=True)
    (tmp_path / "checkpoints" / "train.npz").write_bytes(b"PK garbage")
    with pytest.raises(DataError, match="A checkpoint must be"):
        loop.fit(**fit, resume=True)


def test_the_average_is_the_one_of_the_formula(crops, tiny):
    keras.utils.set_random_seed(3)
    loop = Loop("train", build(tiny), Budget(6, 99), 1e-3, average=0.9)
    seen, real = [], loop._step_function()

    def step(noisy, clean):
        loss = real(noisy, clean)
        seen.append([weight.numpy() for weight in loop.model.trainable_variables])
        return loss

    expected = [weight.numpy() for weight in loop.model.trainable_variables]
    loop._step_function = lambda: step
    loop.fit(crops, {"own": crops}, patch=32, batch=4)
    for taken, weights in enumerate(seen, start=1):
        decay = np.float32(min(0.9, (1 + taken) / (10 + taken)))
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, weights, strict=True)]
    for found, wanted in zip(loop.model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_too(crops, tiny, precision):
    keras.utils.set_random_seed(1)
    model = build(tiny, precision=precision)
    before = validate(inference(model), crops)
    loop = Loop("train", model, Budget(80, 99), 5e-3, loss_scaling=precision == "mixed_float16")
    assert loop.fit(crops, {"own": crops}, patch=32, batch=8)[-1].validation_psnr > before + 0.5
    assert model.output.dtype == tf.float32

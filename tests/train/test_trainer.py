"""The loop: it learns, keeps its budget, leaves a history, and says when it diverges."""

import csv
import math

import numpy as np
import pytest
import tf_keras as keras

from quietcam.data.crops import Crops
from quietcam.errors import StoppedError
from quietcam.metrics import psnr
from train import trainer
from train.losses import charbonnier, psnr_uint8
from train.model import build
from train.trainer import Budget, Loop, TrainingDivergedError, inference, rate, validate


def test_charbonnier_by_hand():
    clean, denoised = np.zeros((1, 1, 2, 1), np.float32), np.array([0.0, 0.3], np.float32).reshape(1, 1, 2, 1)
    expected = (1e-3 + math.sqrt(0.09 + 1e-6)) / 2
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
    rows = Loop("train", model, Budget(120, 5), 5e-3, run=tmp_path).fit(crops, crops, patch=32, batch=8)
    assert rows[-1].step == 120
    assert rows[-1].validation_psnr > before + 1.0
    with (tmp_path / "history.csv").open() as file:
        kept = list(csv.DictReader(file))
    assert [int(row["step"]) for row in kept] == [row.step for row in rows]
    with np.load(tmp_path / "checkpoints" / "train.weights.npz") as stored:
        for expected, found in zip(model.get_weights(), stored.values(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_minutes_end_it_whatever_the_steps(crops, tiny):
    rows = Loop("train", build(tiny), Budget(10**9, 0.02), 1e-4).fit(crops, crops, patch=32, batch=8)
    assert 1 <= rows[-1].step < 10**5
    assert rows[-1].learning_rate < 1e-5


def test_least_steps_are_taken_whatever_the_minutes(crops, tiny):
    loop = Loop("prune", build(tiny), Budget(10**9, 1e-6), 1e-4, least_steps=5)
    assert loop.fit(crops, crops, patch=32, batch=8)[-1].step == 5


@pytest.mark.parametrize("validations", [0, 2])
def test_ctrl_c_says_what_is_kept(crops, tiny, tmp_path, monkeypatch, validations):
    calls = iter(range(validations))

    def interrupted(*_):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return 30.0

    monkeypatch.setattr(trainer, "validate", interrupted)
    loop = Loop("train", build(tiny), Budget(16, 5), 1e-3, run=tmp_path)
    kept = tmp_path / "checkpoints" / "train.weights.npz"
    with pytest.raises(StoppedError, match=str(kept) if validations else "nothing of it is kept") as error:
        loop.fit(crops, crops, patch=32, batch=8)
    assert ("30.00 dB at step 4" in str(error.value)) == kept.exists() == bool(validations)


def test_divergence_is_said(crops, tiny):
    model = build(tiny)
    model.get_layer("down0_0").bias.assign([np.nan] * 8)
    with pytest.raises(TrainingDivergedError, match="lower learning_rate"):
        Loop("train", model, Budget(5, 1), 1e-3).fit(Crops(crops.pairs, []), crops, patch=32, batch=8)

"""Learning from a teacher: set in the config or by an option, resumed bit for bit, refused where it does not fit."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from tensorflow.python.framework.config import disable_op_determinism

from quietcam.architecture import Architecture
from quietcam.errors import StoppedError, UsageError
from train import trainer
from train.config import DistillationConfig, RunConfig, TrainingConfig
from train.patches.extra_noise import ExtraNoise
from train.patches.sets import load_training_data
from train.run_directory.state import read_state
from train.runs.train import train_run


@pytest.fixture
def _deterministic():
    yield
    disable_op_determinism()


@pytest.mark.usefixtures("_deterministic")
def test_resumed_equals_uninterrupted_with_all_parts_on(pair_folder, tiny, make_run, tmp_path, monkeypatch):
    wider = Architecture(stem=2, widths=(16, 16), depths=(1, 1))
    config = RunConfig(
        tiny,
        TrainingConfig(patch=32, crop=64, batch=4, steps=12, average=0.9, deterministic=True, learning_rate=5e-3),
        noise=ExtraNoise(gaussian=0.3, salt_and_pepper=0.2, none=0.1),
        distillation=DistillationConfig(str(make_run("teacher", wider, shift=-0.1)), 0.4),
    )
    data = load_training_data([pair_folder], config)
    train_run(config, data, tmp_path / "whole")
    real, calls = trainer.validate, iter(range(5))

    def interrupted(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", interrupted)
        with pytest.raises(StoppedError):
            train_run(config, data, tmp_path / "stopped")
    other = replace(config, distillation=replace(config.distillation, weight=0.5))
    with pytest.raises(UsageError, match="the network, the settings and the data"):
        train_run(other, data, tmp_path / "stopped", resume=True)
    train_run(config, data, tmp_path / "stopped", resume=True)
    whole, resumed = (read_state(tmp_path / name / "checkpoints" / "train.npz") for name in ("whole", "stopped"))
    for group in ("weights", "optimizer", "average"):
        for a, b in zip(getattr(whole, group), getattr(resumed, group), strict=True):
            np.testing.assert_array_equal(a, b)
    assert [(row["loss"], row["validation_psnr"]) for row in resumed.rows[-6:]] == [
        (row["loss"], row["validation_psnr"]) for row in whole.rows[-6:]
    ]
    assert list((tmp_path / "stopped" / "tensorboard" / "train").glob("events.*"))
    told = json.loads((tmp_path / "stopped" / "evaluation.json").read_text())["distillation"]
    model = tmp_path / "teacher" / "model.keras"
    assert told["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (told["weight"], told["gmacs_256"]) == (0.4, round(wider.gmacs(), 4))


def test_a_teacher_that_cannot_teach(pair_folder, make_run, quietcam, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[model]\nwidths = [8, 16]\ndepths = [1, 1]\n[training]\npatch = 36\ncrop = 64\nbatch = 4\nsteps = 2\n"
    )
    gray = make_run("gray", Architecture(channels=1, widths=(8,), depths=(1,)))
    deep = make_run("deep", Architecture(widths=(8, 8, 8), depths=(1, 1, 1)))
    video = make_run("video", Architecture(widths=(8,), depths=(1,), history=1))
    for teacher, said in (
        (gray, "must have as many channels as the network"),
        (video, "history=1, the network with history=0"),
        (deep, "Remedy: patch = 8 or a multiple of it"),
        (tmp_path / "nowhere", "A run directory must contain config.toml"),
    ):
        code, shown = quietcam("train", config, "--data", pair_folder, "--out", tmp_path / "r", "--teacher", teacher)
        assert code == 2, shown
        assert said in shown
        assert not (tmp_path / "r").exists()

"""Learning from a teacher: set in the config or by an option, resumed bit for bit, refused where it does not fit."""

import hashlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.framework.config import disable_op_determinism

from edge import models
from edge.network.interpreter import Interpreter
from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from quietcam.evaluation import Distillation, read_evaluation, write_evaluation
from quietcam.tflite.manifest import read_manifest
from tests.stopping import stopped_after
from train.config import DistillationConfig, RunConfig, TrainingConfig, load_config
from train.distillation import load_teacher, with_teacher
from train.patches.extra_noise import ExtraNoise
from train.patches.sets import load_training_data
from train.run_directory.read import read_run
from train.run_directory.state import read_state
from train.runs import prune
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
        noise=ExtraNoise(gaussian=0.3, salt_and_pepper=0.2, none=0.1, enlarged=0.2),
        distillation=DistillationConfig(str(make_run("teacher", wider, shift=-0.1)), 0.4),
    )
    data = load_training_data([pair_folder], config)
    train_run(config, data, tmp_path / "whole")
    with stopped_after(5, monkeypatch):
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


def bias_after(run) -> float:
    """The mean bias of the residual: all of them begin at 0, and a teacher that darkens pulls them down."""
    return float(read_run(run).load_model().get_layer("residual").bias.numpy().mean())


FINE_TUNED = {
    "prune": ("prune", "{run}", "--sparsity", "0.3", "--steps", "10", "--minutes", "10", "--no-scan"),
    "qat": ("train", "{run}", "--qat", "--steps", "10", "--minutes", "10"),
}


@pytest.mark.parametrize("treatment", FINE_TUNED)
@pytest.mark.parametrize("source", ["option", "config"])
def test_fine_tuning_learns_from_a_teacher_too(treatment, source, pair_folder, make_run, quietcam, tmp_path):
    """With a teacher of weight 1 that darkens all pictures, the network becomes darker than without one."""
    wider = Architecture(stem=2, widths=(16, 16), depths=(1, 1))
    teacher = make_run("teacher", wider, shift=-0.3)
    write_evaluation(teacher, replace(read_evaluation(teacher), data={"data": "my pictures", "licence": "mine"}))
    run = make_run("run", learning_rate=1e-2)
    settings = f'\n[distillation]\nteacher = "{teacher if source == "config" else ""}"\nweight = 1.0\n'
    plain = (run / "config.toml").read_text()
    plain = re.sub(r"\[distillation\][^[]*", "", plain)
    (run / "config.toml").write_text(plain + settings)
    words = [word.format(run=run) for word in FINE_TUNED[treatment]] + ["--data", pair_folder, "--learning-rate", 1e-2]
    for out, chosen in (("taught", [] if source == "config" else [teacher]), ("alone", ["none"])):
        code, shown = quietcam(*words, "--out", tmp_path / out, *(["--teacher", *chosen] if chosen else []))
        assert code == 0, shown
    assert bias_after(tmp_path / "taught") < bias_after(tmp_path / "alone") - 0.01
    told = read_evaluation(tmp_path / "taught").treatments.distillation
    sha256 = hashlib.sha256((teacher / "model.keras").read_bytes()).hexdigest()
    assert told == Distillation(str(teacher), 1.0, round(wider.gmacs(), 4), sha256)
    assert read_evaluation(tmp_path / "alone").treatments.distillation is None
    licenses = [read_evaluation(tmp_path / out).data["licence"].split("; ") for out in ("taught", "alone")]
    assert licenses[0] == [*licenses[1], "mine"]


def test_a_model_that_ships_teaches_by_its_name(pair_folder, make_run, quietcam, tmp_path):
    run = make_run()
    words = ("prune", run, "--data", pair_folder, "--steps", 10, "--no-scan", "--teacher", "demo")
    code, shown = quietcam(*words, "--out", tmp_path / "out")
    assert code == 0, shown
    told = read_evaluation(tmp_path / "out").treatments.distillation
    twin = Path(models.__file__).parent / "demo_256x256_float32.tflite"
    assert (told.teacher, told.sha256) == ("demo", read_manifest(twin).sha256)
    code, shown = quietcam("convert", tmp_path / "out", "--recipe", "float32", "--size", "32x32", "--out", tmp_path)
    assert code == 0, shown
    treatments = read_manifest(tmp_path / "out_32x32_float32.tflite").training["treatments"]
    assert treatments.keys() == {"distillation", "magnitude_pruning"}
    assert treatments["distillation"] == asdict(told)
    taught = read_manifest(tmp_path / "out_32x32_float32.tflite").training["runs"][-1]["teacher"]
    assert (taught["name"], taught["licence"]) == ("demo", read_manifest(twin).training["licence"])


def test_the_network_of_a_float_file_teaches_what_it_shows_on_the_device():
    twin = Path(models.__file__).parent / "demo_256x256_float32.tflite"
    config = replace(load_config("demo"), distillation=DistillationConfig(str(twin)))
    teacher = load_teacher(config, "float32")
    picture = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    theirs = np.empty_like(picture)
    with Interpreter(twin) as device:
        device.run(picture, theirs)
    ours = teacher.model(picture[None].astype(np.float32) / 255).numpy()[0]
    assert np.abs(np.rint(ours * 255) - theirs).max() <= 1
    assert not teacher.model.trainable_variables


def test_a_teacher_that_is_gone_is_left_out_of_fine_tuning_with_a_warning(said, tmp_path):
    config = RunConfig(distillation=DistillationConfig(str(tmp_path / "gone")))
    assert with_teacher(config, None).distillation.teacher == ""
    assert said == [f"the teacher of this run is gone, so it learns from the clean pictures alone: {tmp_path / 'gone'}"]
    with pytest.raises(UsageError, match="A teacher must come from"):
        with_teacher(config, tmp_path / "gone")


def test_pruning_plans_fewer_steps_where_a_teacher_comes_on_top(make_run, monkeypatch):
    """Steps of 1 s in training become 1 + the teacher's GMACs by three times the network's own."""
    wider = Architecture(stem=2, widths=(16, 16), depths=(1, 1))
    source, teacher = read_run(make_run()), make_run("teacher", wider)
    monkeypatch.setattr(prune, "measured_step_seconds", lambda _: 1.0)
    alone = prune._config(source, None, None, 10.0, 10_000, None).pruning.steps
    taught = prune._config(source, None, teacher, 10.0, 10_000, None).pruning.steps
    assert alone == 500
    assert taught == pytest.approx(500 / (1 + wider.gmacs() / (3 * source.config.model.gmacs())), abs=1)


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
        (tmp_path / "nowhere", "A teacher must come from a run directory or a float32 .tflite. Received:"),
        ("small-video", "history=1, the network with history=0"),
    ):
        code, shown = quietcam("train", config, "--data", pair_folder, "--out", tmp_path / "r", "--teacher", teacher)
        assert code == 2, shown
        assert said in shown
        assert not (tmp_path / "r").exists()

"""Configs: those that ship, writing and reading TOML, and what is refused."""

import os
from dataclasses import replace
from importlib import resources

import pytest

from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from train.config import DistillationConfig, PruningConfig, RunConfig, TrainingConfig, dump_config, load_config


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("demo", 0.40),
        ("nano", 0.13),
        ("nano-video", 0.15),
        ("small", 0.40),
        ("small-video", 0.40),
        ("base-video", 1.30),
        ("base", 1.30),
        ("sidd_full", 1.30),
    ],
)
def test_what_ships_keeps_its_size_and_says_how_it_is_used(name, most):
    assert 0.8 * most < load_config(name).model.gmacs() <= most
    text = resources.files("train").joinpath("configs", f"{name}.toml").read_text(encoding="utf-8")
    header = " ".join(line.lstrip("# ") for line in text.partition("\n\n[")[0].splitlines())
    for said in (f"quietcam train {name} --data", "Hardware: ", "Time: ", "Expect: "):
        assert said in header


def test_dump_and_load_are_opposites(tmp_path):
    config = RunConfig(
        Architecture(widths=(8, 24), depths=(1, 2)),
        TrainingConfig(patch=64, minutes=0.25, learning_rate=1e-4, seed=7),
        PruningConfig(sparsity=0.75),
        distillation=DistillationConfig("runs/large", 0.25),
    )
    (tmp_path / "mine.toml").write_text(dump_config(config))
    assert load_config(str(tmp_path / "mine.toml")) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nepochs = 3\n", "Unknown keys"),
        ("[video]\nunroll = 3\n", "Only the config of a video network may have"),
        ("[model]\nhistory = 1\n[video]\nunroll = 0\n", "unroll must be at least 1"),
        ("[model]\nhistory = 1\n[video]\nwithout_history = 1.5\n", "without_history must be in"),
        ("[trainer]\n", "Unknown sections"),
        ("[training]\nsteps = 'many'\n", "must be int"),
        ("[training]\nsteps = 0\n", "at least 1"),
        ("[training]\npatch = 100\n", "multiple of the network's total stride"),
        ("[pruning]\nsparsity = 1.0\n", "sparsity must be in"),
        ("[model]\nwidths = [16, 20, 64, 96]\n", "multiple of 8"),
        ("steps = ", "must be TOML"),
        (f"steps = {'9' * 5000}", "too many digits"),
        (f"steps = {'[' * 5000}", "nested too deeply"),
        ("model = 3", "must consist of tables"),
        ("training = [1]", "must consist of tables"),
        ("[[model]]\nchannels = 3", "must consist of tables"),
        ("[model]\nwidths = 16", "list of whole numbers"),
    ],
)
def test_refuses_with_the_rule(tmp_path, text, said):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_config(str(tmp_path / "bad.toml"))


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(UsageError, match="no file"):
            load_config(str(tmp_path / f"{name}.toml"))


def test_unknown_name_lists_what_ships():
    with pytest.raises(UsageError, match=r"demo"):
        load_config("huge")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_config(str(tmp_path / "none.toml"))


def test_out_of_range_values_are_refused():
    with pytest.raises(UsageError, match="learning_rate"):
        replace(TrainingConfig(), learning_rate=2.0)

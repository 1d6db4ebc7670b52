"""Pruning and training for int8, interrupted and resumed, equal a run that was never interrupted, bit for bit."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

from quietcam.errors import UsageError
from tests.stopping import stopped_after
from train.config import load_config
from train.model import convolutions
from train.patches.sets import load_training_data
from train.run_directory.read import read_run
from train.runs.channel_pruning import prune_channels
from train.runs.magnitude_pruning import prune_weights
from train.runs.qat import train_for_int8
from train.runs.train import train_run


@pytest.fixture
def _deterministic():
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


def train_one(folder, sources, history=0, video=""):
    """A config, its data, and a run of it; no test changes them."""
    (folder / "c.toml").write_text(
        f"[model]\nwidths = [16, 16]\ndepths = [1, 1]\nhistory = {history}\n{video}"
        "[training]\npatch = 32\ncrop = 64\nbatch = 4\nsteps = 4\n"
        f"[pruning]\nsparsity = {0.2 if history else 0.5}\nsteps = 12\nlearning_rate = 1e-3\n[qat]\nsteps = 12\n"
    )
    config = load_config(str(folder / "c.toml"))
    data = load_training_data(sources, config)
    train_run(config, data, folder / "source")
    return config, data, folder / "source"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pair_folder):
    return train_one(tmp_path_factory.mktemp("trained"), [pair_folder])


@pytest.fixture(scope="module")
def trained_on_clips(tmp_path_factory, pair_folder, clip_folder):
    folder = tmp_path_factory.mktemp("trained_on_clips")
    return train_one(folder, [clip_folder, pair_folder], 1, "[video]\nunroll = 2\nlead = 2\n")


def prune_a_fifth(source, config, data, run, **how):
    return prune_channels(source, config, data, run, share=0.2, kind="l1", **how)


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("kind", ["trained", "trained_on_clips"])
@pytest.mark.parametrize("work", [prune_weights, prune_a_fifth, train_for_int8])
def test_resumed_equals_uninterrupted(work, kind, request, tmp_path, monkeypatch):
    config, data, source = request.getfixturevalue(kind)
    work(source, config, data, tmp_path / "whole")
    with stopped_after(4, monkeypatch):
        work(source, config, data, tmp_path / "stopped")
    other = replace(config, noise=replace(config.noise, gaussian=0.5))
    with pytest.raises(UsageError, match=r"which differs in noise\.gaussian\."):
        work(source, other, data, tmp_path / "stopped", resume=True)
    work(source, config, data, tmp_path / "stopped", resume=True)
    whole, resumed = (convolutions(read_run(tmp_path / name).load_model()) for name in ("whole", "stopped"))
    for name, layer in whole.items():
        np.testing.assert_array_equal(layer.kernel, resumed[name].kernel)
        np.testing.assert_array_equal(layer.bias, resumed[name].bias)


def test_from_the_command_line(trained, tmp_path, pair_folder, quietcam):
    source = shutil.copytree(trained[2], tmp_path / "source")
    for words, out in ((("prune", source, "--no-scan"), "source-pruned"), (("train", source, "--qat"), "source-qat")):
        code, shown = quietcam(*words, "--data", pair_folder, "--resume")
        assert code == 2
        assert "resumed only from a checkpoint" in shown
        assert not (tmp_path / out).exists()
        assert quietcam(*words, "--data", pair_folder)[0] == 0
        # Resuming a run that has ended does nothing more.
        code, shown = quietcam(*words, "--data", pair_folder, "--resume")
        assert code == 0, shown

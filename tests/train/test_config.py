"""Configs: what ships, the way through TOML, what is refused."""

from dataclasses import replace

import pytest

from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from train.config import PruningConfig, RunConfig, TrainingConfig, dump_config, load_config


def test_shipped_demo_config_loads():
    assert load_config("demo").model.gmacs() < 0.4


def test_dump_and_load_are_opposites(tmp_path):
    config = RunConfig(
        Architecture(widths=(8, 24), depths=(1, 2)),
        TrainingConfig(patch=64, minutes=0.25, learning_rate=1e-4, seed=7),
        PruningConfig(sparsity=0.75),
    )
    (tmp_path / "mine.toml").write_text(dump_config(config))
    assert load_config(str(tmp_path / "mine.toml")) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nepochs = 3\n", "Unknown keys"),
        ("[trainer]\n", "Unknown sections"),
        ("[training]\nsteps = 'many'\n", "must be int"),
        ("[training]\nsteps = 0\n", "at least 1"),
        ("[training]\npatch = 100\n", "multiple of the network's total stride"),
        ("[pruning]\nsparsity = 1.0\n", "sparsity must be in"),
        ("[model]\nwidths = [16, 20, 64, 96]\n", "multiple of 8"),
        ("steps = ", "not valid TOML"),
    ],
)
def test_refuses_with_the_rule(tmp_path, text, said):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_config(str(tmp_path / "bad.toml"))


def test_unknown_name_lists_what_ships():
    with pytest.raises(UsageError, match=r"demo"):
        load_config("huge")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_config(str(tmp_path / "none.toml"))


def test_out_of_range_values_are_refused():
    with pytest.raises(UsageError, match="learning_rate"):
        replace(TrainingConfig(), learning_rate=2.0)

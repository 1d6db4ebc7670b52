"""A config is read back from its TOML as it was: text of every kind, numbers of every size."""

from __future__ import annotations

import math
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.config import DistillationConfig, RunConfig, dump_config, load_config

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_SECTIONS = ("training", "noise", "distillation", "pruning", "qat")
_FLOATS = [
    (section, each.name)
    for section in _SECTIONS
    for each in fields(type(getattr(RunConfig(), section)))
    if isinstance(each.default, float)
]


@pytest.mark.parametrize(
    "text",
    [
        *("plain", "it's", "a\\b", "C:\\new\\teacher.keras", "both ' and \"", "tab\there", "new\nline", "\r\n", "\x7f"),
        *("é", "\U0001f600", "a\\u0041", "/srv/o'brien/run's", '"""', "'''", "\x00", "\x1b[2J", "\u2028", "#", "= 1"),
    ],
)
def test_a_path_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    config = replace(RunConfig(), distillation=DistillationConfig(text, 0.25))
    (tmp_path / "c.toml").write_bytes(dump_config(config).encode())
    assert load_config(str(tmp_path / "c.toml")) == config


@given(_TEXTS, _TEXTS)
def test_any_text_comes_back(teacher: str, weights: str) -> None:
    config = RunConfig()
    config = replace(
        config,
        distillation=replace(config.distillation, teacher=teacher),
        training=replace(config.training, weights=weights),
    )
    assert tomllib.loads(dump_config(config)) == config.to_dict()


@settings(max_examples=200)
@given(st.sampled_from(_FLOATS), st.floats(allow_nan=False) | st.sampled_from([1e22, 1e-7, math.inf, 1e16, 5e-324]))
def test_any_number_comes_back(place: tuple[str, str], value: float) -> None:
    values = RunConfig().to_dict()
    values[place[0]][place[1]] = value

    class Told(RunConfig):
        def to_dict(self) -> dict[str, dict[str, object]]:
            return values

    back = tomllib.loads(dump_config(Told()))[place[0]][place[1]]
    assert (back, type(back)) == (value, float)

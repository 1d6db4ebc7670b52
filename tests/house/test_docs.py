"""What ``make docs`` writes itself: a page for each command."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from quietcam.app.cli import app

pytest.importorskip("sphinx", reason="needs the extra 'docs'")

OWN_NAMES = {
    "QUIETCAM_TOKEN",
    "QUIETCAM_MQTT_PASSWORD",
    "QUIETCAM_EDGETPU_COMPILER",
}  # variables that a command names itself
CONF = Path(__file__).parents[2] / "docs" / "conf.py"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The configuration of the documentation; it writes into an empty folder."""
    spec = importlib.util.spec_from_file_location("conf", CONF)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # the module sets it for its process
    spec.loader.exec_module(module)
    (tmp_path / "docs/reference").mkdir(parents=True)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_a_page_names_the_variables_that_its_command_reads(conf: ModuleType, tmp_path: Path) -> None:
    conf.write_commands(None)
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "docs/reference/commands").iterdir()}
    assert pages.keys() == get_command(app).commands.keys()  # type: ignore[attr-defined]
    named = {name: set(re.findall(r"env var: (\w+)", text)) - OWN_NAMES for name, text in pages.items()}
    assert "QUIETCAM_RUN_THREADS" in named["run"]
    assert "QUIETCAM_DATA_PACK_SEED" in named["data"]
    for name, variables in named.items():
        assert all(each.startswith(f"QUIETCAM_{name.upper()}_") for each in variables), name


def test_only_words_that_somebody_wrote_count_as_a_docstring(conf: ModuleType) -> None:
    @dataclass
    class Silent:
        width: int

    def mute() -> None: ...

    assert not conf.words_about(Silent)
    assert not conf.words_about(mute)
    assert conf.words_about(conf.words_about)

"""What stands in one module alone is not written a second time somewhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("quietcam", "calibration", "train", "convert", "compare", "edge", "deploy", "fuzz", "benchmarks", "lab")
ONCE = {
    "a model's bytes become tables": (r"schema_py_generated|import flatbuffers", "quietcam/tflite/packing.py"),
    "evaluation.json is read and written": (r"[\"']evaluation\.json[\"']", "quietcam/evaluation.py"),
    "pauses between tries grow": (r"class \w*Backoff", "quietcam/backoff.py"),
    "a Raspberry Pi's drivers have names": (r"bcm2835|pispbe|rpivid", "edge/raspberry_pi.py"),
    "ISO values fall into buckets": (r"\b100, 400, 1600, 6400\b", "quietcam/data/sets/groups.py"),
    "the gate leaves out small groups": (r"LEAST_PICTURES = ", "quietcam/quality/gate.py"),
    "equal pictures have a finite PSNR": (r"MOST_DB = ", "quietcam/metrics.py"),
    "pages are made": (r"(?:from|import) jinja2 import", "quietcam/terminal/page.py"),
    "TOML is written": (r"tomli_w\.", "train/config.py"),
}
MOST_LINES_OF_OPTIONS = 120


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(("pattern", "home"), ONCE.values(), ids=ONCE)
def test_it_stands_in_one_module(pattern: str, home: str) -> None:
    found = [path for path in modules() if re.search(pattern, path.read_text(encoding="utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in found] == [home]


def test_no_module_writes_html() -> None:
    """Templates do, so that what is put in is escaped."""
    tags = re.compile(r"</[a-z0-9]+>")
    assert [path for path in modules() if tags.search(path.read_text(encoding="utf-8"))] == []


def test_the_options_of_run_stay_short() -> None:
    """The command words the options and does nothing else; :mod:`edge.run.session` does the rest."""
    tree = ast.parse((ROOT / "edge/run/cli.py").read_text(encoding="utf-8"))
    (command,) = (each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "run_command")
    assert command.body[0].lineno - command.lineno <= MOST_LINES_OF_OPTIONS

"""However we are started in a folder with somebody's own train.py, convert.py and edge.py, ours run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import quietcam
from edge.service.__main__ import unit

OWN = ("train", "convert", "edge", "calibration", "compare")
HOME = str(Path(quietcam.__file__).parents[1])
SCRIPT = Path(sys.executable).with_name("quietcam")
SERVICE = next(line for line in unit().splitlines() if line.startswith("ExecStart=")).partition("=")[2]
GENERATE = "data generate --count 9 --size 32 --out made"

WAYS = {
    "module": [sys.executable, "-m", "quietcam", "--version"],
    "workers": [sys.executable, "-m", "quietcam", *GENERATE.split()],
    "service": [*shlex.split(SERVICE.partition(" run ")[0]), "--version"],
    "unit": [sys.executable, "-P", "-m", "edge.service", "unit"],
    "script": [str(SCRIPT), "--version"],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, standard output and error of each, all started at once."""
    folder = tmp_path_factory.mktemp("own")
    for name in OWN:
        (folder / f"{name}.py").write_text(f"raise SystemExit('somebody has their own {name}.py here')\n")
    environment = {**os.environ, "PYTHONPATH": HOME}
    processes = {
        name: subprocess.Popen(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name, words in WAYS.items()
        if Path(words[0]).exists()
    }
    return {name: (*process.communicate(), process.returncode)[::-1] for name, process in processes.items()}


@pytest.mark.parametrize("way", WAYS)
def test_ours_run(started: dict[str, tuple[int, str, str]], way: str) -> None:
    if way not in started:
        pytest.skip(f"no {SCRIPT}: quietcam is not installed")
    code, error, said = started[way]
    assert (code, "somebody" in error) == (0, False), error
    expected = {"workers": "", "unit": "# Written by"}.get(way, "quietcam ")
    assert said.startswith(expected)


def test_a_checkout_that_is_not_installed_runs_too(tmp_path: Path) -> None:
    """There, the folder that Python is started in is the only way to the stages."""
    for name in ("quietcam", *OWN):
        (tmp_path / name).symlink_to(Path(HOME) / name)
    environment = {**os.environ, "PYTHONPATH": str(Path(typer.__file__).parents[1])}  # -S: no .pth file adds a checkout
    words = [sys.executable, "-S", "-m", "quietcam", "--help"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

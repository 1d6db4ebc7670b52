"""However we are started in a folder with a user's own train.py, convert.py and edge.py, our packages run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

import quietcam
from edge.child.process import _START
from edge.service.__main__ import unit
from quietcam.process.own_packages import STAGES

HOME = str(Path(quietcam.__file__).parents[1])
OWN = ("train", "convert", "edge", "calibration", "compare")
SERVICE = next(line for line in unit().splitlines() if line.startswith("ExecStart=")).partition("=")[2]
GENERATE = "data generate --count 9 --size 32 --out"

SCRIPT = """
import sys
from quietcam.__main__ import start
if __name__ == "__main__":
    sys.exit(start())
"""
"""The script that pip writes as the command ``quietcam``, in a separate folder."""

MODULE = [sys.executable, "-m", "quietcam"]
COMMAND = [sys.executable, "{bin}/quietcam"]
BEFORE = {"PYTHONPATH": f".:{HOME}"}
"""The folder that the user works in comes before all packages: a usual setting of people with scripts."""
SAFE = {"PYTHONSAFEPATH": "1"}

WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "module": ([*MODULE, "--version"], {}),
    "module, safe path": ([*MODULE, "--version"], SAFE),
    "module, own folder first": ([*MODULE, "--version"], BEFORE),
    "module, own folder first, safe path": ([*MODULE, "--version"], BEFORE | SAFE),
    "module's workers": ([*MODULE, *GENERATE.split(), "a"], {}),
    "module's workers, own folder first": ([*MODULE, *GENERATE.split(), "b"], BEFORE),
    "command": ([*COMMAND, "--version"], {}),
    "command, safe path": ([*COMMAND, "--version"], SAFE),
    "command, own folder first": ([*COMMAND, "--version"], BEFORE),
    "command's workers": ([*COMMAND, *GENERATE.split(), "c"], {}),
    "command's workers, own folder first": ([*COMMAND, *GENERATE.split(), "d"], BEFORE),
    "service": ([*shlex.split(SERVICE.partition(" run ")[0]), "--version"], {}),
    "unit": ([sys.executable, "-P", "-m", "edge.service", "unit"], {}),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, standard error and output of each process; all are started together."""
    folder = own_files(tmp_path_factory.mktemp("own"))
    binaries = tmp_path_factory.mktemp("bin")
    (binaries / "quietcam").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": HOME}
    processes = {
        name: subprocess.Popen(
            [word.replace("{bin}", str(binaries)) for word in words],
            cwd=folder,
            env=environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, (words, more) in WAYS.items()
    }
    return {name: (*process.communicate(), process.returncode)[::-1] for name, process in processes.items()}


@pytest.mark.parametrize("way", WAYS)
def test_our_packages_run(started: dict[str, tuple[int, str, str]], way: str) -> None:
    code, error, said = started[way]
    assert (code, "somebody" in error) == (0, False), error
    expected = "" if "workers" in way else "# Written by" if way == "unit" else "quietcam "
    assert said.startswith(expected)


def test_a_child_process_finds_our_packages(tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-c", _START, json.dumps([str(own_files(tmp_path)), *sys.path])]
    done = subprocess.run(words, cwd=HOME, capture_output=True, text=True, check=False)
    assert ("main() missing" in done.stderr, "somebody" in done.stderr) == (True, False), done.stderr


def test_a_user_who_imports_quietcam_keeps_their_own_modules(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("OWN = True\n")
    code = "import quietcam, quietcam.terminal.log, train; assert train.OWN"
    environment = {**os.environ, "PYTHONPATH": HOME}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


def test_every_package_of_the_wheel_is_found_first() -> None:
    project = tomllib.loads(Path(HOME, "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {"quietcam", *STAGES} == set(packages)


def test_a_checkout_that_is_not_installed_runs_too(tmp_path: Path) -> None:
    """There, Python finds the stages only in the folder that it is started in."""
    for name in ("quietcam", *OWN):
        (tmp_path / name).symlink_to(Path(HOME) / name)
    environment = {**os.environ, "PYTHONPATH": str(Path(typer.__file__).parents[1])}  # -S: no .pth file adds a checkout
    words = [sys.executable, "-S", "-m", "quietcam", "--help"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def own_files(folder: Path) -> Path:
    """The folder, with modules in it that end whoever imports them."""
    for name in OWN:
        (folder / f"{name}.py").write_text(f"raise SystemExit('somebody has their own {name}.py here')\n")
    return folder

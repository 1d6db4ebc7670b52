"""`lab/arm64.sh` on fake hosts, up to the point where it would begin; and the help text of the golden frame."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAB = Path(__file__).parents[1] / "lab"
TOOLS = ("debootstrap", "qemu-aarch64-static", "update-binfmts")

pytestmark = pytest.mark.skipif(not LAB.is_dir(), reason="lab/ comes with the repository alone")


def dry_run(folder: Path, machine: str, tools: tuple[str, ...], *words: str, **variables: str) -> tuple[int, str]:
    """Exit code and all output, on a machine of that kind with these tools."""
    for name, does in {"uname": f"echo {machine}", **dict.fromkeys(tools, ":")}.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    for name in ("bash", "dirname", "realpath", "mktemp", "rm", "id"):
        (folder / name).symlink_to(shutil.which(name) or name)
    environment = {name: value for name, value in os.environ.items() if name != "SUDO_USER"}
    done = subprocess.run(
        [shutil.which("bash") or "bash", str(LAB / "arm64.sh"), "--dry-run", *words],
        env={**environment, "PATH": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_arm64_machine_needs_no_emulation(tmp_path: Path) -> None:
    code, said = dry_run(tmp_path, "aarch64", ())
    assert (code, "no emulation" in said) == (0, True), said


@pytest.mark.parametrize("missing", TOOLS)
def test_another_one_names_the_tool_that_it_lacks(tmp_path: Path, missing: str) -> None:
    there = tuple(tool for tool in TOOLS if tool != missing)
    if Path(f"/usr/sbin/{missing}").exists() or Path(f"/sbin/{missing}").exists():
        pytest.skip(f"{missing} is installed here")
    code, said = dry_run(tmp_path, "x86_64", there)
    assert code == 1
    assert f"{missing} is missing. Remedy: apt-get install qemu-user-static binfmt-support debootstrap" in said


def test_with_all_of_them_it_is_ready(tmp_path: Path) -> None:
    code, said = dry_run(tmp_path, "x86_64", TOOLS, ARM64_ROOT="/somewhere")
    assert (code, "a Debian trixie for arm64 in /somewhere" in said) == (0, True), said


def test_root_by_sudo_is_refused_since_it_would_leave_its_files(tmp_path: Path) -> None:
    code, said = dry_run(tmp_path, "aarch64", (), SUDO_USER="somebody")
    assert code == 1
    assert "Remedy: run it without sudo" in said


@pytest.mark.parametrize("words", [("--fast",), ("one", "two"), ("/no/such/folder",)])
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = dry_run(tmp_path, "aarch64", (), *words)
    assert (code, said.count("\n")) == (2, 1), said


def test_the_golden_frame_says_what_it_allows() -> None:
    from edge.network.golden import TOLERANCE

    text = (LAB / "golden_frame.py").read_text()
    assert f"when a value differs by more than {TOLERANCE}\n" in text
    assert "from edge.network.golden import TOLERANCE" in text

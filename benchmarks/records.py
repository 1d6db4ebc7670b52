"""What benchmarks share: where data lies, and what they write beside figures: the commit, the machine, CSV files."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from quietcam.files.atomic import atomic_path

__all__ = ["DATA", "PEER_MODEL", "RESULTS", "ROOT", "append", "commit", "machine", "write_rows"]

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

RESULTS = ROOT / "benchmarks" / "results"

DATA = ROOT.parent / "shared" / "data"
PEER_MODEL = ROOT.parent / "shared" / "peers" / "rpi_nafnet_small" / "nafnet_rgb_small.tflite"
"""Pictures to measure on, and a network of others, unless a command gets other ones. They are not in the repository."""


def commit() -> str:
    """The commit that was measured, with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def machine() -> str:
    """Processor, cores, and the instructions that its int8 kernels use."""
    from edge.network.runtime.instructions import instructions_here

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {instructions_here().name}"


def append(path: Path, row: Mapping[str, object]) -> None:
    """Add a line to a CSV file, and the head to a new one.

    Raises:
        SystemExit: the file has other columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new and path.read_text(encoding="utf-8").splitlines()[0].split(",") != list(row):
        raise SystemExit(f"{path} has other columns than {', '.join(row)}: name another --csv")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Write a CSV file of these rows alone; it replaces an earlier one as a whole."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

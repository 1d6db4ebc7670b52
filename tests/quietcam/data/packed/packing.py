"""What tests of packed sets share."""

from __future__ import annotations

from pathlib import Path

SIDD = "{:04d}_{:03d}_S6_00100_00060_3200_L"
"""A name of SIDD, of an instance and a scene."""


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a packed set, by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}

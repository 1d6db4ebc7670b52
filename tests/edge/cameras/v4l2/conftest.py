"""A fixture for a file that looks like a video device."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that looks like a character device."""
    path = tmp_path / "video0"
    path.touch()
    monkeypatch.setattr(stat, "S_ISCHR", lambda _: True)
    return path

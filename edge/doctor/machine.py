"""Machine: everything about a machine that the doctor's checks read."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.raspberry_pi import board_name

__all__ = ["Machine"]

_SECONDS = 10.0


def _run(words: Sequence[str]) -> str | None:
    """The output of a command; None if it is not installed, fails or hangs."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            list(words), capture_output=True, text=True, errors="backslashreplace", timeout=_SECONDS, check=False
        )
        return done.stdout if done.returncode == 0 else None
    return None


def _delegate() -> None:
    from edge.child.tpu import probe

    probe()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _models() -> list[Path]:
    from edge.models import shipped_models

    return shipped_models()


def _groups() -> frozenset[str]:
    """Names of the groups that this process is in."""
    import grp

    names = set()
    for number in {*os.getgroups(), os.getegid()}:
        with contextlib.suppress(KeyError):
            names.add(grp.getgrgid(number).gr_name)
    return frozenset(names)


@dataclass(frozen=True)
class Machine:
    """Everything that the checks read. Tests replace it with a fake machine.

    Attributes:
        root: the folder that holds ``sys``, ``proc``, ``dev``, ``etc`` and ``usr``.
        run: returns the output of a command; None if it cannot be run.
        delegate: loads the Edge TPU's library in a child process, and raises an error if that fails.
        version: version of an installed package; None if it is not installed.
        importable: whether a module can be imported.
        access: whether a path may be accessed, as ``os.access``.
        free: free bytes on the disk that holds a path.
        models: the model files that ship.
    """

    root: Path = Path("/")
    run: Callable[[Sequence[str]], str | None] = _run
    delegate: Callable[[], None] = _delegate
    version: Callable[[str], str | None] = _version
    importable: Callable[[str], bool] = _importable
    access: Callable[[Path, int], bool] = os.access
    free: Callable[[Path], int] = lambda path: os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    python: tuple[int, int] = (sys.version_info.major, sys.version_info.minor)
    architecture: str = field(default_factory=platform.machine)
    page_size: int = os.sysconf("SC_PAGE_SIZE")
    prefix: Path = Path(sys.prefix)
    in_venv: bool = sys.prefix != sys.base_prefix
    user: str = field(default_factory=lambda: os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.geteuid()))
    is_root: bool = os.geteuid() == 0
    groups: frozenset[str] = field(default_factory=_groups)
    spool: Path = Path("/var/lib/quietcam")
    models: Callable[[], list[Path]] = _models

    def text(self, path: str) -> str | None:
        """Text of a file below the root, without zero bytes; None if it cannot be read."""
        try:
            return (
                (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
            )
        except OSError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        """Paths below the root, sorted."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    @property
    def model(self) -> str:
        """The board's name, such as ``Raspberry Pi 5 Model B Rev 1.0``; empty on other machines."""
        return board_name(self.root)

    @property
    def is_pi(self) -> bool:
        return self.model.startswith("Raspberry Pi")

    @property
    def pip(self) -> str:
        """The command that installs packages for this Python."""
        return f"{self.prefix / 'bin' / 'python'} -m pip install"

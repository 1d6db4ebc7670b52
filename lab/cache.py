"""Cache: folders that are made once for what they are made of, and again only when that changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Cache", "home", "key_of"]

_KEPT = 4  # folders of one name; a disk takes 1.3 GB


def home() -> Path:
    """``$QUIETCAM_LAB``, else ``~/.cache/quietcam-lab``."""
    return Path(os.environ.get("QUIETCAM_LAB") or Path.home() / ".cache/quietcam-lab")


def key_of(*parts: str | bytes) -> str:
    """Twelve characters that differ when a part differs."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


class Cache:
    """Folders ``NAME-KEY`` below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """The folder of this name and key; ``make`` fills a new one if there is none.

        A folder has its name only when it is whole. Of other keys those that were used last stay, since other
        checkouts, and guests that run, may need them.
        """
        with self.locked(name):
            there = self.folder / f"{name}-{key}"
            if there.is_dir():
                os.utime(there)
                return there
            begun = self.folder / f"{name}.begun"
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            make(begun)
            begun.rename(there)
            os.utime(there)
            every = self.folder.glob(f"{name}-" + "[0-9a-f]" * 12)
            for old in sorted(every, key=lambda path: path.stat().st_mtime_ns, reverse=True)[_KEPT:]:
                shutil.rmtree(old, ignore_errors=True)
            return there

    @contextmanager
    def locked(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock that another process with this cache waits for; ``waiting`` is called if we must wait."""
        with (self.folder / f".{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

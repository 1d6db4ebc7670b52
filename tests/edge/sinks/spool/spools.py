"""A spool with a clock that tests set, frames for it, and the content of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.run.frame import Frame
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.sinks.spool.store import Store
from quietcam.image import Image
from tests.small_models import picture

__all__ = ["DAY", "FILE", "HOUR", "STAMP", "Clock", "feed", "names", "on_disk", "opened", "spool"]

HOUR, DAY = 3600.0, 86400.0
FILE = {".jpg": b"x" * 100}
"""An entry of one file."""
STAMP = "2026-05-17T08-30-00.250Z"


class Clock:
    """Monotonic and wall time, moved by hand."""

    def __init__(self) -> None:
        self.now, self.offset = 1000.0, 1.7e9

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset


def spool(folder: Path, clock: Clock, **options: Any) -> SpoolSink:
    return SpoolSink(SpoolOptions(folder, **({"every": 1.0} | options)), (16, 16), clock, clock.wall)


def opened(folder: Path, entries: int = 1000) -> Store:
    """A store with room for this many small files."""
    store = Store(folder, entries * 4096, lambda: 1.7e9)
    store.open()
    return store


def feed(sink: SpoolSink, clock: Clock, count: int, step: float = 1.0, image: Image | None = None) -> None:
    for _ in range(count):
        frame = picture(16, 16, seed=sink.frames) if image is None else image
        sink.write(Frame(frame, clock.now, sink.frames), 255 - frame)
        clock.now += step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def on_disk(folder: Path) -> int:
    """Bytes of all entries by the rule, counted from the files."""
    total = 0
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        files = list(path.iterdir()) if path.is_dir() else [path]
        total += sum(-(-each.stat().st_size // 4096) * 4096 for each in files) + (4096 if path.is_dir() else 0)
    return total

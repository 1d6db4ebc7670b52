"""Progress of long work: a bar on the terminal of a command, elsewhere a record of the log now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from quietcam.terminal.log import is_shown, log
from quietcam.terminal.printable import printable

__all__ = ["Progress", "progress"]

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """The interface to which long work reports its progress."""

    def advance(self, steps: float = 1, note: str = "") -> None:
        """``steps`` more are done; ``note`` is shown after the bar."""


@contextlib.contextmanager
def progress(description: str, total: float | None) -> Iterator[Progress]:
    """Tell the progress of ``total`` steps (None: unknown). A command on a terminal shows a bar. Elsewhere the log gets
    a line now and then: a command shows it, and a user's own program only if it asks for records of level INFO.
    """
    if is_shown() and sys.stderr is not None and sys.stderr.isatty():
        with _bar(description, total) as bar:
            yield bar
    else:
        lines = _Lines(description, total)
        yield lines
        lines.close()


class _Lines:
    def __init__(self, description: str, total: float | None) -> None:
        self._description = description
        self._total = total
        self._done = 0.0
        self._shown: float | None = None
        self._note = ""
        self._start = self._last = time.monotonic()

    def advance(self, steps: float = 1, note: str = "") -> None:
        self._done += steps
        self._note = note or self._note
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            self._print()

    def close(self) -> None:
        if self._shown != self._done:
            self._print(ended=True)

    def _print(self, ended: bool = False) -> None:
        self._shown = self._done
        share = f"{self._done:.0f}" if self._total is None else f"{self._done:.0f} of {self._total:.0f}"
        elapsed = time.monotonic() - self._start
        left = ""
        if self._total is not None and 0 < self._done < self._total and not ended:
            left = f", about {_duration(elapsed * (self._total / self._done - 1))} left"
        note = f", {self._note}" if self._note else ""
        log.info("%s: %s, %.0f s%s%s", self._description, share, elapsed, left, note)


def _duration(seconds: float) -> str:
    """``50 s``, ``7 min``, ``2 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextlib.contextmanager
def _bar(description: str, total: float | None) -> Iterator[Progress]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    from quietcam.terminal.console import PlainConsole

    bar = RichProgress(
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=PlainConsole(stderr=True),
    )
    task = bar.add_task(printable(description), total=total, note="")

    class _Bar:
        def advance(self, steps: float = 1, note: str = "") -> None:
            bar.advance(task, steps)
            if note:
                bar.update(task, note=printable(note))

    with bar:
        yield _Bar()

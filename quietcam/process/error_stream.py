"""The error stream of a command: a thread of its own writes to it, so that no other thread waits for a slow reader."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable

from quietcam.terminal.printable import printable

__all__ = ["ErrorStream", "LineWriter"]

_PATIENCE = 0.25  # seconds that the first line waits for a slow reader; the lines after it do not wait
_MOST = 1 << 18  # bytes that are kept for a slow reader


class LineWriter:
    """Writes lines to a descriptor in a thread of its own, in the order in which they come.

    ``put`` waits until its lines are written, so that they are out before the caller goes on, but at most ``patience``
    seconds. While the reader is stuck (a full pipe, a stopped terminal, a disk that hangs) ``put`` does not wait: up to
    ``most`` bytes are kept, further lines are left out and counted, and the count is written once the reader goes on.
    If the reader has gone or the disk is full, lines are lost without an error.

    Args:
        descriptor: blocking. The caller closes it.
        patience: seconds.
        most: bytes.
    """

    def __init__(self, descriptor: int, patience: float = _PATIENCE, most: int = _MOST) -> None:
        self.descriptor = descriptor
        self.lost = 0
        """Lines left out whose count has not been written yet."""
        self._patience, self._most = patience, most
        self.forked()

    def forked(self) -> None:
        """Start again in a forked child, which has no threads."""
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._waiting = self._given = self._written = 0
        self._stuck = False
        self._thread: threading.Thread | None = None

    def put(self, words: bytes) -> None:
        """Write whole lines."""
        with self._changed:
            if self._waiting + len(words) > self._most and self._queue:
                self.lost += words.count(b"\n")
                return
            if self.lost:
                self._append(self._lost_line())
            self._append(words)
            mine = self._given
            if not self._stuck:
                self._stuck = not self._changed.wait_for(lambda: self._written >= mine, self._patience)

    def flush(self, patience: float) -> bool:
        """Wait until all is written, at most ``patience`` seconds. Returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._written >= self._given, patience)

    def _append(self, words: bytes) -> None:
        self._queue.append(words)
        self._waiting += len(words)
        self._given += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="error-stream", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # Python is ending and starts no threads
                self._thread = None
                self._queue.clear()
                self._written = self._given
                return
        self._changed.notify_all()

    def _lost_line(self) -> bytes:
        lost, self.lost = self.lost, 0
        return b"quietcam: %d lines are left out here, since nobody read this stream\n" % lost

    def _run(self) -> None:
        changed = self._changed
        while True:
            with changed:
                changed.wait_for(lambda: self._queue)
                words = self._queue[0]
            rest = memoryview(words)
            with contextlib.suppress(OSError):
                while rest:
                    rest = rest[os.write(self.descriptor, rest) :]
            with changed:
                self._queue.popleft()
                self._waiting -= len(words)
                self._written += 1
                self._stuck = False
                if self.lost and not self._queue:
                    self._append(self._lost_line())
                changed.notify_all()


class ErrorStream(io.TextIOBase):
    """``sys.stderr`` of a command: writes whole lines by a ``LineWriter``, with control characters escaped.

    Args:
        encoding: characters that it cannot hold are escaped.
        divert: returns where the text of the current thread goes while its native output is caught, else None.
        raw: let escape sequences through, for progress bars.
    """

    def __init__(
        self,
        writer: LineWriter,
        encoding: str = "utf-8",
        divert: Callable[[], Callable[[bytes], object] | None] = lambda: None,
        raw: bool = False,
    ) -> None:
        self.writer = writer
        self._encoding, self._divert, self._raw = encoding, divert, raw
        self._begun = threading.local()  # each thread's unfinished line

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self.writer.descriptor)

    def fileno(self) -> int:
        return self.writer.descriptor

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"an error stream takes text. Received: {type(text).__name__}")
        if self._raw:
            self._out(text)
            return len(text)
        whole, end, rest = (getattr(self._begun, "line", "") + text).rpartition("\n")
        self._begun.line = rest
        self._out(printable(whole + end, lines=True))
        return len(text)

    def flush(self) -> None:
        rest, self._begun.line = getattr(self._begun, "line", ""), ""
        self._out(printable(rest, lines=True))

    def say(self, line: str) -> None:
        """Write one line, also from a thread whose native output is caught."""
        self.writer.put((printable(line) + "\n").encode(self._encoding, "backslashreplace"))

    def _out(self, text: str) -> None:
        if text:
            (self._divert() or self.writer.put)(text.encode(self._encoding, "backslashreplace"))

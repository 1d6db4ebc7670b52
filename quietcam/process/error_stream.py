"""The error stream of a command: a thread writes to it, so that nobody else ever waits for who reads it."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable

from quietcam.terminal.printable import printable

__all__ = ["ErrorStream", "LineWriter"]

_PATIENCE = 0.25  # seconds that a line waits for its reader, once; then those behind it do not wait at all
_MOST = 1 << 18  # bytes that wait for a reader


class LineWriter:
    """Writes to a descriptor what others hand in, in order.

    Who hands in waits until it is written, so that a line is out before what follows it happens; but no longer than
    ``patience``. While the reader is stuck (a full pipe, a stopped terminal, a disk that hangs) nobody waits any more:
    up to ``most`` bytes are kept, what exceeds them is left out and counted, and the reader is told when it goes on.
    Words for a reader that has left, or for a full disk, are lost: they end nothing.

    Args:
        descriptor: blocking; stays the caller's.
    """

    def __init__(self, descriptor: int, patience: float = _PATIENCE, most: int = _MOST) -> None:
        self.descriptor = descriptor
        self.lost = 0
        """Lines left out that the reader has not been told of yet."""
        self._patience, self._most = patience, most
        self.forked()

    def forked(self) -> None:
        """Begin afresh, in a child that has this process' memory and none of its threads."""
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._waiting = self._given = self._written = 0
        self._stuck = False
        self._thread: threading.Thread | None = None

    def put(self, words: bytes) -> None:
        """Hand in whole lines."""
        with self._changed:
            if self._waiting + len(words) > self._most and self._queue:
                self.lost += words.count(b"\n")
                return
            if self.lost:
                self._append(self._told())
            self._append(words)
            mine = self._given
            if not self._stuck:
                self._stuck = not self._changed.wait_for(lambda: self._written >= mine, self._patience)

    def flush(self, patience: float) -> bool:
        """Wait until all is written, ``patience`` seconds at most; whether it is."""
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
            except RuntimeError:  # no thread any more: Python ends
                self._thread = None
                self._queue.clear()
                self._written = self._given
                return
        self._changed.notify_all()

    def _told(self) -> bytes:
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
                    self._append(self._told())
                changed.notify_all()


class ErrorStream(io.TextIOBase):
    """``sys.stderr`` of a command: whole lines, escaped, through a ``LineWriter``.

    Args:
        encoding: of the reader; what it cannot hold is escaped.
        divert: takes the words of a thread whose words are caught at this time; None where they are not.
        raw: let escape sequences through, for what draws on a terminal.
    """

    def __init__(
        self,
        voice: LineWriter,
        encoding: str = "utf-8",
        divert: Callable[[], Callable[[bytes], object] | None] = lambda: None,
        raw: bool = False,
    ) -> None:
        self.voice = voice
        self._encoding, self._divert, self._raw = encoding, divert, raw
        self._begun = threading.local()  # the line that a thread has not ended yet

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self.voice.descriptor)

    def fileno(self) -> int:
        return self.voice.descriptor

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
        """One line for the reader, also of a thread whose words are caught."""
        self.voice.put((printable(line) + "\n").encode(self._encoding, "backslashreplace"))

    def _out(self, text: str) -> None:
        if text:
            (self._divert() or self.voice.put)(text.encode(self._encoding, "backslashreplace"))

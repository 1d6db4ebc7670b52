"""What native code writes to the error stream: kept in a file in memory, read by position, and kept small.

It is a file and no pipe, so that native code never waits while it writes, even if no Python thread can run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable

__all__ = ["KEPT", "NativeLog", "Part"]

KEPT = 1 << 20
"""Bytes that are kept of output that is not shown, read or dropped yet."""

_FREED = 1 << 18  # bytes that are given back to the system in one step
_LINE = 1 << 12  # bytes of an unfinished line that is held back
_PAGE = 1 << 16  # a multiple of every page size


class Part:
    """A stretch of the file: what is written from now on until the part ends."""

    __slots__ = ("begin",)

    def __init__(self, begin: int) -> None:
        self.begin = begin


class NativeLog:
    """A file that native code appends to, and which parts of it have been shown, read or dropped. Thread-safe.

    Several parts may be open at once. Where they overlap, nobody knows which block a line belongs to: a part whose
    block succeeds drops it, unless another part shows it.

    Attributes:
        file: its descriptor, opened for appending.
        position: everything before it has been shown, read or dropped.
    """

    def __init__(self) -> None:
        self.file = _file()
        self.position = 0
        self._lock = threading.Lock()  # never held during a native call or a write to the error stream
        self._open: set[Part] = set()
        self._settled: list[tuple[int, int, bool]] = []  # begin, end, and whether it was shown
        self._freed = self._seen = 0

    def begin(self) -> Part:
        with self._lock:
            part = Part(self._size())
            self._open.add(part)
            return part

    def drop(self, part: Part) -> None:
        """End the part; its output is not shown."""
        with self._lock:
            self._settle(part.begin, self._size(), shown=False)
            self._close(part)

    def take(self, part: Part) -> bytes:
        """End the part and return its output, without what has been shown already."""
        with self._lock:
            end = self._size()
            words = self._read(part.begin, end, lambda shown: shown)
            self._settle(part.begin, end, shown=True)
            self._close(part)
            return words

    def read_lines(self, part: Part, ours: Callable[[str], bool]) -> list[str]:
        """End the part and return its lines that are ``ours``. They are not shown; other open parts get them, too."""
        with self._lock:
            lines, at = [], part.begin
            for line in self._bytes(part.begin, self._size()).splitlines(keepends=True):
                text = line.decode(errors="replace")
                if ours(text):
                    lines.append(text.strip())
                    self._settle(at, at + len(line), shown=False)
                at += len(line)
            self._close(part)
            return lines

    def rest(self, last: bool = False) -> tuple[bytes, int]:
        """Return what no part has taken, and how many bytes of it are left out because there were too many.

        Output in a part that is still open stays, up to ``KEPT`` bytes.

        Args:
            last: take everything, also an unfinished line, and output in open parts.
        """
        with self._lock:
            size = self._size()
            end = size if last else min((part.begin for part in self._open), default=size)
            start = max(self.position, size - KEPT)
            missed = max(0, min(start, end) - self.position)
            if end == size != self._seen and not last:
                tail = self._bytes(max(start, end - _LINE), end)
                end -= len(tail) - tail.rfind(b"\n") - 1  # that line is not finished yet
            self._seen = size
            words = self._read(start, end, lambda _: True) if end > start else b""
            self.position = max(start, end)
            for part in self._open:
                part.begin = max(part.begin, self.position)
            self._settled = [each for each in self._settled if each[1] > self.position]
            begin, end = self._freed, self._freeable()
            self._freed = end
        if end > begin:
            _punch(self.file, begin, end - begin)  # positions do not change
        return words, missed

    def _close(self, part: Part) -> None:
        """Close the part, and move ``position`` over what is settled right behind it."""
        self._open.discard(part)
        upto = min((each.begin for each in self._open), default=self._size())
        for begin, end, _ in sorted(self._settled):
            if begin <= self.position:
                self.position = max(self.position, min(end, upto))

    def _settle(self, begin: int, end: int, shown: bool) -> None:
        if end > begin:
            self._settled.append((begin, end, shown))

    def _read(self, begin: int, end: int, leave: Callable[[bool], bool]) -> bytes:
        """The bytes there, without the settled ones that ``leave`` leaves out."""
        begin = max(begin, end - KEPT)
        words = bytearray()
        for start, stop, shown in sorted(self._settled):
            if leave(shown) and stop > begin and start < end:
                words += self._bytes(begin, start)
                begin = max(begin, stop)
        return bytes(words + self._bytes(begin, end))

    def _bytes(self, begin: int, end: int) -> bytes:
        begin = max(begin, end - KEPT)
        return os.pread(self.file, end - begin, begin) if end > begin else b""

    def _size(self) -> int:
        return os.fstat(self.file).st_size

    def _freeable(self) -> int:
        """Up to where memory may be given back: all before ``position``, but not in small steps."""
        if self.position - self._freed < _FREED:
            return self._freed
        return self.position - self.position % _PAGE


def _file() -> int:
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            file = os.memfd_create("quietcam-native-output")
            fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
            return file
    with tempfile.TemporaryFile() as there:
        file = fcntl.fcntl(there, fcntl.F_DUPFD_CLOEXEC, 3)
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file


def _punch(file: int, begin: int, length: int) -> None:
    """Make a hole in the file; where the system cannot, the memory stays in use."""
    import ctypes

    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        fallocate = libc.fallocate64 if hasattr(libc, "fallocate64") else libc.fallocate
        fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        fallocate(file, 3, begin, length)  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE

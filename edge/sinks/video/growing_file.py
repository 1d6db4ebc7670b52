"""GrowingFile: a video's file while it grows, of which all but the last second survives a power cut."""

from __future__ import annotations

import contextlib
import os
import threading

__all__ = ["GrowingFile"]

_FRAGMENT, _HIDDEN = b"moof", b"free"
"""Kinds of boxes of an MP4: the header of a fragment, and room that players skip."""


class GrowingFile:
    """What PyAV writes a container into. A thread of its own brings the file to the disk after each mark, so that a
    slow card delays no frame.

    Players refuse an MP4 that ends inside the header of a fragment. So a fragment is written as free room. Once it is
    on the disk, four bytes make it a fragment.

    Args:
        descriptor: of an empty file, open for writing; closed with this object.

    Attributes:
        size: bytes that were written.
        whole: bytes up to the last mark: they make a whole video.
        error: why the disk takes no more; None while it does. After an error nothing is written.
    """

    def __init__(self, descriptor: int) -> None:
        self.size = self.whole = 0
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._place = 0
        self._hidden: list[int] = []  # places of fragments that are not on the disk yet
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._over = False
        own = os.dup(descriptor)  # so that it leads to this file even after the other one is closed
        threading.Thread(target=self._work, args=(own,), name="sync", daemon=True).start()

    @property
    def is_there(self) -> bool:
        """Whether the file still has a name: it was not deleted."""
        return os.fstat(self._descriptor).st_nlink > 0

    @property
    def safe(self) -> int:
        """Bytes of the fragments that players see: they are on the disk."""
        with self._lock:
            return min([self.whole, *self._hidden])

    def write(self, content: bytes) -> int:
        """For PyAV."""
        self.check()
        length = len(content)
        if self._place == self.whole and content[4:8] == _FRAGMENT:
            with self._lock:
                self._hidden.append(self._place)
            content = content[:4] + _HIDDEN + content[8:]
        left = memoryview(content)
        try:
            while left:
                written = os.pwrite(self._descriptor, left, self._place)
                self._place += written
                left = left[written:]
        except OSError as error:
            self.error = error
            raise
        self.size = max(self.size, self._place)
        return length

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """For PyAV. What was written is brought to the disk before anything is changed in it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        if start + place < self.size:
            self.sync()
        self._place = start + place
        return self._place

    def tell(self) -> int:
        """For PyAV."""
        return self._place

    def mark(self) -> None:
        """Note that all that was written makes a whole video, if anything was written since the last mark."""
        if self.size > self.whole:
            self.whole = self.size
            self._wanted.set()

    def check(self) -> None:
        """Check that the disk takes what is written.

        Raises:
            OSError: it does not.
        """
        if self.error is not None:
            raise self.error

    def sync(self) -> None:
        """Bring the file to the disk, and wait for that.

        Raises:
            OSError: the disk fails.
        """
        self._sync(self._descriptor)
        self.check()

    def cut(self) -> None:
        """Leave out what follows the last mark: a part of something that could not be written."""
        with contextlib.suppress(OSError):  # a disk that fails: what is there can be played nevertheless
            os.ftruncate(self._descriptor, self.whole)
            self._show(self._descriptor, self._hidden_now())

    def close(self) -> None:
        """May be called twice."""
        self._over = True
        self._wanted.set()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):  # the last sync has said whether the file is on the disk
                os.close(descriptor)

    def _work(self, descriptor: int) -> None:
        """Sync whenever that is wanted; wishes that come meanwhile count as one."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._over:
                break
            self._sync(descriptor)
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        hidden = self._hidden_now()
        try:
            os.fsync(descriptor)
            self._show(descriptor, hidden)
        except OSError as error:
            self.error = self.error or error

    def _hidden_now(self) -> list[int]:
        with self._lock:
            return [place for place in self._hidden if place < self.whole]

    def _show(self, descriptor: int, places: list[int]) -> None:
        for place in places:
            os.pwrite(descriptor, _FRAGMENT, place + 4)
        with self._lock:
            self._hidden = [place for place in self._hidden if place not in places]

"""DiskReaders: take items from a disk in threads of their own, because a disk may hang for ever."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator
from typing import Generic, TypeVar

__all__ = ["DiskBusyError", "DiskReader", "DiskReaders"]

_Item = TypeVar("_Item")


class DiskBusyError(Exception):
    """All readers are in use; on a disk that hangs they stay so."""


class DiskReaders:
    """At most ``most`` readers at the same time. One that hangs counts until it wakes up.

    Args:
        seconds: time in which the disk must give an item.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._free.put(None)

    @contextlib.asynccontextmanager
    async def reading(self, source: Callable[[], Generator[_Item]]) -> AsyncIterator[DiskReader[_Item]]:
        """A reader of the items of ``source()``, which is made, run and closed in one thread.

        Raises:
            DiskBusyError: all readers are in use.
        """
        try:
            self._free.get_nowait()
        except queue.Empty:
            raise DiskBusyError from None
        reader = DiskReader(source, self._seconds, lambda: self._free.put(None))
        try:
            yield reader
        finally:
            reader.leave()


class DiskReader(Generic[_Item]):
    """Runs a generator in a thread, one step for each call of ``next``."""

    def __init__(self, source: Callable[[], Generator[_Item]], seconds: float, ended: Callable[[], object]) -> None:
        self._source, self._seconds, self._ended = source, seconds, ended
        self._wishes: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: the next item; False: the end
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[_Item | None] = self._loop.create_future()
        threading.Thread(target=self._run, name="quietcam-shelf", daemon=True).start()

    async def next(self) -> _Item | None:
        """The next item; None at the end.

        Raises:
            TimeoutError: the disk gives none in time.
            Exception: what the generator raised.
        """
        self._answer = self._loop.create_future()
        self._wishes.put(True)
        return await asyncio.wait_for(self._answer, self._seconds)

    def leave(self) -> None:
        """Let the thread end as soon as it can."""
        self._wishes.put(False)

    def _run(self) -> None:
        try:
            with contextlib.closing(self._source()) as items:
                while self._wishes.get():
                    try:
                        self._tell(next(items, None), None)
                    except Exception as error:  # noqa: BLE001  raised again where it is awaited
                        self._tell(None, error)
        finally:
            self._ended()

    def _tell(self, item: _Item | None, error: Exception | None) -> None:
        answer = self._answer

        def tell() -> None:
            if answer.done():  # nobody waits any more
                return
            if error is None:
                answer.set_result(item)
            else:
                answer.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(tell)

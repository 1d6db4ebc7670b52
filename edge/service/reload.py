"""SIGHUP: the configuration is read again, and its model and strength take over without losing a frame."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from edge.service.notify import Notifier
from quietcam.errors import QuietcamError
from quietcam.progress import say
from quietcam.urls import shown

__all__ = ["Reloader", "on_hangup"]


class Reloader:
    """Does ``work`` in a thread of its own, once for all that asked while it was busy.

    Args:
        work: reads, checks and applies. A QuietcamError means that all stays as it was.
        refused: told why in one line.
        notifier: told that a reload begins and ends.
    """

    def __init__(self, work: Callable[[], None], refused: Callable[[str], None], notifier: Notifier) -> None:
        self._work, self._refused, self._notifier = work, refused, notifier
        self._asked = self._ask = -1
        self._thread = threading.Thread(target=self._run, name="quietcam-reload", daemon=True)

    def start(self) -> None:
        self._asked, self._ask = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._asked, True)
        self._thread.start()

    def request(self) -> None:
        """Ask for a reload. For signal handlers: returns at once and takes no lock."""
        with contextlib.suppress(BlockingIOError):  # full of requests already
            os.write(self._ask, b"r")

    def close(self) -> None:
        """End the thread. A reload under way is finished first."""
        os.close(self._ask)
        self._thread.join()
        os.close(self._asked)

    def _run(self) -> None:
        while os.read(self._asked, 4096):
            self._notifier.reloading()
            try:
                self._work()
            except QuietcamError as error:
                line = shown(" ".join(str(error).split()))
                say(f"The reload is refused, all goes on as it was: {line}")
                self._refused(line)
            except Exception as error:  # noqa: BLE001  a reload must never end what works
                line = shown(f"unexpected {type(error).__name__}: {error}")
                say(f"The reload failed, all goes on as it was: {line}")
                self._refused(line)
            finally:
                self._notifier.ready()


@contextlib.contextmanager
def on_hangup(reloader: Reloader) -> Iterator[None]:
    """SIGHUP asks ``reloader`` while the block runs. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reloader.start()
    before = signal.signal(signal.SIGHUP, lambda _, __: reloader.request())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        reloader.close()

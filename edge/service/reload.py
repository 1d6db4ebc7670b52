"""Reload on SIGHUP: reads the configuration again. Its model and strength take effect, and no frame is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from edge.service.notify import Notifier
from quietcam.errors import QuietcamError, one_line
from quietcam.process.stopping import process
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["Reloader", "on_hangup"]

_GRACE = 2.0  # seconds that a reload may still take at the end


class Reloader:
    """Does ``work`` in a separate thread. Requests that arrive while it is busy count as one.

    Args:
        work: reads, checks and applies the configuration. A QuietcamError means that nothing has changed.
        refused: called with the reason, in one line, if a reload is refused.
        notifier: reports the begin and the end of a reload.
    """

    def __init__(self, work: Callable[[], None], refused: Callable[[str], None], notifier: Notifier) -> None:
        self._work, self._refused, self._notifier = work, refused, notifier
        self._asked = self._ask = -1
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="quietcam-reload", daemon=True)

    def start(self) -> None:
        self._asked, self._ask = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._asked, True)
        self._thread.start()

    def request(self) -> None:
        """Request a reload. For signal handlers: returns immediately and takes no lock."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of requests already
            os.write(self._ask, b"r")

    def close(self) -> None:
        """End the thread. A reload that runs is finished first if that does not take long; if it does, it is abandoned
        and logs nothing more.
        """
        self._closed = True
        os.close(self._ask)
        process.wait([self._thread], _GRACE)

    def _run(self) -> None:
        with open(self._asked, "rb", buffering=0) as asked:  # noqa: PTH123  of a descriptor
            while asked.read(4096):
                self._reload()

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            self._work()
        except QuietcamError as error:
            self._refuse("is refused", one_line(error))
        except Exception as error:  # noqa: BLE001  a reload must never end the run
            self._refuse("failed", f"unexpected {type(error).__name__}: {error}")
        finally:
            if not self._closed:
                self._notifier.ready()

    def _refuse(self, how: str, why: str) -> None:
        if not self._closed:
            log.warning("The reload %s, so nothing changes: %s", how, shown(why))
            self._refused(shown(why))


@contextlib.contextmanager
def on_hangup(reloader: Reloader) -> Iterator[None]:
    """While the block runs, SIGHUP requests a reload; so does a SIGHUP that came before. It has no effect outside the
    main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reloader.start()
    before = signal.signal(signal.SIGHUP, lambda _, __: reloader.request())
    if process.hangups:
        reloader.request()
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        reloader.close()

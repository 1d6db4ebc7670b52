"""Turn: one thread at a time does something that may hang, and holds no lock meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

__all__ = ["Turn"]


class Turn:
    """Lets in one thread at a time, in the order in which they come.

    The lock inside is held only while a thread comes or goes. So ``between`` and ``close`` return at once, whatever
    the thread does whose turn it is; only ``take`` waits for it, and ``close`` ends that wait.

    Example:
        >>> from quietcam.process.turn import Turn
        >>> turn = Turn()
        >>> turn.take()
        True
        >>> turn.close(lambda: print("freed"))
        >>> turn.leave()
        freed
        >>> turn.take()
        False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = self._closed = False
        self._waiting: deque[Future[bool]] = deque()
        self._due: deque[Callable[[], None]] = deque()

    def take(self) -> bool:
        """Wait until it is this thread's turn, which ``leave`` ends. False where this is closed: there is no turn."""
        with self._lock:
            if self._closed:
                return False
            if not self._taken:
                self._taken = True
                return True
            mine: Future[bool] = Future()
            self._waiting.append(mine)
        try:
            return mine.result()
        except BaseException:  # Ctrl-C
            if not mine.cancel() and mine.result():
                self.leave()
            raise

    def leave(self) -> None:
        """End this thread's turn. Before the next thread's turn, do what ``between`` and ``close`` were given."""
        while (action := self._next()) is not None:
            action()

    def between(self, action: Callable[[], None]) -> None:
        """Do ``action`` while no other thread has its turn: now, or else at the end of the present turn, in its thread.

        ``action`` must be quick and raise nothing.
        """
        with self._lock:
            self._due.append(action)
            if self._taken:
                return
            self._taken = True
        self.leave()

    def close(self, action: Callable[[], None] = lambda: None) -> None:
        """Let no more threads in, also none of those that wait, and do ``action`` as by ``between``."""
        with self._lock:
            self._closed = True
            while self._waiting:
                _answer(self._waiting.popleft(), False)
        self.between(action)

    def _next(self) -> Callable[[], None] | None:
        """What is to be done before the turn ends. None where it has ended, or is another thread's now."""
        with self._lock:
            if self._due:
                return self._due.popleft()
            while self._waiting:
                if _answer(self._waiting.popleft(), True):
                    return None
            self._taken = False
            return None


def _answer(waiting: Future[bool], its_turn: bool) -> bool:
    """Whether the thread still waits, and so has its answer."""
    waits = waiting.set_running_or_notify_cancel()
    if waits:
        waiting.set_result(its_turn)
    return waits

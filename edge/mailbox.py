"""Mailbox: the bounded queue between two threads of the pipeline."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds up to ``capacity`` items between one that puts and one that gets.

    Args:
        capacity: at least 1.
        newest_wins: a full box gives up its oldest item, counted in ``dropped``; otherwise ``put`` waits.
    """

    def __init__(self, capacity: int, newest_wins: bool = False) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item; False when the box is closed and nobody will take it."""
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """The oldest item, waiting for one; None when the box is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items))
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let nothing more in. What is inside can still be taken. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""Mailbox: the bounded queue between two threads of the pipeline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds up to ``capacity`` items between a thread that puts and a thread that gets.

    Args:
        capacity: at least 1.
        newest_wins: a full box drops its oldest item and counts it in ``dropped``; otherwise ``put`` waits.
        on_drop: called with each dropped item, in the thread that puts.
    """

    def __init__(self, capacity: int, newest_wins: bool = False, on_drop: Callable[[T], None] | None = None) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._on_drop = on_drop
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def ended(self) -> bool:
        """Whether the box is closed and empty: no more items will come."""
        return self._closed and not self._items

    def put(self, item: T) -> bool:
        """Add an item. Returns False if the box is closed, so that nobody will take the item."""
        given_up: list[T] = []
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            if len(self._items) >= self._capacity:
                given_up.append(self._items.popleft())
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
        if self._on_drop is not None:
            for each in given_up:
                self._on_drop(each)
        return True

    def get(self, timeout: float | None = None) -> T | None:
        """Wait for the oldest item. None if the box has ended, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items), timeout)
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Accept no more items. Those inside can still be taken. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""A disk that fails: each of the system calls that write files can be made to fail."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["Disk"]

CALLS = ("open", "write", "fsync", "close", "rename", "mkdir", "unlink", "rmdir", "stat", "scandir", "fstat")


class Disk:
    """Replaces the system calls of the disk. It does not sync, since a test has no power cut.

    Attributes:
        calls: names of the calls while it was armed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._armed = False
        self._at, self._errno, self._for_good = -1, 0, False
        for module, names in ((os, CALLS), (fcntl, ("flock",))):
            for name in names:
                real = (lambda _: None) if name == "fsync" else getattr(module, name)
                monkeypatch.setattr(module, name, self._standing_before(real, name))

    @contextlib.contextmanager
    def failing(self, at: int = -1, error: int = 0, for_good: bool = False) -> Iterator[None]:
        """Within the block, call number ``at`` fails with ``error``; if ``for_good``, all later calls fail, too."""
        self.calls = []
        self._at, self._errno, self._for_good = at, error, for_good
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _standing_before(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not self._armed:
                return real(*arguments, **options)
            number = len(self.calls)
            self.calls.append(name)
            if number == self._at or (self._for_good and 0 <= self._at < number):
                if name == "close":  # the kernel still closes it
                    real(*arguments, **options)
                raise OSError(self._errno, os.strerror(self._errno))
            return real(*arguments, **options)

        return call

"""Trials: a random source for each, what was made in it, and when there are enough."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

__all__ = ["STATE", "Trial", "Trials"]

STATE = "trial.json"
"""Which trial the input beside it belongs to."""


@dataclass(frozen=True)
class Trial:
    """One input. ``random`` depends on the seed, the target and ``number`` alone."""

    number: int
    random: Random
    folder: Path

    def keep(self, name: str, content: bytes | str) -> bytes:
        """Note what was made before it is tried, in the file ``name``: a process that dies says nothing any more."""
        content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        (self.folder / name).write_bytes(content)
        return content


class Trials:
    """The trials of a run, until its time or their number is over.

    Args:
        target: its name.
        seed: of all of them.
        folder: where the input of the present trial lies. Emptied before each.
        seconds: None: without end.
        most: how many; None: without end.
        first: the number of the first one.
    """

    def __init__(
        self,
        target: str,
        seed: int,
        folder: Path,
        *,
        seconds: float | None = None,
        most: int | None = None,
        first: int = 0,
    ) -> None:
        self.target, self.seed = target, seed
        self.folder = folder.absolute()  # a target may work in another one
        self.done = 0
        self._end = None if seconds is None else time.monotonic() + seconds
        self._most, self._first = most, first
        folder.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[Trial]:
        while not self._is_over():
            number = self._first + self.done
            for leftover in self.folder.iterdir():
                leftover.unlink()
            (self.folder / STATE).write_text(json.dumps({"target": self.target, "seed": self.seed, "number": number}))
            yield Trial(number, Random(f"{self.target} {self.seed} {number}"), self.folder)
            self.done += 1

    def _is_over(self) -> bool:
        late = self._end is not None and time.monotonic() >= self._end
        return late or (self._most is not None and self.done >= self._most)

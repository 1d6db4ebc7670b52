"""Trials: the random source of each trial, its inputs, and the end of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

__all__ = ["STATE", "Trial", "Trials"]

STATE = "trial.json"
"""File with the number of the trial that the input beside it belongs to."""


@dataclass(frozen=True)
class Trial:
    """One input. ``random`` depends on the seed, the target and ``number`` alone."""

    number: int
    random: Random
    folder: Path

    def keep(self, name: str, content: bytes | str) -> bytes:
        """Write an input to the file ``name`` before it is tried, because a process that crashes cannot report it."""
        content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        (self.folder / name).write_bytes(content)
        return content


class Trials:
    """The trials of a run, until its time or the number of trials is reached.

    Args:
        target: name of the target.
        seed: seed of all trials.
        folder: folder for the input of the present trial. Emptied before each trial.
        seconds: time for all trials; None: no limit.
        most: most trials; None: no limit.
        first: number of the first trial.
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
        self.folder = folder.absolute()  # a target may change the current folder
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

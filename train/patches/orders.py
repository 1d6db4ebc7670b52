"""The order in which training goes through its data: first shuffled, then repeated."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

__all__ = ["Orders"]

Numbers = NDArray[np.int64]


class Orders:
    """For each source, pass after pass in a new order, so that each item is used once before any is used again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[tuple[int, int], Numbers] = {}
        self._lock = threading.Lock()

    def find(self, part: int, count: int, turns: Numbers) -> tuple[Numbers, Numbers]:
        """For each of these turns, in rising order, of a source's endless stream: the number of its item, and its pass.

        Args:
            part: number of the source.
            count: how many items it has.
        """
        passes, ranks = np.divmod(turns, count)
        numbers = np.empty_like(ranks)
        for each in range(int(passes[0]), int(passes[-1]) + 1):
            here = passes == each
            numbers[here] = self._order(part, each, count)[ranks[here]]
        return numbers, passes

    def _order(self, part: int, turn: int, count: int) -> Numbers:
        """The order of a source's pass; a few orders are cached, for batches that are built at the same time."""
        with self._lock:
            if (part, turn) not in self._known:
                mine = sorted(key for key in self._known if key[0] == part)
                for key in mine[:-3]:
                    del self._known[key]
                order = np.random.default_rng([self._seed, 0, turn, part]).permutation(count)
                self._known[part, turn] = order
            return self._known[part, turn]

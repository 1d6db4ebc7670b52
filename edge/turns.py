"""Times several pieces of work in turns, so that heat and other programs slow all of them down equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

__all__ = ["take_turns"]


def take_turns(
    work: Mapping[str, Callable[[], object]],
    runs: int = 30,
    seconds: float = 4.0,
    *,
    on_run: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each run, by name. Each runs ``runs`` times, or until its runs took ``seconds`` in all.

    Slow work ends early, too: each runs at least once, and starts no run after its ``seconds`` are used.

    Args:
        on_run: called after each run with what it did of one piece of work, 0 to 1. The sum of all is ``len(work)``.
        clock: gives seconds.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    shares = dict.fromkeys(work, 0.0)
    while waiting := [name for name, share in shares.items() if share < 1]:
        for name in waiting:
            start = clock()
            work[name]()
            taken[name].append(clock() - start)
            share = min(1.0, max(len(taken[name]) / runs, sum(taken[name]) / seconds))
            if on_run is not None:
                on_run(share - shares[name])
            shares[name] = share
    return taken

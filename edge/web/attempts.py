"""Limits how often a token may be tried: by client, by door, and for all clients together.

A token that a person chose can be guessed with enough tries. So a client that has used up its tries is refused even
with the right token: if that were accepted, guessing could continue at any speed. (A token that quietcam made cannot be
guessed, and is always accepted.) Clients have separate tries, so that a guesser cannot shut others out:

- A client has separate tries for each door: the ``Authorization`` header, ``?token=``, and the form. A picture on
  another site can make the owner's browser use up the tries of ``?token=``, but no others.
- All clients together have three stocks of tries: one for clients that have not tried in the last minutes, one for
  those that have tried a few times, one for the rest. Many guessers soon use up the last; a newcomer finds the first
  one full.
- A client that has shown the right token or cookie in this run no longer depends on other clients.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeVar

from edge.web.client import Client

__all__ = ["Attempts", "Door"]

Door = Literal["header", "address", "form"]
"""How a client sends a token: ``Authorization: Bearer``, ``?token=``, or the form of the page."""

_TRIES = 10  # wrong tokens that a client may send in a row through one door
_BACK_SECONDS = 6.0  # until it regains one of these tries
_TOTAL = ((1000, 0.5), (60, 1.0), (60, 1.0))  # by rank: tries of all clients, and the seconds until one is regained
_RANKS = (1, 10)  # numbers of tries (right, wrong or refused) at which the rank of a client rises
_FORGOTTEN_SECONDS = 600.0  # after which a site's tries no longer count for its rank
_TOLD_SECONDS = 60.0  # between two log lines about a client that continues
_REMEMBERED = 4096

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Bucket:
    """``size`` tries, of which one is regained every ``back`` seconds. No timer runs: ``wait`` computes the level."""

    __slots__ = ("_back", "_full", "_size", "told")

    def __init__(self, size: int, back: float) -> None:
        self._size, self._back = size, back
        self._full = float("-inf")  # when it will be full again
        self.told = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until a try is free; 0: now."""
        return max(0.0, self._full - now - (self._size - 1) * self._back)

    def take(self, now: float) -> None:
        self._full = max(self._full, now) + self._back


class Attempts:
    """See the module. Its memory is bounded.

    Args:
        clock: seconds, monotonic.
        warn: logs one line when a client has used up its tries.
    """

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._clock, self._warn = clock, warn
        self._buckets: OrderedDict[tuple[str, Door], _Bucket] = OrderedDict()
        self._total = [_Bucket(size, back) for size, back in _TOTAL]
        self._sites: OrderedDict[str, tuple[float, int]] = OrderedDict()  # when it began, how many tries since
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait(self, client: Client, door: Door) -> float:
        """Seconds until this client may try again; 0: it may try now. Each call counts as a try."""
        now = self._clock()
        bucket = self._buckets.get((client.share, door))
        wait = 0.0 if bucket is None else bucket.wait(now)
        if client.share in self._known:
            return wait
        rank = self._rank(client.site, now)
        return max(wait, self._total[rank].wait(now))

    def failed(self, client: Client, door: Door) -> None:
        """The token was wrong."""
        now = self._clock()
        bucket = _kept(self._buckets, (client.share, door), lambda: _Bucket(_TRIES, _BACK_SECONDS))
        bucket.take(now)
        if client.share not in self._known:
            self._total[self._rank(client.site, now, tried=0)].take(now)
        if bucket.wait(now) > 0 and now - bucket.told >= _TOLD_SECONDS:
            bucket.told = now
            self._warn(f"Too many wrong tokens from {client.address}: more are refused without being checked.")

    def succeeded(self, client: Client) -> None:
        """The client has shown the right token or cookie."""
        _kept(self._known, client.share, lambda: None)

    def __len__(self) -> int:
        return len(self._buckets) + len(self._sites) + len(self._known)

    def _rank(self, site: str, now: float, tried: int = 1) -> int:
        """Which stock of tries ``site`` uses, by the number of its tries before this one."""
        began, count = _kept(self._sites, site, lambda: (now, 0))
        if now - began > _FORGOTTEN_SECONDS:
            began, count = now, 0
        self._sites[site] = began, count + tried
        return sum(count + tried - 1 >= limit for limit in _RANKS)


def _kept(memory: OrderedDict[_Key, _Value], key: _Key, new: Callable[[], _Value]) -> _Value:
    """The value of ``key`` in ``memory``, made if it is missing. The least recently used entry is removed if needed."""
    if key not in memory:
        memory[key] = new()
        if len(memory) > _REMEMBERED:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key]

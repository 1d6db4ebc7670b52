"""Places: a limited number of connections, streams or snapshots, shared fairly among clients."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from edge.web.client import Client

__all__ = ["Place", "Places"]

_uses = itertools.count()


class Place:
    """A place that is taken.

    Attributes:
        client: the client that took it.
        leave: called when another client needs it; the place is free from then on.
        idle: its client does not use it now.
        kept: no other client gets it while its client, which has shown the right token or needs none, uses it.
        number: counts the places in the order in which they were given.
        used: a number that rises with each use.
    """

    __slots__ = ("client", "idle", "kept", "leave", "number", "used")

    def __init__(self, client: Client, leave: Callable[[], None], number: int) -> None:
        self.client, self.leave, self.number = client, leave, number
        self.idle = self.kept = False
        self.used = next(_uses)


class Places:
    """``most`` places.

    When all are taken, one is taken away: first from clients on other machines, then from the client with the most,
    and of its places the one that was unused for longest. So a client that takes many takes them from itself.

    Args:
        spared: this many of the newest places are taken away last. So a client that has just come is answered even if
            others use theirs all the time, and if it opens several connections at once, as browsers do.
    """

    def __init__(self, most: int, spared: int = 0) -> None:
        self.most = most
        self._spared = spared
        # Each client's places, and the kept ones, in the order of their last use.
        self._shares: dict[str, dict[Place, None]] = {}
        self._kept: dict[Place, None] = {}
        self._taken = self._given = 0

    def __len__(self) -> int:
        return self._taken

    def force(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place for a client that could not identify itself yet. None: all are kept and in use."""
        if self._taken >= self.most:
            idle = (place for place in self._kept if place.idle)
            place = self._next() or next(idle, None)
            if place is None:
                return None
            self._take_away(place)
        return self._take(client, leave)

    def ask(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place that a client may keep for long: a free one, or one of a client that has two more. A client on this
        machine that has none gets one from another machine. None: it must wait.
        """
        if self._taken >= self.most:
            place, mine = self._next(), len(self._shares.get(client.share, ()))
            if place is None:
                return None
            here = client.is_loopback and not mine and not place.client.is_loopback
            if len(self._held(place)) < mine + 2 and not here:
                return None
            self._take_away(place)
        return self._take(client, leave)

    def used(self, place: Place) -> None:
        """Note that the place was used now: a request came, or the client took bytes of an answer."""
        held = self._held(place)
        if place in held:
            place.used = next(_uses)
            del held[place]
            held[place] = None

    def keep(self, place: Place, kept: bool) -> None:
        """Set whether the place stays with its client while the client uses it."""
        if place.kept != kept and place in self._held(place):
            self._drop(place)
            place.kept = kept
            self._enter(place)

    def free(self, place: Place) -> None:
        """Give the place back. May be called twice."""
        if place in self._held(place):
            self._drop(place)

    def _take(self, client: Client, leave: Callable[[], None]) -> Place:
        self._given += 1
        place = Place(client, leave, self._given)
        self._enter(place)
        return place

    def _take_away(self, place: Place) -> None:
        # Free now: the client's connection closes only in the event loop's next round.
        self._drop(place)
        place.leave()

    def _next(self) -> Place | None:
        """The place that is given away next. None: all are kept."""
        newest = self._given - self._spared

        def first(share: dict[Place, None]) -> Place:
            return next((place for place in share if place.number <= newest), next(iter(share)))

        def rank(place: Place) -> tuple[bool, bool, int, int]:
            return not place.client.is_loopback, place.number <= newest, len(self._held(place)), -place.used

        return max(map(first, self._shares.values()), key=rank, default=None)

    def _held(self, place: Place) -> dict[Place, None]:
        return self._kept if place.kept else self._shares.get(place.client.share, {})

    def _enter(self, place: Place) -> None:
        self._taken += 1
        held = self._kept if place.kept else self._shares.setdefault(place.client.share, {})
        held[place] = None

    def _drop(self, place: Place) -> None:
        self._taken -= 1
        held = self._held(place)
        del held[place]
        if not held and not place.kept:
            del self._shares[place.client.share]

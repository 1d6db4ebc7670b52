"""Places that clients share, of connections, streams and snapshots: who gets one when all are taken, and who leaves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from edge.web.client import Client

__all__ = ["Place", "Places"]

_uses = itertools.count()


class Place:
    """A place that is taken.

    Attributes:
        client: who took it.
        leave: called when somebody else needs it; the place is free from then on.
        idle: its holder does nothing with it just now.
        kept: nobody gets it while its holder uses it: he has shown the right token, or watches where none is asked for.
        number: of the places that were given, in order.
        used: rises with each use.
    """

    __slots__ = ("client", "idle", "kept", "leave", "number", "used")

    def __init__(self, client: Client, leave: Callable[[], None], number: int) -> None:
        self.client, self.leave, self.number = client, leave, number
        self.idle = self.kept = False
        self.used = next(_uses)


class Places:
    """``most`` places.

    When all are taken, one is taken away: from clients elsewhere before those on this machine, from the client that
    holds most, and of his that which has been of no use for longest. So whoever takes many takes them from himself.

    Args:
        spared: so many of the newest are taken away after all others: whoever has just come is heard first, also
            where others use theirs all the time, and where he comes with several at once, as browsers do.
    """

    def __init__(self, most: int, spared: int = 0) -> None:
        self.most = most
        self._spared = spared
        # Each client's places, and the kept ones, in the order in which they were last of use.
        self._shares: dict[str, dict[Place, None]] = {}
        self._kept: dict[Place, None] = {}
        self._taken = self._given = 0

    def __len__(self) -> int:
        return self._taken

    def force(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place for one who cannot have said yet who he is. None: all are kept, and in use."""
        if self._taken >= self.most:
            idle = (place for place in self._kept if place.idle)
            place = self._next() or next(idle, None)
            if place is None:
                return None
            self._take_away(place)
        return self._take(client, leave)

    def ask(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place for one who may keep it for long: one that is free, or of another who has two more than he; on this
        machine the first one of anybody elsewhere. None: he must wait.
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
        """The place was of use just now: a request came, or somebody took what was sent."""
        held = self._held(place)
        if place in held:
            place.used = next(_uses)
            del held[place]
            held[place] = None

    def keep(self, place: Place, kept: bool) -> None:
        """Nobody else gets the place while its holder uses it; or he does again."""
        if place.kept != kept and place in self._held(place):
            self._drop(place)
            place.kept = kept
            self._enter(place)

    def free(self, place: Place) -> None:
        """The place is given back. May be called twice."""
        if place in self._held(place):
            self._drop(place)

    def _take(self, client: Client, leave: Callable[[], None]) -> Place:
        self._given += 1
        place = Place(client, leave, self._given)
        self._enter(place)
        return place

    def _take_away(self, place: Place) -> None:
        # Free at once: what the holder does to leave comes only in the event loop's next round.
        self._drop(place)
        place.leave()

    def _next(self) -> Place | None:
        """The place that must be given away next. None: no stranger holds any."""
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

"""Places that clients share, of connections, streams and snapshots: who gets one when all are taken, and who leaves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from edge.web.client import Client

__all__ = ["Place", "Places"]

_numbers = itertools.count()


class Place:
    """A place that is taken.

    Attributes:
        client: who took it.
        leave: called when somebody else needs it; the place is free from then on.
        idle: its holder does nothing with it just now.
        kept: nobody gets it while its holder uses it: he has shown the right token, or watches where none is asked for.
        used: rises with each use.
    """

    __slots__ = ("client", "idle", "kept", "leave", "used")

    def __init__(self, client: Client, leave: Callable[[], None]) -> None:
        self.client, self.leave = client, leave
        self.idle = self.kept = False
        self.used = next(_numbers)


class Places:
    """``most`` places.

    When all are taken, one is taken away: from clients elsewhere before those on this machine, from the client that
    holds most, and of his that which has been of no use for longest. So whoever takes many takes them from himself.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # Each client's places, and the kept ones, in the order in which they were last of use.
        self._shares: dict[str, dict[Place, None]] = {}
        self._kept: dict[Place, None] = {}
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def force(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place for one who cannot have said yet who he is. None: all are kept, and in use."""
        if self._taken >= self.most:
            idle = (place for place in self._kept if place.idle)
            place = self._first(self._greediest()) or next(idle, None)
            if place is None:
                return None
            self._take_away(place)
        return self._take(client, leave)

    def ask(self, client: Client, leave: Callable[[], None]) -> Place | None:
        """A place for one who may keep it for long: one that is free, or of another who has two more than he; on this
        machine the first one of anybody elsewhere. None: he must wait.
        """
        if self._taken >= self.most:
            greediest = self._greediest()
            place, mine = self._first(greediest), len(self._shares.get(client.share, ()))
            if place is None:
                return None
            here = client.is_loopback and not mine and not place.client.is_loopback
            if len(greediest) < mine + 2 and not here:
                return None
            self._take_away(place)
        return self._take(client, leave)

    def used(self, place: Place) -> None:
        """The place was of use just now: a request came, or somebody took what was sent."""
        held = self._held(place)
        if place in held:
            place.used = next(_numbers)
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
        place = Place(client, leave)
        self._enter(place)
        return place

    def _take_away(self, place: Place) -> None:
        # Free at once: what the holder does to leave comes only in the event loop's next round.
        self._drop(place)
        place.leave()

    def _greediest(self) -> dict[Place, None]:
        """The places of the client who must give one away: empty when no stranger holds any."""

        def greed(share: dict[Place, None]) -> tuple[bool, int, int]:
            oldest = next(iter(share))
            return not oldest.client.is_loopback, len(share), -oldest.used

        return max(self._shares.values(), key=greed, default={})

    @staticmethod
    def _first(places: dict[Place, None]) -> Place | None:
        return next(iter(places), None)

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

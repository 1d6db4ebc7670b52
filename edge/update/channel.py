"""A channel: which bundles are offered to which devices, in one small signed file; and what one device makes of it.

A device with a file of its own (``devices/ID.json``) follows that; any other follows ``channels/NAME.json``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from quietcam.errors import JsonError, UpdateError
from quietcam.files.json_fields import number, text, whole
from quietcam.files.strict_json import dump_json, parse_object

__all__ = [
    "BUNDLE_ID",
    "CHANNEL_NAME",
    "DEVICE_ID",
    "TAG",
    "Channel",
    "Choice",
    "Device",
    "Offer",
    "bundle_path",
    "channel_path",
    "device_path",
    "parse_channel",
    "place_of",
]

FORMAT = 1
BUNDLE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}-[a-z0-9][a-z0-9._]{0,19}")
CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
TAG = re.compile(r"[a-z0-9][a-z0-9_=.-]{0,39}")
_MOST_OFFERS, _MOST_TAGS = 200, 20


def bundle_path(bundle: str) -> str:
    """Where a release keeps a bundle's archive."""
    return f"bundles/{bundle}.tar"


def channel_path(channel: str) -> str:
    """Where a release keeps a channel."""
    return f"channels/{channel}.json"


def device_path(device: str) -> str:
    """Where a release keeps the offers for one device alone."""
    return f"devices/{device}.json"


@dataclass(frozen=True)
class Device:
    """Who asks.

    Attributes:
        id: as ``edge.events.device_id`` gives it.
        channel: the channel that it follows.
        tags: groups that it belongs to, such as ``outdoor``.
    """

    id: str
    channel: str = "stable"
    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for pattern, given, word in (
            (DEVICE_ID, (self.id,), "device id"),
            (CHANNEL_NAME, (self.channel,), "channel"),
            (TAG, self.tags, "tag"),
        ):
            for each in given:
                if not pattern.fullmatch(each):
                    raise UpdateError(
                        f"A {word} is short and of a-z, 0-9, _ and -. Received: {each[:80]!a}. "
                        "Remedy: choose another one."
                    )


@dataclass(frozen=True)
class Offer:
    """A bundle that a channel offers.

    Attributes:
        bundle: its id, ``NAME-VERSION``.
        tags: a device needs all of these. Defaults to none: for every device.
        share: percent of the devices, by their place.
    """

    bundle: str
    tags: tuple[str, ...] = ()
    share: float = 100.0

    def is_for(self, device: Device) -> bool:
        """Whether this device belongs to those that the bundle is offered to."""
        return device.tags >= {*self.tags} and place_of(device.id, self.bundle) < self.share


@dataclass(frozen=True)
class Choice:
    """What a device has to do. ``bundle``: the id of the bundle to take over, or None. ``why``: one sentence."""

    bundle: str | None
    why: str


@dataclass(frozen=True)
class Channel:
    """The offers of a channel, the newest last. ``is_paused``: no device changes its bundle."""

    offers: tuple[Offer, ...] = ()
    is_paused: bool = False
    _ids: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", tuple(each.bundle for each in self.offers))
        if len(self.offers) > _MOST_OFFERS or len({*self._ids}) < len(self._ids):
            raise ValueError(f"a channel offers at most {_MOST_OFFERS} bundles, and each once")
        for offer in self.offers:
            if not BUNDLE_ID.fullmatch(offer.bundle) or not 0 <= offer.share <= 100:
                raise ValueError("an offer has a bundle's id, and a share of 0 to 100 percent")
            if len(offer.tags) > _MOST_TAGS or not all(map(TAG.fullmatch, offer.tags)):
                raise ValueError(f"an offer has at most {_MOST_TAGS} tags of a-z, 0-9, _, =, . and -")

    def choose(self, device: Device, present: str | None, refused: Collection[str] = ()) -> Choice:
        """What ``device`` has to take over.

        The newest offer for it counts. It leaves its bundle only for a newer one, or when its own is offered no more.

        Args:
            present: id of the bundle that it runs; None if it runs none.
            refused: bundles that failed on this device before.
        """
        if self.is_paused:
            return Choice(None, "the channel is paused")
        mine = [each.bundle for each in self.offers if each.is_for(device) and each.bundle not in refused]
        if not mine:
            return Choice(None, "no bundle is offered to this device")
        wanted = mine[-1]
        if wanted == present:
            return Choice(None, f"{present} is the newest bundle for this device")
        if present in self._ids and present not in refused and self._ids.index(present) > self._ids.index(wanted):
            return Choice(None, f"{present} stays: it is newer than {wanted}, and still offered to others")
        return Choice(wanted, f"{wanted} is offered to this device")

    def to_bytes(self) -> bytes:
        """The file. Deterministic."""
        offers = [{"bundle": each.bundle, "tags": each.tags, "share": each.share} for each in self.offers]
        return (dump_json({"format": FORMAT, "paused": self.is_paused, "offers": offers}, indent=1) + "\n").encode()


def parse_channel(content: bytes) -> Channel:
    """The inverse of ``Channel.to_bytes``, for bytes that somebody else wrote.

    Raises:
        UpdateError: it is no such JSON, or has a newer format.
    """
    try:
        values = parse_object(content)
        if (version := whole(values, "format")) != FORMAT:
            raise ValueError(f"format must be {FORMAT}, and is {version}")
        if not isinstance(paused := values.get("paused"), bool):
            raise ValueError("paused must be true or false")
        offers = values.get("offers")
        if not isinstance(offers, list) or not all(isinstance(each, dict) for each in offers):
            raise ValueError("offers must be a list of objects")
        return Channel(tuple(_offer(each) for each in offers), paused)
    except (ValueError, JsonError) as error:
        raise UpdateError(
            f"A channel of a release must be a list of offers. Received: {error}. "
            "Remedy: ask whoever publishes the release, or install a newer quietcam here."
        ) from None


def place_of(device: str, bundle: str) -> float:
    """A device's place for a bundle, 0 to 100: every bundle begins with other devices.

    >>> 0 <= place_of("a1b2", "small-2") < 100
    True
    """
    digest = hashlib.sha256(f"{bundle} {device}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * 100


def _offer(values: dict[str, Any]) -> Offer:
    tags = values.get("tags")
    if not isinstance(tags, list) or not all(isinstance(each, str) for each in tags):
        raise ValueError("tags must be a list of texts")
    return Offer(text(values, "bundle"), tuple(tags), number(values, "share"))

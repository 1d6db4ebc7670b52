"""Which bundles a release offers to whom: offer, withdraw, pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Targets

from deploy.release.keys import KeyFolder
from deploy.release.repository import Repository
from edge.update.archive import read_contents
from edge.update.channel import (
    BUNDLE_ID,
    CHANNEL_NAME,
    DEVICE_ID,
    Channel,
    Offer,
    bundle_path,
    channel_path,
    device_path,
    parse_channel,
)
from edge.update.trust import stored_path
from quietcam.errors import UsageError

__all__ = ["Audience", "add_bundle", "offer", "pause", "withdraw"]


@dataclass(frozen=True)
class Audience:
    """To whom something is offered: the devices of a channel, or one device alone."""

    channel: str = "stable"
    device: str | None = None

    def __post_init__(self) -> None:
        pattern, given, word = (
            (CHANNEL_NAME, self.channel, "channel") if self.device is None else (DEVICE_ID, self.device, "device id")
        )
        if not pattern.fullmatch(given):
            raise UsageError(f"A {word} is of a-z, 0-9, _ and -. Received: {given[:80]}. Remedy: choose another one.")

    @property
    def path(self) -> str:
        return channel_path(self.channel) if self.device is None else device_path(self.device)


def add_bundle(repository: Repository, keys: KeyFolder, archive: Path, now: datetime) -> str:
    """Put a bundle's archive into the release. Nobody is offered it yet. Its id.

    Raises:
        UpdateError: it is no archive of a bundle.
        UsageError: the release has another bundle of this name and version.
    """
    bundle = read_contents(archive).id
    path = bundle_path(bundle)

    def change(targets: Targets) -> None:
        before = targets.targets.get(path)
        added = repository.store(path, archive, targets)
        if before is not None and before.hashes != added.hashes:
            (repository.folder / stored_path(added)).unlink()
            raise UsageError(
                f"A bundle never changes once it has a name and a version. Received: another {bundle}. "
                "Remedy: give it a new version."
            )

    repository.edit("targets", Targets, keys, now, change)
    return bundle


def offer(repository: Repository, keys: KeyFolder, audience: Audience, offered: Offer, now: datetime) -> Channel:
    """Offer a bundle of the release as the newest one; if it is offered already, change its share and tags.

    Raises:
        UsageError: the release has no such bundle, or the offer is not valid.
    """
    _check_bundle(repository, offered.bundle)

    def change(channel: Channel) -> Channel:
        if any(each.bundle == offered.bundle for each in channel.offers):
            new = tuple(offered if each.bundle == offered.bundle else each for each in channel.offers)
        else:
            new = (*channel.offers, offered)
        return replace(channel, offers=new)

    return _change(repository, keys, audience, now, change)


def withdraw(repository: Repository, keys: KeyFolder, audience: Audience, bundle: str, now: datetime) -> Channel:
    """Offer a bundle no more: devices that run it go to the newest other offer for them.

    Raises:
        UsageError: it is not offered.
    """

    def change(channel: Channel) -> Channel:
        left = tuple(each for each in channel.offers if each.bundle != bundle)
        if len(left) == len(channel.offers):
            raise UsageError(
                f"Only what is offered can be withdrawn. Received: {bundle}. "
                f"Remedy: `quietcam release show {repository.folder}` lists what is offered."
            )
        return replace(channel, offers=left)

    return _change(repository, keys, audience, now, change)


def pause(repository: Repository, keys: KeyFolder, audience: Audience, paused: bool, now: datetime) -> Channel:
    """Stop all changes of a channel's devices, or let them go on."""
    return _change(repository, keys, audience, now, lambda channel: replace(channel, is_paused=paused))


def _check_bundle(repository: Repository, bundle: str) -> None:
    if not BUNDLE_ID.fullmatch(bundle) or bundle_path(bundle) not in repository.targets.targets:
        raise UsageError(
            f"A release offers bundles that it holds. Received: {bundle}. "
            f"Remedy: `quietcam release show {repository.folder}` lists them; add it first."
        )


def _change(
    repository: Repository, keys: KeyFolder, audience: Audience, now: datetime, change: Callable[[Channel], Channel]
) -> Channel:
    before = repository.read_target(audience.path)
    try:
        channel = change(parse_channel(before) if before is not None else Channel())
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"An offer must be valid. Received: {error}. Remedy: check it.") from None
    content = channel.to_bytes()

    def store(targets: Targets) -> None:
        repository.store(audience.path, content, targets)

    repository.edit("targets", Targets, keys, now, store)
    return channel

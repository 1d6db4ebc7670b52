"""Making a release, publishing what is drafted, and signing again before it expires."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from deploy.release.keys import KeyFolder
from deploy.release.repository import LIFETIMES, OFFLINE, Repository
from edge.update.channel import Channel, channel_path
from edge.update.source import FolderSource
from edge.update.trust import SIGNED_AT, Limits, Trusted
from quietcam.errors import UpdateError, UsageError
from quietcam.files.atomic import make_folder, write_bytes
from quietcam.files.regular import read_regular

__all__ = ["CHANNELS", "Signers", "init", "publish"]

CHANNELS = ("stable", "beta")
"""Channels of a new release. ``offer`` makes others."""


@dataclass(frozen=True)
class Signers:
    """How many keys a role has, and how many of them must sign."""

    keys: int = 1
    threshold: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= 20:
            raise UsageError(
                "A role has 1 to 20 keys, and its threshold is at most their number. "
                f"Received: {self.threshold} of {self.keys}. Remedy: for example 2 of 3."
            )


def init(folder: Path, keys: KeyFolder, signers: Mapping[str, Signers], now: datetime) -> Repository:
    """Make a release with new keys in ``folder``, and publish it: empty, with the channels ``CHANNELS``.

    Snapshot and timestamp share one key without a passphrase, since it signs by itself every few days.

    Args:
        signers: for ``root`` and ``targets``. Defaults to one key each.

    Raises:
        UsageError: ``folder`` is not empty, or the keys are there.
        StorageError: something cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"A new release needs an empty folder. Received: {folder}, which is not. Remedy: choose another one."
        )
    root = Root(expires=_after(now, "root"), consistent_snapshot=True)
    for role in OFFLINE:
        wanted = signers.get(role, Signers())
        for number in range(1, wanted.keys + 1):
            root.add_key(keys.make(f"{role}-{number}", encrypted=True), role)
        root.roles[role].threshold = wanted.threshold
    online = keys.make("online-1", encrypted=False)
    for role in ("snapshot", "timestamp"):
        root.add_key(online, role)
    make_folder(folder / "draft")
    write_bytes(folder / "draft" / "root.json", Metadata(root).to_bytes())
    repository = Repository(folder)
    repository.sign("root", Metadata(root), keys)
    targets = Targets(expires=_after(now, "targets"))
    for channel in CHANNELS:
        repository.store(channel_path(channel), Channel().to_bytes(), targets)
    repository.sign("targets", Metadata(targets), keys)
    publish(repository, keys, now)
    return repository


def publish(repository: Repository, keys: KeyFolder, now: datetime, days: Mapping[str, int] | None = None) -> int:
    """Show devices what is drafted, sign snapshot and timestamp, and check the release as a device does.

    Without a draft it signs the timestamp again, before it expires.

    Args:
        days: until ``snapshot`` and ``timestamp`` expire. Defaults to ``LIFETIMES``.

    Returns:
        The version of the timestamp.

    Raises:
        UpdateError: a draft lacks signatures, or the online key is not here. Then nothing is published.
    """
    days = {**LIFETIMES, **(days or {})}
    _check_drafts(repository)
    targets = repository.newest("targets", Targets)
    content = {"targets.json": repository.target_of_metadata(targets)}
    snapshot = repository.published("snapshot", Snapshot)
    late = now + timedelta(days=days["snapshot"] / 2)
    if (
        snapshot is None
        or snapshot.signed.meta != content
        or snapshot.signed.expires < late
        or not repository.is_trusted("snapshot", snapshot)
    ):
        version = 1 if snapshot is None else snapshot.signed.version + 1
        signed = Snapshot(version=version, expires=_after(now, "snapshot", days), meta=content)
        snapshot = repository.sign("snapshot", Metadata(signed), keys)
    before = repository.published("timestamp", Timestamp)
    version = 1 if before is None else before.signed.version + 1
    stamp = Timestamp(
        version=version,
        expires=_after(now, "timestamp", days),
        snapshot_meta=repository.target_of_metadata(snapshot),
        unrecognized_fields={SIGNED_AT: now.replace(microsecond=0).isoformat()},
    )
    timestamp = repository.sign("timestamp", Metadata(stamp), keys)
    for role, metadata in (("snapshot", snapshot), ("timestamp", timestamp)):
        if not repository.is_trusted(role, metadata):
            raise UpdateError(
                f"Publishing needs the key that signs the {role}. Received: {keys.folder}, which has none of its keys. "
                "Remedy: name the folder with the online key."
            )
    # A device follows the timestamp: it comes last.
    for role in ("targets", "snapshot", "root", "timestamp"):
        repository.publish_draft(role)
    _check_as_a_device(repository, now)
    return version


def _check_drafts(repository: Repository) -> None:
    for role in OFFLINE:
        if missing := repository.missing(role):
            raise UpdateError(
                f"What is published has enough signatures. Received: {role}, which lacks {missing}. "
                f"Remedy: sign it where its keys are: `quietcam release sign {repository.folder} {role} --keys KEYS`.",
            )


def _check_as_a_device(repository: Repository, now: datetime) -> None:
    """Read the release from its first root on, with a device's code."""
    first = read_regular(repository.folder / "metadata" / "1.root.json", 1 << 20)
    with tempfile.TemporaryDirectory() as folder:
        Trusted(FolderSource(repository.folder), first, Path(folder), Limits()).refresh(now)


def _after(now: datetime, role: str, days: Mapping[str, int] = LIFETIMES) -> datetime:
    return now.replace(microsecond=0) + timedelta(days=days[role])

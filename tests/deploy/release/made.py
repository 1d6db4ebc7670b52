"""Releases for tests: keys, a published folder, bundles of random pixels."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from deploy.release.keys import KeyFolder
from deploy.release.offers import Audience, add_bundle, offer
from deploy.release.publish import Signers, init, publish
from deploy.release.repository import Repository
from edge.update.archive import pack
from edge.update.channel import Device, Offer
from edge.update.contents import CONTENTS, BundleModel, Contents, FileEntry, Golden
from edge.update.fetch import Limits, ReleaseClient, RemoteArchive

__all__ = ["DEVICE", "Made", "fake_archive", "now", "past", "wanted"]

DEVICE = Device("0123456789ab")


def now() -> datetime:
    return datetime.now(UTC)


def fake_archive(folder: Path, version: str, name: str = "small", size: int = 5000) -> Path:
    """An archive of a bundle whose model is noise: fetching looks at none of its files."""
    source = folder / f"{name}-{version}"
    files = {
        "models/a.tflite": hashlib.shake_256(version.encode()).digest(size),
        "models/a.json": b"{}",
        "golden/n": bytes(12),
        "golden/d": bytes(12),
    }
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    model = BundleModel("models/a.tflite")
    golden = Golden(model.path, "golden/n", "golden/d", (1, 2, 2, 3))
    entries = {path: FileEntry(len(each), hashlib.sha256(each).hexdigest()) for path, each in files.items()}
    (source / CONTENTS).write_bytes(Contents(name, version, (model,), (golden,), entries).to_bytes())
    archive = folder / f"{name}-{version}.tar"
    pack(source, archive)
    return archive


def past() -> contextlib.AbstractContextManager[object]:
    """While it is open, a publisher does not look at the release as a device of today does."""
    return mock.patch("deploy.release.publish._check_as_a_device")


class Made:
    """A release, its keys, and devices that ask it."""

    def __init__(self, folder: Path, signers: Mapping[str, Signers] | None = None, at: datetime | None = None) -> None:
        self.home = folder
        self.folder, self.keys = folder / "release", KeyFolder(folder / "keys")
        with past() if at else contextlib.nullcontext():
            self.repository: Repository = init(self.folder, self.keys, signers or {}, at or now())
        self.root = self.folder / "metadata" / "1.root.json"

    def offer(self, version: str, audience: Audience | None = None, share: float = 100, size: int = 5000) -> str:
        """Add a bundle, offer and publish it."""
        bundle = add_bundle(self.repository, self.keys, fake_archive(self.home, version, size=size), now())
        offer(self.repository, self.keys, audience or Audience(), Offer(bundle, share=share), now())
        self.publish()
        return bundle

    def publish(self) -> None:
        publish(self.repository, self.keys, now())

    def client(
        self,
        source: str | None = None,
        device: Device = DEVICE,
        state: str = "state",
        root: Path | None = None,
        limits: Limits | None = None,
    ) -> ReleaseClient:
        """A device; the same ``state`` is the same device at another time."""
        place = self.home / state
        return ReleaseClient(source or str(self.folder), root or self.root, place, device, limits)


def wanted(client: ReleaseClient, present: str | None = None) -> RemoteArchive:
    """The archive that a device shall take over."""
    archive = client.check(present).archive
    assert archive is not None
    return archive

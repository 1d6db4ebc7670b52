"""ReleaseSource: the bundles of a signed release, verified by The Update Framework before anything is unpacked."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from edge.update.archive import unpack
from edge.update.channel import Device
from edge.update.fetch import ReleaseClient
from edge.update.install import Fetched
from quietcam.errors import UpdateError

__all__ = ["ReleaseSource"]


class ReleaseSource:
    """Hands over what a release offers to this device.

    Args:
        source: a URL, or a folder.
        root: the ``root.json`` that this device trusts.
        folder: this device's own, which keeps verified metadata and half a download.
        device: who asks.
    """

    def __init__(self, source: str, root: Path, folder: Path, device: Device) -> None:
        self._source, self._root, self._folder, self._device = source, root, folder, device

    def fetch(self, staging: Path, present: str | None, refused: Collection[str]) -> Fetched:
        """As :class:`edge.update.install.BundleSource`."""
        client = ReleaseClient(self._source, self._root, self._folder, self._device)
        answer = client.check(present, refused)
        if answer.archive is None:
            return Fetched(None, answer.why)
        archive = client.fetch(answer.archive)
        try:
            bundle = unpack(archive, staging / "bundle")
        finally:
            with contextlib.suppress(OSError):
                archive.unlink()
        if bundle.id != answer.archive.bundle:
            raise UpdateError(
                "A release's archive holds the bundle that its name says. "
                f"Received: {answer.archive.bundle}, which holds {bundle.id}. "
                "Remedy: ask whoever publishes the release. This device keeps running what it has.",
                reason="unusable",
            )
        return Fetched(bundle, answer.why)

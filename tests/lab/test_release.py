"""The lab's release, asked by a device's own code."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from edge.update.channel import Device
from edge.update.fetch import ReleaseClient
from lab.device.release import OFFERS, TRUST, bring_release


class Guest:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def push(self, data: bytes, path: str) -> None:
        self.files[path] = data

    def run(self, command: str, check: bool) -> None:
        assert check
        assert "tar -xf" in command


@pytest.mark.slow
def test_each_channel_offers_its_own_bundle(tmp_path: Path) -> None:
    guest = Guest()
    bring_release(guest)  # type: ignore[arg-type]
    with tarfile.open(fileobj=io.BytesIO(guest.files["/opt/release.tar"])) as packed:
        packed.extractall(tmp_path / "release", filter="data")
    root = tmp_path / "root.json"
    root.write_bytes(guest.files[TRUST])
    for channel, bundle in OFFERS.items():
        device = Device("0123456789ab", channel)
        archive = ReleaseClient(str(tmp_path / "release"), root, tmp_path / channel, device).check(None).archive
        assert archive is not None
        assert archive.bundle == bundle

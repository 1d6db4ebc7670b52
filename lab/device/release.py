"""A signed release with two bundles of the tiny network, made by the commands of docs/how-to/publish-a-release.md."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lab.errors import LabError
from lab.guest import Guest
from lab.image import ROOT, TINY

__all__ = ["OFFERS", "PLACE", "TRUST", "bring_release"]

PLACE, TRUST = "/opt/release", "/etc/quietcam-root.json"
"""Where the release lies in the guest, and the root that the guest trusts."""
OFFERS = {"beta": "lab-1", "stable": "lab-2"}
"""The bundle of each channel: a device that follows the other one takes the other bundle."""


def bring_release(guest: Guest) -> None:
    """Make it and put it into the guest."""
    with tempfile.TemporaryDirectory(prefix="quietcam-lab-") as place:
        folder = Path(place)
        _make(folder)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name in ("metadata", "targets"):
                tar.add(folder / "release" / name, name)
        root = (folder / "release/metadata/1.root.json").read_bytes()
    guest.push(packed.getvalue(), "/opt/release.tar")
    guest.push(root, TRUST)
    guest.run(f"mkdir -p {PLACE} && tar -xf /opt/release.tar -C {PLACE} --no-same-owner", check=True)


def _make(folder: Path) -> None:
    from quietcam.tflite.manifest import Manifest, attach_manifest, model_sha256

    content = TINY.read_bytes()
    width, height = 80, 64
    about = Manifest(
        name="small",
        recipe="int8",
        width=width,
        height=height,
        channels=3,
        sha256=model_sha256(content),
        gmacs=0.001,
        gmacs_256=0.085,
    )
    model = folder / f"small_{width}x{height}_int8.tflite"
    model.write_bytes(attach_manifest(content, about))
    _command(folder, "init", "release", "--keys", "keys")
    for number, (channel, bundle) in enumerate(OFFERS.items()):
        name, _, version = bundle.rpartition("-")
        (folder / "settings.toml").write_text(f"strength = {1 - number / 10}\n")
        # The tiny network has learned nothing: it is nearer to its input than one that denoises.
        words = ["--settings", "settings.toml", "--keys", "keys", "--most-noisy-db", "40", "--channel", channel]
        _command(folder, "add", "release", str(model), "--name", name, "--version", version, *words, "--share", "100")
    _command(folder, "publish", "release", "--keys", "keys")


def _command(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "quietcam", "release", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"quietcam release {words[0]} failed: {done.stderr.strip()[-400:]}")

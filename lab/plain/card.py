"""A boot partition for a guest, as `quietcam card prepare` writes it, and a release that goes with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.cache import Cache, key_of
from lab.errors import LabError
from lab.image import ROOT, sources

__all__ = ["BUNDLE", "Card", "fresh_boot", "make_card", "make_release", "wheels"]

SYSTEM = "trixie-amd64"
BUNDLE = "lab-1"
"""The bundle that the release offers. Its model is not the one that a device runs by default."""

_SIZE = "384M"
_MODEL = "nano"

Say = Callable[[str], None]


class Card:
    """The image of a card's boot partition (FAT).

    Args:
        image: a file.
    """

    def __init__(self, image: Path) -> None:
        self.image = image

    @property
    def drive(self) -> tuple[str, str]:
        """Words for qemu: the second disk of a guest, whose label cloud-init looks for."""
        return "-drive", f"file={self.image},if=virtio,format=raw"

    def copy(self, image: Path) -> Card:
        """Another card with the same content."""
        return Card(Path(shutil.copy(self.image, image)))

    def read(self, name: str) -> str:
        """A text of the folder quietcam; empty if there is none. No guest may have the card mounted."""
        words = ["mtype", "-i", str(self.image), f"::quietcam/{name}"]
        return subprocess.run(words, capture_output=True, text=True, check=False, errors="replace").stdout


def wheels(cache: Cache, say: Say = lambda _: None) -> Path:
    """The folder that `quietcam card fetch` fills. The network is asked when this checkout's code has changed."""

    def make(folder: Path) -> None:
        say("wheels for a card (minutes, once)")
        for old in sorted(cache.folder.glob("card-wheels-*/*.whl")):
            if not old.name.startswith("quietcam-") and not (folder / old.name).exists():
                os.link(old, folder / old.name)
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "-w", str(folder), str(ROOT)])
        _quietcam("card", "fetch", "--for", SYSTEM, "--extra", "update", "--out", str(folder))

    content = (part for path in sources(ROOT) for part in (str(path), (ROOT / path).read_bytes()))
    return cache.kept("card-wheels", key_of(*content), make)


def make_release(folder: Path) -> tuple[Path, Path]:
    """A release with one bundle for all devices; returns its folder, and its root.json."""
    release, keys = str(folder / "release"), str(folder / "keys")
    name, version = BUNDLE.split("-")
    _quietcam("release", "init", release, "--keys", keys)
    _quietcam("release", "add", release, _MODEL, "--name", name, "--version", version, "--keys", keys)
    _quietcam("release", "publish", release, "--keys", keys)
    return Path(release), Path(release) / "metadata/1.root.json"


def fresh_boot(folder: Path) -> Path:
    """A boot partition as of a fresh Trixie: what cloud-init reads there is comments alone."""
    folder.mkdir()
    (folder / "meta-data").write_text("dsmode: local\ninstance_id: rpios-image\n")
    (folder / "user-data").write_text("#cloud-config\n\n# comments\n")
    (folder / "network-config").write_text("# comments\n")
    (folder / "cmdline.txt").write_text("console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootwait\n")
    return folder


def make_card(boot: Path, image: Path, *words: str) -> Card:
    """Prepare a boot partition with the words of `card prepare`, and put it into an image."""
    _quietcam("card", "prepare", str(boot), *words)
    with image.open("wb") as file:
        file.truncate(int(_SIZE[:-1]) << 20)
    _run(["mkfs.vfat", "-F", "32", "-n", "CIDATA", str(image)])
    _run(["mcopy", "-s", "-i", str(image), *map(str, sorted(boot.iterdir())), "::"])
    return Card(image)


def _quietcam(*words: str) -> None:
    _run([sys.executable, "-P", "-m", "quietcam", *words])


def _run(words: Sequence[str]) -> None:
    environment = {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }
    done = subprocess.run(["nice", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(words[:6])} failed with {done.returncode}:\n{done.stderr.strip()[-1500:]}")

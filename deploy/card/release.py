"""The release that a device follows: the root file that it trusts, where it asks, and a release that goes with it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.update.source import FolderSource, open_source
from edge.update.trust import Limits, Trusted, read_root
from quietcam.errors import UsageError

__all__ = ["CardRelease", "read_release"]

CARD = "@CARD@"
"""Stands for the folder quietcam of the boot partition; the device puts its own path there."""

_PARTS = ("metadata", "targets")
_URL = re.compile(r"[A-Za-z0-9:/._~%@!&()*+,;=\[\]-]+")


@dataclass(frozen=True)
class CardRelease:
    """What a card says of a release.

    Attributes:
        root: the root.json that the device trusts.
        address: where the device asks: a URL, or a path below ``CARD``.
        files: of a release that goes with the card: paths below its folder, and the files they are copied from.
    """

    root: bytes
    address: str
    files: dict[str, Path]

    @property
    def environment(self) -> str:
        """The file ``update.env``, which systemd reads."""
        return f'# Written by: quietcam card prepare\nQUIETCAM_UPDATE_FROM="{self.address}"\n'


def read_release(source: str, root: Path) -> CardRelease:
    """Read the trusted root. A release in a folder is verified as a device does it, and goes with the card.

    Args:
        source: a URL, which is not asked, or a folder.
        root: the root.json of the release.

    Raises:
        UsageError: ``source`` is neither a URL nor a folder.
        UpdateError: ``root`` is no root file, or does not belong to the release in the folder.
        MissingExtraError: the extra ``release`` is not installed.
    """
    place, content = open_source(source), read_root(root)
    is_folder = isinstance(place, FolderSource)
    if not is_folder and not _URL.fullmatch(source):
        raise UsageError(
            "On a card, the URL of a `release` has no spaces, quotes, $ or backslashes. "
            f"Received: {source}. Remedy: write them as % and two digits"
        )
    with tempfile.TemporaryDirectory() as folder:
        trusted = Trusted(place, content, Path(folder), Limits())
        if is_folder:
            trusted.refresh(datetime.now(UTC))
    return CardRelease(content, f"{CARD}/release" if is_folder else source, _files(Path(source)) if is_folder else {})


def _files(folder: Path) -> dict[str, Path]:
    """The published files of a release; drafts and keys are none."""
    found = [path for part in _PARTS for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}

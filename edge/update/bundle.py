"""A bundle in its folder: models with manifests, golden frames, settings. Reading it checks every byte.

A bundle's folder holds ``bundle.json``, ``models/``, ``golden/`` and maybe ``settings.toml``, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.update.contents import CONTENTS, SETTINGS, BundleModel, Contents, FileEntry, Golden, parse_contents
from quietcam.errors import UpdateError
from quietcam.files.regular import read_regular
from quietcam.files.strict_json import MOST_BYTES
from quietcam.files.strict_toml import parse_toml
from quietcam.image import Image

__all__ = ["MAY_SET", "Bundle", "parse_settings", "read_bundle"]

MAY_SET: dict[str, tuple[type, float, float]] = {
    "strength": (float, 0, 1),
    "gate": (bool, 0, 1),
    "history": (bool, 0, 1),
    "ladder": (bool, 0, 1),
    "hot": (float, 30, 120),
    "deadline": (float, 0, 10**7),
    "threads": (int, 1, 64),
}
"""The options of ``quietcam run`` that a bundle may set, with kind, least and most. They say how frames are treated;
where frames come from and go to, which programs run, and who may look stay with the device."""

_CHUNK = 1 << 20
_REMEDY = "Remedy: fetch the bundle again; if that does not help, ask whoever publishes the release."


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked when it was read.

    Attributes:
        folder: where it is.
        contents: its ``bundle.json``.
        settings: values of ``settings.toml`` by the names of the options, see ``MAY_SET``.
    """

    folder: Path
    contents: Contents
    settings: dict[str, Any]

    @property
    def id(self) -> str:
        """``NAME-VERSION``."""
        return self.contents.id

    def model(self, target: str = "cpu") -> Path | None:
        """The model that runs on ``target``; None if the bundle has none for it."""
        found = next((each for each in self.contents.models if each.target == target), None)
        return None if found is None else self.path_of(found)

    def path_of(self, model: BundleModel) -> Path:
        """The file of a model."""
        return self.folder / model.path

    def golden_of(self, model: BundleModel) -> list[Golden]:
        """The golden frames of a model: stills and clips."""
        return [each for each in self.contents.golden if each.model == model.path]

    def frames(self, golden: Golden) -> tuple[Image, Image]:
        """Noisy and expected frames, both uint8 ``(frames, H, W, C)``. They are read, and checked again.

        Raises:
            UpdateError: they have changed since the bundle was read.
        """
        noisy, denoised = (
            np.frombuffer(self._read(path), np.uint8).reshape(golden.shape) for path in (golden.noisy, golden.denoised)
        )
        return noisy, denoised

    def _read(self, path: str) -> bytes:
        return _checked(self.folder / path, path, self.contents.files[path])


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's folder and check every file: its kind, its size and its SHA-256.

    Raises:
        UpdateError: a file is missing, altered, no plain file, or not named in ``bundle.json``; or ``bundle.json`` or
            ``settings.toml`` is not valid.
    """
    folder = Path(folder)
    try:
        contents = parse_contents(read_regular(folder / CONTENTS, MOST_BYTES))
        found = _list(folder)
    except OSError as error:
        raise _refused(folder, f"{error.strerror or error}") from error
    expected = {CONTENTS, *contents.files}
    if odd := sorted(found ^ expected):
        raise _refused(folder, f"{odd[0]!a} is {'not named in it' if odd[0] in found else 'missing'}")
    settings: dict[str, Any] = {}
    for path, entry in contents.files.items():
        if path == SETTINGS:
            settings = parse_settings(_checked(folder / path, path, entry))
        else:
            _hash(folder / path, path, entry)
    return Bundle(folder, contents, settings)


def parse_settings(content: bytes) -> dict[str, Any]:
    """The values of a bundle's ``settings.toml``.

    Raises:
        UpdateError: it is no TOML, or sets something that a bundle may not set.
    """
    try:
        values = parse_toml(content.decode())
    except ValueError as error:  # UnicodeDecodeError is one
        raise _bad_settings(str(error)) from None
    for key, value in values.items():
        if key not in MAY_SET:
            raise _bad_settings(f"the key {key[:40]!a}")
        kind, least, most = MAY_SET[key]
        fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if not fits or not least <= value <= most:
            raise _bad_settings(f"a value of {key} that is not {_MEANINGS[kind]} within its bounds")
    return values


_MEANINGS: dict[type, str] = {bool: "true or false", float: "a number", int: "a whole number"}


def _list(folder: Path) -> set[str]:
    """Paths of all that is in the folder but the two folders themselves; a link is never followed."""
    found = set()
    with os.scandir(folder) as top:
        for each in top:
            if each.name in ("models", "golden") and each.is_dir(follow_symlinks=False):
                with os.scandir(each.path) as inner:
                    found |= {f"{each.name}/{file.name}" for file in inner}
            else:
                found.add(each.name)
    return found


def _checked(path: Path, name: str, entry: FileEntry) -> bytes:
    """The content of a file that is small enough for memory."""
    content = bytearray()
    _hash(path, name, entry, content)
    return bytes(content)


def _hash(path: Path, name: str, entry: FileEntry, keep: bytearray | None = None) -> None:
    """Check a file without holding all of it in memory; a pipe or a device is not opened."""
    digest, left = hashlib.sha256(), entry.size
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _refused(path.parent, f"{name} is no plain file")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:  # noqa: PTH123  a descriptor
            if os.fstat(handle).st_size != entry.size:
                raise _refused(path.parent, f"{name} has {os.fstat(handle).st_size} bytes instead of {entry.size}")
            while left and (part := file.read(min(left, _CHUNK))):
                digest.update(part)
                left -= len(part)
                if keep is not None:
                    keep += part
    except OSError as error:
        raise _refused(path.parent, f"{name}: {error.strerror or error}") from error
    if left or digest.hexdigest() != entry.sha256:
        raise _refused(path.parent, f"{name} has another SHA-256 than {CONTENTS} says")


def _refused(folder: Path, why: str) -> UpdateError:
    return UpdateError(f"A bundle must be whole and unaltered. Received: {folder}: {why}. {_REMEDY}")


def _bad_settings(why: str) -> UpdateError:
    return UpdateError(
        f"A bundle's {SETTINGS} sets {', '.join(MAY_SET)}, and nothing else. Received: {why}. "
        "Remedy: ask whoever publishes the release to make the bundle again."
    )

"""Arrays of pictures in .npz and .npy files of any origin, for the linter."""

from __future__ import annotations

import shlex
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.data.pictures.folder import is_picture_file
from quietcam.errors import DataError, UsageError
from quietcam.files.paths import is_dir, lack
from quietcam.files.strict_json import MOST_OF_A_LIST, parse_json

__all__ = ["PictureArray", "claimed_sizes", "read_array"]

_LARGEST = 2 << 30  # bytes unpacked: a file of a few kilobytes may claim any number of zeros
_MOST_MEMBERS = 10_000
_SMALL, _MOST_RATIO = 64 << 20, 200  # bytes of a small array; largest ratio of unpacked to packed bytes otherwise
_MAGIC = b"\x93NUMPY"
_REMEDY = "Remedy: write the set with `quietcam calibrate`, or with numpy.savez."


@dataclass(frozen=True)
class PictureArray:
    """An array of a file.

    Attributes:
        key: its name in the file; empty for an .npy file.
        others: names of the arrays that were not read.
        origin: ``RepresentativeSet.origin`` of a set that quietcam wrote, else empty.
        is_set: whether the file has all arrays of a set that quietcam wrote.
        history: the array ``history`` that lies beside ``patches``, or None.
        history_sha256: the hashes that a set that quietcam wrote holds of it.
    """

    array: NDArray[Any]
    key: str
    others: tuple[str, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)
    is_set: bool = False
    history: NDArray[Any] | None = None
    history_sha256: tuple[str, ...] = ()


def read_array(path: Path, key: str | None = None) -> PictureArray:
    """The array of pictures in a file: ``patches`` if there is one, else the largest array of numbers.

    Raises:
        UsageError: there is no such file, or no array of that name in it.
        DataError: it is not an .npz or .npy file, is damaged or too large, holds Python objects, or cannot be pictures.
    """
    path = Path(path)
    if not path.is_file():
        remedy = f"quietcam calibrate --data {shlex.quote(str(path))}" if is_dir(path) else "check the path."
        raise UsageError(f"A set is an .npz or .npy file. Received: {path}, {lack(path)}. Remedy: {remedy}")
    if is_picture_file(path):
        raise DataError(
            f"A set is an .npz or .npy file. Received: {path}, a picture. "
            "Remedy: write a set of pictures with `quietcam calibrate --data FOLDER --out rep.npz`."
        )
    try:
        return _read_zip(path, key) if zipfile.is_zipfile(path) else _read_bare(path, key)
    except (OSError, ValueError, TypeError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, (DataError, UsageError)):
            raise
        objects = "pickle" in str(error).lower() or "object array" in str(error).lower()
        what = "with Python objects, which are not read" if objects else "which is another kind of file or damaged"
        raise DataError(
            f"A set must be a complete .npz or .npy file of numbers. Received: {path}, {what}. {_REMEDY}"
        ) from error


def claimed_sizes(path: Path) -> dict[str, int]:
    """The bytes that each array of an ``.npz`` file unpacks to, according to the file's directory.

    Raises:
        DataError: one array, or all together, are larger than any set; or one unpacks to far more than its packed size.
        zipfile.BadZipFile: it is not such a file.
    """
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    sizes = {info.filename.removesuffix(".npy"): info.file_size for info in infos}
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    if largest is not None and sizes[largest] > _LARGEST:
        raise DataError(
            f"A set must fit into memory. Received: {path}, whose {largest} unpacks to "
            f"{sizes[largest] / 2**30:.0f} GiB. Remedy: use fewer patches; a few hundred are enough."
        )
    bombs = [each for each in infos if each.file_size > max(_SMALL, _MOST_RATIO * each.compress_size)]
    if bombs or len(infos) > _MOST_MEMBERS or sum(sizes.values()) > 2 * _LARGEST:
        what = f"whose {bombs[0].filename!r} is larger" if bombs else "with too many arrays, or too large ones"
        raise DataError(
            f"A set must unpack to at most {2 * _LARGEST >> 30} GiB in {_MOST_MEMBERS} arrays, each at most "
            f"{_MOST_RATIO} times as large as it is packed. Received: {path}, {what}. {_REMEDY}"
        )
    return sizes


def _read_zip(path: Path, key: str | None) -> PictureArray:
    sizes = claimed_sizes(path)
    with np.load(path, allow_pickle=False) as stored:
        names = list(stored.files)
        if key is not None and key not in names:
            listed = ", ".join(names) or "none"
            raise UsageError(f"`key` must name an array of the file. Received: {key}. Remedy: choose from {listed}.")
        if key is None:
            key = "patches" if "patches" in names else max(names, key=lambda name: sizes.get(name, 0), default=None)
        if key is None:
            raise DataError(f"A set must hold an array of pictures. Received: {path}, which holds none. {_REMEDY}")
        is_set = {"patches", "source", "instance", "box", "sha256"} <= set(names)
        origin = parse_json(str(stored["origin"]), MOST_OF_A_LIST) if is_set and "origin" in names else {}
        has_history = key == "patches" and "history" in names
        others = (
            () if is_set else tuple(each for each in names if each != key and not (has_history and each == "history"))
        )
        return PictureArray(
            np.asarray(stored[key]),
            key,
            others,
            origin if isinstance(origin, dict) else {},
            is_set,
            np.asarray(stored["history"]) if has_history else None,
            tuple(map(str, stored["history_sha256"])) if is_set and "history_sha256" in names else (),
        )


def _read_bare(path: Path, key: str | None) -> PictureArray:
    if key is not None:
        raise UsageError(f"`key` is for .npz files. Received: {path}. Remedy: leave it out.")
    with path.open("rb") as file:
        if (length := file.seek(0, 2)) > _LARGEST:
            raise DataError(
                f"A set must fit into memory. Received: {path} with {length / 2**30:.0f} GiB. "
                "Remedy: use fewer patches; a few hundred are enough."
            )
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:  # numpy would take any other bytes for Python objects
            raise ValueError("not an .npy file")
        file.seek(0)
        return PictureArray(np.asarray(np.load(file, allow_pickle=False)), "")

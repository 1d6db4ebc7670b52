"""The representative set: noisy patches that represent a camera, in one file with their origin.

The converter runs them through the float network and measures every int8 range with them. The file is a plain
``.npz``; for each patch it records the picture and the box that it was cut from, and the SHA-256 of its pixels, so that
a set can be audited and rebuilt. A set for video networks holds the history of each patch, too.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, JsonError, UsageError
from quietcam.files.atomic import atomic_path
from quietcam.files.paths import lack
from quietcam.files.strict_json import MOST_OF_A_LIST, dump_json, parse_object
from quietcam.image import Image
from quietcam.representative.array_file import claimed_sizes

__all__ = ["RepresentativeSet", "load_set", "patch_sha256", "save_set"]

_REMEDY = "Remedy: write it with `quietcam calibrate`."
_REMEDY_OF_HISTORY = "Remedy: write it with `quietcam calibrate` from clips, with the video network that remembers."


@dataclass(frozen=True)
class RepresentativeSet:
    """Noisy patches and where they come from; all fields have one entry per patch.

    Attributes:
        patches: uint8 ``(N, H, W, C)``, C = 3 in RGB order or 1.
        source: name of the picture.
        instance: SIDD's name of the scene instance; empty where there is none.
        box: int32 ``(N, 4)``, x0 y0 x1 y1 in pixels of the picture, the last two exclusive.
        sha256: of the patch's bytes, hexadecimal.
        origin: what made the set: seed, data set, versions. Plain values.
        history: uint8, of the patches' shape: what a video network remembered when it was given each patch; the patch
            itself where it had no past. None for a set of stills.
        history_sha256: of each history's bytes, hexadecimal; empty where there is no history.

    Raises:
        DataError: the fields do not fit each other, or a patch or its history does not match its hash.
    """

    patches: NDArray[np.uint8]
    source: tuple[str, ...]
    instance: tuple[str, ...]
    box: NDArray[np.int32]
    sha256: tuple[str, ...]
    origin: dict[str, Any] = field(default_factory=dict)
    history: NDArray[np.uint8] | None = None
    history_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        patches = self.patches
        if patches.dtype != np.uint8:
            raise DataError(
                "A representative set holds uint8 pixels, 0 to 255. "
                f"Received: patches of {patches.dtype}, shape={patches.shape}. {_REMEDY}"
            )
        if patches.ndim != 4 or patches.shape[3] not in (1, 3) or patches.size == 0:
            raise DataError(
                "A representative set holds patches of shape (count, height, width, 3) or (…, 1). "
                f"Received: shape={patches.shape}. {_REMEDY}"
            )
        lengths = {len(each) for each in (self.source, self.instance, self.box, self.sha256)}
        if lengths != {len(patches)} or self.box.shape != (len(patches), 4):
            raise DataError(
                "A representative set has one source, instance, box (4 numbers) and sha256 per patch. "
                f"Received: {len(patches)} patches, {len(self.source)} sources, {len(self.instance)} instances, "
                f"boxes of shape {self.box.shape}, {len(self.sha256)} hashes. {_REMEDY}"
            )
        self._check_hashes("patch", patches, self.sha256)
        if self.history is None and not self.history_sha256:
            return
        if self.history is None or self.history.dtype != np.uint8 or self.history.shape != patches.shape:
            received = "none" if self.history is None else f"{self.history.dtype}, shape={self.history.shape}"
            raise DataError(
                "The history of a representative set is uint8, of the patches' shape. "
                f"Received: {received}, for patches of shape={patches.shape}. {_REMEDY_OF_HISTORY}"
            )
        if len(self.history_sha256) != len(patches):
            raise DataError(
                "A representative set has one history_sha256 per history. "
                f"Received: {len(self.history_sha256)} for {len(patches)}. {_REMEDY_OF_HISTORY}"
            )
        self._check_hashes("history", self.history, self.history_sha256)

    def _check_hashes(self, what: str, pixels: NDArray[np.uint8], sha256: tuple[str, ...]) -> None:
        changed = [i for i, each in enumerate(pixels) if patch_sha256(each) != sha256[i]]
        if changed:
            raise DataError(
                f"Every {what} of a representative set must match its SHA-256. "
                f"Received: {len(changed)} that do not, the first one from {self.source[changed[0]]}. {_REMEDY}"
            )

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grayscale."""
        return int(self.patches.shape[3])

    @property
    def digest(self) -> str:
        """SHA-256 over all patches and then their history, in order, hexadecimal. A manifest names the set by it."""
        return hashlib.sha256("".join((*self.sha256, *self.history_sha256)).encode()).hexdigest()

    def frames(self, height: int, width: int) -> Iterator[Image]:
        """All patches as frames of a model's size, uint8 ``(height, width, C)``.

        Patches smaller than a frame are placed side by side, larger ones are cut into frames; nothing is scaled,
        since scaling changes noise. The last frame is filled with the first patches again.

        The first frame's first pixel is made black and its second white, so that the converter sees the whole
        range and the input's scale is exactly 1/255 for all pictures.
        """
        return self._mosaics(self.patches, height, width)

    def pairs(self, height: int, width: int) -> Iterator[tuple[Image, Image]]:
        """``(noisy, history)`` for a video network: ``frames``, each with its history, laid out alike.

        Both are uint8 ``(height, width, C)``. Of a set without history the noisy frame itself is the history, as of a
        first frame.
        """
        if self.history is None:
            yield from ((frame, frame) for frame in self.frames(height, width))
        else:
            remembered = self._mosaics(self.history, height, width)
            yield from zip(self.frames(height, width), remembered, strict=True)

    def _mosaics(self, pixels: NDArray[np.uint8], height: int, width: int) -> Iterator[Image]:
        pieces = _cut(pixels, height, width)
        rows, columns = math.ceil(height / pieces.shape[1]), math.ceil(width / pieces.shape[2])
        each = rows * columns
        for first in range(0, len(pieces), each):
            chosen = pieces[np.arange(first, first + each) % len(pieces)]
            grid = chosen.reshape(rows, columns, *pieces.shape[1:]).swapaxes(1, 2)
            frame = grid.reshape(rows * pieces.shape[1], columns * pieces.shape[2], self.channels)
            frame = frame[:height, :width].copy()
            if first == 0:
                frame.reshape(-1, self.channels)[0] = 0
                frame.reshape(-1, self.channels)[1] = 255
            yield frame


def _cut(patches: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The patches, cut if they are larger than a frame: ``(M, at most height, at most width, C)``."""
    count, patch_height, patch_width, channels = patches.shape
    h, w = min(height, patch_height), min(width, patch_width)
    rows, columns = patch_height // h, patch_width // w
    cut = patches[:, : rows * h, : columns * w].reshape(count, rows, h, columns, w, channels)
    return cut.swapaxes(2, 3).reshape(-1, h, w, channels)


def patch_sha256(patch: Image) -> str:
    """SHA-256 of a patch's bytes in row order, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(patch).tobytes()).hexdigest()


def save_set(path: Path, representative: RepresentativeSet) -> None:
    """Write the set to ``path`` (.npz), whole or not at all. The same set gives the same bytes.

    Raises:
        StorageError: it cannot be written.
    """
    remembered: dict[str, Any] = {}
    if representative.history is not None:
        remembered = {"history": representative.history, "history_sha256": np.array(representative.history_sha256)}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            patches=representative.patches,
            source=np.array(representative.source),
            instance=np.array(representative.instance),
            box=representative.box,
            sha256=np.array(representative.sha256),
            origin=np.array(dump_json(representative.origin, sort_keys=True)),
            **remembered,
        )


def load_set(path: Path) -> RepresentativeSet:
    """Read a set that ``save_set`` wrote.

    Raises:
        UsageError: there is no such file.
        DataError: it is not a complete representative set.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"A representative set is an .npz file. Received: {path}, {lack(path)}. {_REMEDY}")
    try:
        if zipfile.is_zipfile(path):
            claimed_sizes(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if not hasattr(stored, "files"):
                raise DataError(f"A representative set is an .npz file. Received: {path}, a single array. {_REMEDY}")
            missing = {"patches", "source", "instance", "box", "sha256"} - set(stored.files)
            if missing:
                raise DataError(
                    "A representative set holds patches, source, instance, box and sha256. "
                    f"Received: {path} without {', '.join(sorted(missing))}. {_REMEDY} "
                    "(`quietcam lint` describes any file of pictures.)"
                )
            try:
                origin = parse_object(str(stored["origin"]), MOST_OF_A_LIST) if "origin" in stored.files else {}
            except JsonError as error:
                raise DataError(f"A set's origin is a JSON object. Received: {error}. {_REMEDY}") from error
            return RepresentativeSet(
                patches=stored["patches"],
                source=tuple(str(each) for each in stored["source"]),
                instance=tuple(str(each) for each in stored["instance"]),
                box=stored["box"],
                sha256=tuple(str(each) for each in stored["sha256"]),
                origin=origin,
                history=stored["history"] if "history" in stored.files else None,
                history_sha256=tuple(str(each) for each in stored["history_sha256"])
                if "history_sha256" in stored.files
                else (),
            )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (OSError, ValueError, TypeError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"A representative set must be a complete .npz file. Received: {path}, another kind or damaged. {_REMEDY}"
        ) from error

"""Reads SIDD's blocks in MATLAB files: 40 pictures of 32 blocks each, noisy in one file, clean in another.

``ValidationNoisyBlocksSrgb.mat`` and ``ValidationGtBlocksSrgb.mat`` hold one variable each, named as the file, uint8
``(pictures, blocks, H, W, 3)``: 40, 32, 256, 256, 3. ``BenchmarkNoisyBlocksSrgb.mat`` is like them, but its clean
twin was never published. MATLAB 5 files are read with scipy, whole; MATLAB 7.3 files are HDF5, which keeps MATLAB's
axes in reverse order, and are read with h5py, a picture's blocks at a time.

SIDD+'s ``siddplus_valid_noisy_srgb.mat`` and ``siddplus_valid_gt_srgb.mat`` have one axis less: pictures, H, W, 3.
"""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.data.pictures.files import Place
from quietcam.errors import DataError, MissingExtraError, UsageError
from quietcam.extras import load_optional
from quietcam.image import Image

__all__ = ["Block", "Blocks", "is_blocks_file", "read_blocks", "swap_sides"]

_VARIABLE = re.compile(r"(Validation|Benchmark)(Noisy|Gt)BlocksSrgb")
_PLUS = re.compile(r"(siddplus\w*?|)_?(noisy|gt)_?(\w*)", re.IGNORECASE)
_FILE_NAME = re.compile(r"(validation|benchmark|siddplus).*(noisy|gt).*srgb.*\.mat", re.IGNORECASE)
_MOST_BYTES = 1 << 30
"""Bytes of one array in memory; an array of SIDD takes 240 MiB."""
_MOST_PIECE = 1 << 30  # bytes that are unpacked together


@dataclass(frozen=True)
class Block:
    """One block: a ``Source``.

    Attributes:
        file: path of the ``.mat`` file.
        variable: the array's name in it.
        picture: index of the picture, from 0.
        block: index of the block in it, from 0.
    """

    file: Path
    variable: str
    picture: int
    block: int

    def __str__(self) -> str:
        return f"{self.file}[{self.picture}, {self.block}]"

    @property
    def name(self) -> str:
        """The variable and both indices, in place of a file name."""
        return f"{self.variable}[{self.picture}, {self.block}]"

    def read(self) -> Image:
        """The block, uint8 ``(H, W, 3)`` RGB.

        Raises:
            DataError: the file is damaged.
        """
        return np.ascontiguousarray(_blocks_of(self.file, self.variable, self.picture)[self.block])

    def read_bytes(self, count: int = -1) -> bytes:  # noqa: ARG002
        """Nothing: a block has no file of its own."""
        return b""


@dataclass(frozen=True)
class Blocks:
    """One array of blocks.

    Attributes:
        file: path of the ``.mat`` file.
        variable: the array's name.
        dataset: "Validation" or "Benchmark", or of SIDD+ the variable's name without its side.
        side: "noisy" or "clean".
        shape: pictures, blocks of each, height, width, 3; of SIDD+ pictures, height, width, 3.
    """

    file: Path
    variable: str
    dataset: str
    side: str
    shape: tuple[int, ...]

    def places(self) -> Iterator[tuple[str, Place]]:
        """Every block with the name of its pair: "ValidationBlocks_07_31", "siddplus_valid_srgb_0007"."""
        if len(self.shape) == 4:
            for picture in range(self.shape[0]):
                yield f"{self.dataset}_{picture:04d}", Block(self.file, self.variable, picture, 0)
            return
        for picture in range(self.shape[0]):
            for block in range(self.shape[1]):
                yield f"{self.dataset}Blocks_{picture:02d}_{block:02d}", Block(self.file, self.variable, picture, block)


def is_blocks_file(path: PurePath) -> bool:
    """Whether the name is one of SIDD's sRGB blocks. Raw frames, such as ``NOISY_RAW_010.MAT``, are not."""
    return _FILE_NAME.fullmatch(path.name) is not None


def read_blocks(path: Path) -> list[Blocks]:
    """The arrays of blocks that a ``.mat`` file holds, without their pixels.

    Raises:
        UsageError: there is no such file.
        DataError: the file is not a complete MATLAB file, or has no such array; the message lists its variables.
        MissingExtraError: scipy or h5py is not installed.
    """
    if not path.is_file():
        raise UsageError(f"A .mat file must exist. Received: {path}. Remedy: check the path.")
    with _explained(path):
        variables = _variables(path)
    found = []
    for variable, (shape, kind) in sorted(variables.items()):
        if match := _VARIABLE.fullmatch(variable):
            if not _is_pictures(shape, kind, 5):
                raise DataError(
                    "SIDD's blocks are uint8 of shape (pictures, blocks, height, width, 3), at most 1 GiB. "
                    f"Received: {path}, {variable} is {kind} {shape}. Remedy: download the sRGB blocks again."
                )
            found.append(Blocks(path, variable, match[1], "noisy" if match[2] == "Noisy" else "clean", shape))
        elif (match := _PLUS.fullmatch(variable)) and _is_pictures(shape, kind, 4):
            dataset = "_".join(part for part in (match[1], match[3]) if part) or "pictures"
            found.append(Blocks(path, variable, dataset, "noisy" if match[2].lower() == "noisy" else "clean", shape))
    if not found:
        listed = ", ".join(
            f"{name} ({'x'.join(map(str, shape))} {kind})" for name, (shape, kind) in sorted(variables.items())[:12]
        )
        raise DataError(
            "A .mat file of blocks must hold ValidationNoisyBlocksSrgb, ValidationGtBlocksSrgb, "
            "BenchmarkNoisyBlocksSrgb, or SIDD+'s siddplus_…_noisy_srgb or siddplus_…_gt_srgb. "
            f"Received: {path} with {listed or 'no variables'}. "
            "Remedy: save the array under such a name, or give another file."
        )
    return found


def swap_sides(name: str) -> str:
    """Change "ValidationNoisyBlocksSrgb.mat" to "ValidationGtBlocksSrgb.mat", or back; keep the case of letters."""
    twins = {"Noisy": "Gt", "NOISY": "GT", "noisy": "gt"}
    for noisy, clean in (*twins.items(), *((clean, noisy) for noisy, clean in twins.items())):
        if noisy in name:
            return name.replace(noisy, clean)
    return name


def _is_pictures(shape: tuple[int, ...], kind: str, axes: int) -> bool:
    return (
        kind == "uint8" and len(shape) == axes and shape[-1] == 3 and 0 not in shape and math.prod(shape) <= _MOST_BYTES
    )


def _variables(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape, in MATLAB's order of axes, and kind of each variable."""
    if not _is_hdf5(path):
        io = load_optional("scipy.io")
        return {name: (tuple(map(int, shape)), str(kind)) for name, shape, kind in io.whosmat(str(path))}
    found = {}
    h5py = load_optional("h5py")
    with h5py.File(path, "r") as file:
        for name in file:
            _check_link(file, name)
            item = file[name]
            if isinstance(item, h5py.Dataset):
                _check_inner(item)
                shape = item.shape if _is_numpy_order(item.shape) else item.shape[::-1]
                found[str(name)] = (tuple(map(int, shape)), str(item.dtype))
            elif not name.startswith("#"):  # MATLAB keeps internal data there
                found[str(name)] = ((), "group")
    return found


@lru_cache(maxsize=4)
def _blocks_of(path: Path, variable: str, picture: int) -> NDArray[np.uint8]:
    """The blocks of one picture, ``(blocks, H, W, 3)``."""
    with _explained(path):
        if not _is_hdf5(path):
            blocks: NDArray[np.uint8] = _whole_array(path, variable)[picture]
            return blocks if blocks.ndim == 4 else blocks[np.newaxis]
        with load_optional("h5py").File(path, "r") as file:
            _check_link(file, variable)
            stored = file[variable]
            _check_inner(stored)
            found = stored[picture] if _is_numpy_order(stored.shape) else stored[..., picture].T
            return np.asarray(found) if found.ndim == 4 else np.asarray(found)[np.newaxis]


@lru_cache(maxsize=2)
def _whole_array(path: Path, variable: str) -> NDArray[np.uint8]:
    """A MATLAB 5 variable. It is packed in one stream, so both sides are read once each and cached."""
    array: NDArray[np.uint8] = load_optional("scipy.io").loadmat(str(path), variable_names=[variable])[variable]
    return array


def _check_link(file: Any, name: str) -> None:
    """Refuse an HDF5 link, which leads to another name or another file."""
    if not isinstance(file.get(name, getlink=True), load_optional("h5py").HardLink):
        raise ValueError(f"{name} is a link")


def _check_inner(stored: Any) -> None:
    """Refuse pixels in another file, and pieces that unpack to more than any picture."""
    if stored.external or stored.is_virtual:
        raise ValueError("its pixels are in another file")
    if stored.chunks is not None and math.prod(stored.chunks) * stored.dtype.itemsize > _MOST_PIECE:
        raise ValueError("it is packed in pieces that are too large")


def _is_numpy_order(shape: tuple[int, ...]) -> bool:
    """Whether the color axis is last, as in files that Python wrote; in MATLAB's files it is first."""
    return len(shape) in (4, 5) and shape[-1] == 3 and shape[0] != 3


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(520)
    # MATLAB 7.3 writes a header of 512 bytes first.
    return head.startswith(b"\x89HDF\r\n\x1a\n") or head[512:] == b"\x89HDF\r\n\x1a\n"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn any error of the readers on a damaged file into a DataError."""
    kinds: tuple[type[Exception], ...] = (
        *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, RuntimeError),
        *(MemoryError, OverflowError, zlib.error),
    )
    with contextlib.suppress(ModuleNotFoundError):
        from scipy.io.matlab import MatReadError

        kinds = (*kinds, MatReadError)
    try:
        yield
    except kinds as error:
        if isinstance(error, (DataError, MissingExtraError)):
            raise
        raise DataError(
            f"A .mat file must be a whole MATLAB 5 or 7.3 file. Received: {path} ({error or type(error).__name__}). "
            "Remedy: download it again."
        ) from error

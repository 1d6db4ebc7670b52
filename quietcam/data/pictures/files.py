"""Reads and writes picture files. A damaged file is refused with a reason; a file is written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quietcam.data.pictures.decoder import damaged, decode, what_it_is
from quietcam.data.pictures.formats import (
    HEAD,
    PICTURE_SUFFIXES,
    is_picture,
    kind_of,
    unread_by_content,
    unread_by_name,
)
from quietcam.data.pictures.header import Header
from quietcam.data.pictures.header_readers import read_header, read_size
from quietcam.data.pictures.profile import ADOBE_RGB, read_profile, to_srgb
from quietcam.errors import DataError, UsageError
from quietcam.files.atomic import write_bytes
from quietcam.files.regular import read_regular
from quietcam.image import Image, check_image, swap_red_blue
from quietcam.limits import MOST_CODED, MOST_PIXELS, MOST_SIDE
from quietcam.terminal.log import log

__all__ = [
    "PICTURE_SUFFIXES",
    "Place",
    "Source",
    "decode_picture",
    "encode_picture",
    "is_picture",
    "picture_size",
    "read_mask",
    "read_picture",
    "write_picture",
    "written_suffix",
]

_JPEG_QUALITY = 95
_SIZE_HEAD = 1 << 18  # bytes that contain the size of nearly all pictures


class Source(Protocol):
    """A picture without a file of its own: a member of an archive, a block of an array.

    ``str()`` gives its location. It can be pickled, so that worker processes can read it.
    """

    @property
    def name(self) -> str:
        """The last part of its path, as ``Path.name``."""

    def read(self) -> Image:
        """The picture, uint8 ``(H, W, 3)`` RGB; DataError if it cannot be used."""

    def read_bytes(self, count: int = -1) -> bytes:
        """The first ``count`` bytes of its file, or all if ``count`` is negative; empty if it has no file."""


Place = Path | Source
"""The place that a picture is read from."""


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as stored, not turned upright. The start of its file is nearly always enough.

    Raises:
        UsageError: there is no such file.
        DataError: it is no picture, or so damaged that its size is unknown.
    """
    size = read_size(_content(path, _SIZE_HEAD))
    if size is None:
        header = _header(path, _content(path))
        if not header.width:
            raise _unusual(path, header.unusual)
        size = header.width, header.height
    return size


def read_picture(place: Place) -> Image:
    """Read one picture, upright and in sRGB, as a viewer shows it. Its content, not its name, decides its format.

    A grayscale picture comes back as three equal channels, and an embedded color profile is applied. The log names the
    first picture of each kind.

    Returns:
        uint8 ``(H, W, 3)`` RGB.

    Raises:
        UsageError: there is no such file.
        DataError: the file is cut short, damaged, not a picture, of an unsupported kind, or larger than 200
            megapixels; it has 16 bits per channel, is transparent somewhere, or does not contain exactly one picture
            in RGB or gray.
    """
    if not isinstance(place, (str, Path)):
        return place.read()
    path = Path(place)
    return decode_picture(_content(path), path)


def decode_picture(content: bytes, path: Place) -> Image:
    """``read_picture`` for the content of a file. Errors call it ``path``.

    Raises:
        DataError: as ``read_picture``.
    """
    pixels = _decoded(content, path)
    if pixels.shape[2] == 1:
        _log_once(
            "grayscale", f"Grayscale pictures are read as RGB with three equal channels; the first one is {path}."
        )
        return np.repeat(pixels, 3, axis=2)
    return pixels


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a black and white picture, bool ``(H, W)``: which pixels are light, that is above 127 in the first channel.

    Raises:
        UsageError, DataError: as ``read_picture``.
    """
    return np.asarray(_decoded(_content(path), path)[..., 0] > 127)


def _decoded(content: bytes, path: Place) -> Image:
    """uint8 ``(H, W, 3)`` RGB or ``(H, W, 1)``, upright and in sRGB."""
    header = _header(path, content)
    if header.unusual:
        raise _unusual(path, header.unusual)
    if (why := header.excess()) is not None:
        raise DataError(
            f"A picture must have at most {MOST_PIXELS // 10**6} million pixels, and sides of at most {MOST_SIDE} "
            f"pixels. "
            f"Received: {path}: {why}. Remedy: scale it down, cut it, or remove it from the data."
        )
    if (why := header.lack(len(content))) is not None:
        raise damaged(path, why)
    if header.bits > 8:
        raise _too_deep(path, f"{header.bits} bits")
    pixels = decode(path, content, header)
    if pixels.dtype != np.uint8:
        raise _too_deep(path, f"{pixels.dtype} values")
    pixels = _upright(_without_alpha(path, pixels, header), header)
    profile = ADOBE_RGB if header.adobe_rgb else None
    if header.profile:
        profile = read_profile(header.profile)
        if profile is None:
            _log_once(
                "table",
                f"Color profiles that consist of tables, or are damaged, are not applied. The first one is in {path}.",
            )
    if profile is not None and profile.curves.shape[1] == pixels.shape[2] and not profile.is_srgb:
        _log_once("profile", f"Pictures with a color profile become sRGB. The first one is {path} ({profile.name}).")
        pixels = to_srgb(pixels, profile)
    return pixels


def written_suffix(path: Path) -> str:
    """The suffix of a picture that can be written, in lower case.

    Raises:
        UsageError: another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise UsageError(
            f"Pictures are written as .png, .jpg or .jpeg. Received: {path}. Remedy: choose another suffix."
        )
    return suffix


def write_picture(path: Path, image: Image) -> None:
    """Write uint8 ``(H, W, 3)`` RGB or ``(H, W, 1)`` as PNG, or as JPEG of quality 95, by the suffix of ``path``.

    Raises:
        UsageError: another suffix.
        DataError: not such an image.
        StorageError: the disk is full, read-only or gone; nothing half-written is left.
    """
    path = Path(path)
    write_bytes(path, encode_picture(image, written_suffix(path)))


def encode_picture(image: Image, suffix: str) -> bytes:
    """The bytes that ``write_picture`` writes.

    Raises:
        DataError: not such an image.
    """
    import cv2

    options = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    # Encoded in memory, because OpenCV's own writer does not report a full disk.
    whole, content = cv2.imencode(suffix, swap_red_blue(check_image(image)), options)
    if not whole:
        raise DataError(f"OpenCV could not encode a picture of shape {image.shape} as {suffix}. Remedy: write .png.")
    return content.tobytes()


def _content(path: Path, count: int = -1) -> bytes:
    try:
        if count < 0:
            return read_regular(path, MOST_CODED)
        with path.open("rb") as file:
            return file.read(count)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError(f"A picture must be a file that exists. Received: {path}. Remedy: check the path.") from error
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise DataError(
                f"A picture's file must be smaller than {MOST_CODED >> 30} GiB. Received: {path}. "
                "Remedy: remove it from the data if it is no picture."
            ) from error
        raise DataError(
            f"A picture must be readable. Received: {path} ({error.strerror or error}). "
            "Remedy: check its permissions and the disk."
        ) from error


def _header(path: Place, content: bytes) -> Header:
    """Read the header from a file's content.

    Raises:
        DataError: the file is empty, damaged, or of an unsupported kind.
    """
    if not content:
        raise damaged(path, "the file is empty")
    unread = unread_by_content(content[:HEAD])
    if unread is None and isinstance(path, Path):
        unread = unread_by_name(path) if kind_of(content) in (None, "tiff") else None  # most raw files are TIFF inside
    if unread is not None:
        raise DataError(
            f"{unread.name[0].upper()}{unread.name[1:]} pictures are not read. Received: {path}. "
            f"Remedy: convert it, for example: {unread.convert}"
        )
    try:
        header = read_header(content)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if not header.kind:  # never passed to a decoder: its size has not been checked
        raise damaged(path, what_it_is(content))
    return header


def _without_alpha(path: Place, pixels: Any, header: Header) -> Image:
    """uint8 ``(H, W, 3)`` RGB or ``(H, W, 1)``: an alpha channel is dropped if it is opaque everywhere."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels in (2, 4):
        alpha = pixels[..., -1]
        empty = header.kind == "bmp" and not alpha.any()  # some programs declare alpha in a BMP and write none
        if int(alpha.min()) < 255 and not empty:
            raise DataError(
                f"A picture must be opaque. Received: {path}, which is transparent in places. "
                "Remedy: flatten it, for example: magick IN -background black -alpha remove -alpha off OUT."
            )
        pixels, channels = pixels[..., :-1], channels - 1
    if channels not in (1, 3):
        raise _unusual(path, f"{channels} channels")
    return swap_red_blue(pixels.reshape(*pixels.shape[:2], channels))


def _upright(image: Image, header: Header) -> Image:
    """``image`` turned and mirrored by the orientation in its header (Exif 2.32, tag 0x0112)."""
    if header.kind == "tiff" or header.orientation == 1:  # the TIFF decoder has already done it
        return image
    if header.orientation in (2, 4, 5, 7):
        image = image[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(header.orientation, 0)
    return np.ascontiguousarray(np.rot90(image, turns))


def _too_deep(path: Place, what: str) -> DataError:
    return DataError(
        f"A picture must have 8 bits per channel. Received: {path} with {what}. "
        "Remedy: convert it, for example: magick IN -depth 8 OUT."
    )


def _unusual(path: Place, what: str) -> DataError:
    if what.startswith("camera raw"):
        remedy = "develop it, for example: darktable-cli IN OUT.png"
    elif "transparency" in what:
        remedy = "flatten it, for example: magick IN -background black -alpha remove -alpha off OUT.png"
    elif "pages" in what or "animated" in what:
        remedy = "split it into single pictures, for example: magick IN OUT_%03d.png"
    else:
        remedy = "convert it, for example: magick IN -colorspace sRGB OUT.png"
    return DataError(
        f"A picture file must hold one picture, RGB or grayscale. Received: {path} ({what}). Remedy: {remedy}"
    )


_said: set[str] = set()


def _log_once(key: str, message: str) -> None:
    if key not in _said:
        _said.add(key)
        log.info("%s", message)

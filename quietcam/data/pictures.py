"""Pictures on the disk: read whole or refused with a reason, written whole or not at all."""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np

from quietcam.atomic import write_bytes
from quietcam.errors import DataError, UsageError
from quietcam.image import Image, check_image, swap_red_blue
from quietcam.progress import say

__all__ = [
    "PICTURE_SUFFIXES",
    "Place",
    "Source",
    "decode_picture",
    "encode_picture",
    "is_picture",
    "list_pictures",
    "read_picture",
    "write_picture",
]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Names that end so, in upper or lower case, are taken for pictures."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_QUALITY = 95
_MOST_PIXELS = 200_000_000
"""A PNG may claim far more than its few bytes hold; no camera that this is for takes larger pictures."""


class Source(Protocol):
    """A picture that is no file of its own: a member of an archive, a block of an array.

    ``str()`` of it says where it lies. It can be pickled, so that workers can read it.
    """

    @property
    def name(self) -> str:
        """The last part of where it lies, as ``Path.name``."""

    def read(self) -> Image:
        """The picture, uint8 ``(H, W, 3)`` RGB; DataError where it cannot be used."""

    def read_bytes(self, count: int = -1) -> bytes:
        """The first ``count`` bytes of its file, all where negative; nothing where it has none of its own."""


Place = Path | Source
"""Where a picture lies."""


def is_picture(path: PurePath) -> bool:
    """Whether the name is a picture's; hidden files (``._x.png`` that macOS leaves in archives) are none."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def list_pictures(folder: Path) -> list[Path]:
    """The pictures that lie directly in ``folder``, ``frame_2`` before ``frame_10``.

    Raises:
        UsageError: the folder is missing.
        DataError: it holds no picture.
    """
    if not folder.is_dir():
        raise UsageError(f"A folder of pictures must exist. Received: {folder}. Remedy: check the path.")
    found = sorted((path for path in folder.iterdir() if is_picture(path) and path.is_file()), key=_natural)
    if not found:
        raise DataError(
            f"A folder of pictures must hold at least one. Received: {folder}, with none. "
            f"Remedy: put pictures there ({' '.join(sorted(PICTURE_SUFFIXES))})."
        )
    return found


def read_picture(place: Place) -> Image:
    """Read one picture, upright as a viewer shows it.

    A grayscale picture comes back as three equal channels; the first one in a run is said so.

    Returns:
        uint8 ``(H, W, 3)`` RGB.

    Raises:
        UsageError: there is no such file.
        DataError: it is cut short, damaged, no picture, has 16 bits a channel, or is transparent.
    """
    if not isinstance(place, (str, Path)):
        return place.read()
    path = Path(place)
    return decode_picture(_content(path), path)


def decode_picture(content: bytes, path: Place) -> Image:
    """``read_picture`` for a file's content; ``path`` says in errors where it came from.

    Raises:
        DataError: as there.
    """
    if not content:
        raise _damaged(path, "the file is empty")
    _check_whole(path, content)
    pixels = _decode(path, content)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"A picture must have 8 bits a channel. Received: {path} with {pixels.dtype} values. "
            "Remedy: convert it, for example: magick IN -depth 8 OUT."
        )
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        _say_grayscale(path)
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if channels != 3:
        raise DataError(
            f"A picture must be RGB or grayscale. Received: {path} with {channels} channels (transparency?). "
            "Remedy: flatten it, for example: magick IN -background black -alpha remove -alpha off OUT."
        )
    return swap_red_blue(pixels)


def write_picture(path: Path, image: Image) -> None:
    """Write uint8 ``(H, W, 3)`` RGB or ``(H, W, 1)`` as PNG, or as JPEG of quality 95, by the suffix of ``path``.

    Raises:
        UsageError: another suffix.
        DataError: not such an image.
        StorageError: the disk is full, read-only or gone; nothing half-written is left.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise UsageError(
            f"Pictures are written as .png, .jpg or .jpeg. Received: {path}. Remedy: choose another suffix."
        )
    write_bytes(path, encode_picture(image, suffix))


def encode_picture(image: Image, suffix: str) -> bytes:
    """What ``write_picture`` would write.

    Raises:
        DataError: not such an image.
    """
    import cv2

    options = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    # Encoded in memory, because OpenCV's own writer says nothing of a disk that fills.
    whole, content = cv2.imencode(suffix, swap_red_blue(check_image(image)), options)
    if not whole:
        raise DataError(f"OpenCV could not encode a picture of shape {image.shape} as {suffix}. Remedy: write .png.")
    return content.tobytes()


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError(f"A picture must be a file that exists. Received: {path}. Remedy: check the path.") from error
    except OSError as error:
        raise DataError(
            f"A picture must be readable. Received: {path} ({error.strerror or error}). "
            "Remedy: check its permissions and the disk."
        ) from error
    return content


def _check_whole(path: Place, content: bytes) -> None:
    """Refuse a PNG or JPEG that was cut short: decoders hand out half a picture, grey below, and call it success."""
    if content.startswith(_PNG):
        _check_png(path, content)
    elif content.startswith(_JPEG):
        _check_jpeg(path, content)


def _check_png(path: Place, content: bytes) -> None:
    """Walk the chunks to IEND, and check the sums of those that make the picture (PNG specification, section 5)."""
    view = memoryview(content)
    at = len(_PNG)
    while at + 12 <= len(view):
        (length,) = struct.unpack_from(">I", view, at)
        kind = bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if end + 4 > len(view):
            break
        critical = kind[:1].isupper()
        if critical and zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", view, end)[0]:
            raise _damaged(path, f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        if kind == b"IHDR" and length >= 8:
            width, height = struct.unpack_from(">II", view, at + 8)
            if width * height > _MOST_PIXELS:
                raise _damaged(path, f"it claims {width}x{height} pixels; {_MOST_PIXELS // 10**6} million are allowed")
        if kind == b"IEND":
            return
        at = end + 4
    raise _damaged(path, "it is cut short")


def _check_jpeg(path: Place, content: bytes) -> None:
    """Walk the segments to the first scan, then look for the end-of-image marker (ITU T.81, annex B).

    The walk steps over an embedded thumbnail with an end marker of its own. Within a scan, 0xFF is always
    followed by 0 or a restart marker, so 0xFFD9 can only be the end. Cameras may append data behind it.
    """
    at = 2
    while at + 4 <= len(content):
        marker = content[at + 1]
        if content[at] != 0xFF:
            raise _damaged(path, "its segments do not join")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        at += 2 + length
        if marker == 0xDA:
            if content.find(b"\xff\xd9", at) >= 0:
                return
            break
    raise _damaged(path, "it is cut short")


def _decode(path: Place, content: bytes) -> Any:
    """The decoder's array: ``(H, W)`` or ``(H, W, C)`` in BGR order, of whatever depth the file has."""
    import cv2

    # "Unchanged" keeps depth and transparency, to be judged, but ignores a camera's orientation tag, which only
    # JPEGs have in earnest; and a JPEG has neither 16 bits nor transparency.
    flags = cv2.IMREAD_UNCHANGED
    if content.startswith(_JPEG):
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    with _silent_opencv():
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error as error:
            raise _damaged(path, f"OpenCV refuses it: {error.err or error}") from error
    if pixels is None:
        raise _damaged(path, "no decoder can read it")
    return pixels


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own log off the terminal: the error that we raise says it better."""
    import cv2

    # OpenCV 5 has these two in a module of its own, 4 at the top. 0 is "silent" in both.
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)


def _damaged(path: Place, how: str) -> DataError:
    return DataError(
        f"A picture must be whole and of a known format. Received: {path} ({how}). "
        "Remedy: copy or download it again, or take it out."
    )


_said: set[str] = set()


def _say_grayscale(path: Place) -> None:
    if "grayscale" not in _said:
        _said.add("grayscale")
        say(f"Grayscale pictures are read as RGB with three equal channels; the first one is {path}.")


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]

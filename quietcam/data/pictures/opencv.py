"""The only calls of OpenCV's readers and writers. A test makes sure that no other module calls them.

OpenCV's video code ends the process (SIGSEGV) where a name is not UTF-8, and its decoders take the memory that a file
claims. So a name passes here before it gets there, and a picture is decoded only by who has read its header.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.pictures.formats import kind_of
from quietcam.data.pictures.header import Header
from quietcam.data.pictures.header_readers import read_size
from quietcam.errors import DataError, MissingExtraError, UsageError
from quietcam.files.paths import is_file
from quietcam.limits import MOST_FRAME_PIXELS, MOST_PIXELS, MOST_SIDE
from quietcam.terminal.printable import printable

__all__ = ["check_frame_size", "decode_image", "is_text", "load_opencv", "open_capture", "open_writer"]

_HEAD = 4096  # bytes of a file that tell its kind, and a PNG's size
_LONGEST = 4096  # bytes of a path (Linux' PATH_MAX) or a URL
_DESCRIPTORS = Path("/proc/self/fd")


def load_opencv() -> Any:
    """The module ``cv2``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError.of("edge", "cv2") from error
    return cv2


def is_text(name: str) -> bool:
    """Whether OpenCV can take ``name``: it is valid Unicode without NUL, and not longer than a path can be."""
    try:
        coded = name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as lone surrogates
        return False
    return b"\0" not in coded and len(coded) < _LONGEST


def open_capture(place: Path | str, backend: int, parameters: Sequence[int] = ()) -> Any:
    """A ``cv2.VideoCapture``, which may not have opened. A file may have any name that the system allows.

    Args:
        place: a file or a device; or a URL, as text.
        backend: one of ``cv2.CAP_…``.

    Raises:
        UsageError: the name cannot be given to OpenCV.
        DataError: it is a picture, which the decoders of video would take the memory for.
    """
    cv2 = load_opencv()
    with _readable(place) as name:
        _check_no_picture(place)
        return cv2.VideoCapture(name, backend, *([list(parameters)] if parameters else []))


def open_writer(path: Path, backend: int, codec: int, fps: float, size: tuple[int, int]) -> Any:
    """A ``cv2.VideoWriter``, which may not have opened. The folder of ``path`` may have any name, its own is text.

    Args:
        size: ``(width, height)`` in pixels.

    Raises:
        UsageError: the name cannot be given to OpenCV.
    """
    cv2 = load_opencv()
    with _writable(path) as name:
        return cv2.VideoWriter(name, backend, codec, fps, size)


def decode_image(content: bytes, header: Header, flags: int, most: int = MOST_PIXELS) -> Any:
    """The decoder's array; None where it can read none.

    Args:
        content: of the file.
        header: what ``read_header`` or ``glance`` told of it.
        flags: of ``cv2.IMREAD_…``.
        most: pixels.

    Raises:
        DataError: the header claims too much, or names no kind that is read.
        cv2.error: OpenCV refuses it.
    """
    if not header.kind:
        raise DataError("it is of no format that is read")
    if (why := header.excess(most) or header.lack(len(content))) is not None:
        raise DataError(why)
    return load_opencv().imdecode(np.frombuffer(content, np.uint8), flags)


def check_frame_size(width: int, height: int, name: str) -> None:
    """Refuse frames that would not fit into memory several times.

    Raises:
        DataError: they are larger than ``MOST_FRAME_PIXELS``, or longer than ``MOST_SIDE``.
    """
    if width * height > MOST_FRAME_PIXELS or max(width, height) > MOST_SIDE:
        raise DataError(
            f"Frames have at most {MOST_FRAME_PIXELS // 10**6} million pixels and sides of at most {MOST_SIDE}. "
            f"Received: {name} with {width}x{height}. Remedy: scale it down, for example: "
            "ffmpeg -i FILE -vf scale=1920:-2 -crf 10 out.mp4"
        )


def _check_no_picture(place: Path | str) -> None:
    """A picture may be named as a video is. One in an APNG may move; of JPEGs a video may be made."""
    if not isinstance(place, Path) or not is_file(place):
        return
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:  # its reader says so
        return
    kind = kind_of(head)
    if kind in ("webp", "tiff", "bmp", "netpbm"):
        raise DataError(
            f"A video must be one. Received: {place}, a picture of the kind {kind}. Remedy: give it a picture's suffix."
        )
    size = read_size(head) if kind == "png" else None
    if size is not None:
        check_frame_size(*size, str(place))


@contextlib.contextmanager
def _readable(place: Path | str) -> Iterator[str]:
    """A name of ``place`` that OpenCV can take, for as long as the block lasts."""
    if is_text(str(place)):
        # A name such as http:clip.mp4 would be taken for a URL.
        yield f"./{place}" if isinstance(place, Path) and not place.is_absolute() else str(place)
        return
    if not isinstance(place, Path) or "\0" in str(place) or not _DESCRIPTORS.is_dir():
        raise _refused(place)
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _refused(place) from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _refused(place)
        yield str(_DESCRIPTORS / str(handle))
    finally:
        os.close(handle)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[str]:
    if is_text(str(path)):
        yield str(path) if path.is_absolute() else f"./{path}"
        return
    if not is_text(path.name) or "\0" in str(path) or not _DESCRIPTORS.is_dir():
        raise _refused(path)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise _refused(path) from None
    try:
        yield str(_DESCRIPTORS / str(folder) / path.name)
    finally:
        os.close(folder)


def _refused(place: Path | str) -> UsageError:
    return UsageError(
        f"A path or URL that OpenCV opens is UTF-8 text of less than {_LONGEST} bytes, without NUL. "
        f"Received: {printable(str(place))[:200]}. Remedy: rename it, or give another one."
    )

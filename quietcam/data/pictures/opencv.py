"""Wraps OpenCV's readers and writers. A test ensures that no other module calls them.

OpenCV's video code crashes (SIGSEGV) if a name is not UTF-8, and its decoders reserve the memory that a file claims to
need. So names are checked here first, and decoding requires the picture's header.
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
from quietcam.errors import DataError, UsageError
from quietcam.extras import load_opencv
from quietcam.files.paths import is_file
from quietcam.limits import MOST_FRAME_PIXELS, MOST_PIXELS, MOST_SIDE
from quietcam.terminal.printable import printable

__all__ = ["check_frame_size", "decode_image", "is_text", "open_capture", "open_writer", "readable_name"]

_HEAD = 4096  # bytes of a file that contain its kind, and a PNG's size
_LONGEST = 4096  # bytes of a path (Linux' PATH_MAX) or a URL
_DESCRIPTORS = Path("/proc/self/fd")


def is_text(name: str) -> bool:
    """Whether OpenCV can handle ``name``: valid Unicode without NUL, no longer than a path can be."""
    try:
        coded = name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as lone surrogates
        return False
    return b"\0" not in coded and len(coded) < _LONGEST


def open_capture(place: Path | str, backend: int, parameters: Sequence[int] = ()) -> Any:
    """Return a ``cv2.VideoCapture``, which may have failed to open. Files may have any name that the system allows.

    Args:
        place: a file or a device; or a URL, as text.
        backend: one of ``cv2.CAP_…``.

    Raises:
        UsageError: the name cannot be given to OpenCV.
        DataError: it is a picture, for which the video decoders would reserve memory unchecked.
    """
    cv2 = load_opencv()
    with readable_name(place) as name:
        return cv2.VideoCapture(name, backend, *([list(parameters)] if parameters else []))


def open_writer(path: Path, backend: int, codec: int, fps: float, size: tuple[int, int]) -> Any:
    """Return a ``cv2.VideoWriter``, which may have failed to open. The folder of ``path`` may have any name; the file's
    own name must be text.

    Args:
        size: ``(width, height)`` in pixels.

    Raises:
        UsageError: the name cannot be given to OpenCV.
    """
    cv2 = load_opencv()
    with _writable(path) as name:
        return cv2.VideoWriter(name, backend, codec, fps, size)


def decode_image(content: bytes, header: Header, flags: int, most: int = MOST_PIXELS) -> Any:
    """Decode to an array; None if the decoder cannot read the picture.

    Args:
        content: of the file.
        header: the result of ``read_header`` or ``glance`` for it.
        flags: of ``cv2.IMREAD_…``.
        most: pixels.

    Raises:
        DataError: the header claims too many pixels, or the kind is unsupported.
        cv2.error: OpenCV refuses it.
    """
    if not header.kind:
        raise DataError("its format is not supported")
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
            f"Frames must have at most {MOST_FRAME_PIXELS // 10**6} million pixels, and sides of at most "
            f"{MOST_SIDE} pixels. "
            f"Received: {name} with {width}x{height}. Remedy: scale it down, for example: "
            "ffmpeg -i FILE -vf scale=1920:-2 -crf 10 out.mp4"
        )


def _check_no_picture(place: Path | str) -> None:
    """Refuse a picture that is named like a video; an APNG may be animated, and several JPEGs may form a video."""
    if not isinstance(place, Path) or not is_file(place):
        return
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:  # the reader reports it
        return
    kind = kind_of(head)
    if kind in ("webp", "tiff", "bmp", "netpbm"):
        raise DataError(
            f"A video must be a video file. Received: {place}, a {kind} picture. Remedy: give it a picture's suffix."
        )
    size = read_size(head) if kind == "png" else None
    if size is not None:
        check_frame_size(*size, str(place))


@contextlib.contextmanager
def readable_name(place: Path | str) -> Iterator[str]:
    """A name of a video that OpenCV and FFmpeg can handle, valid inside the ``with`` block.

    Raises:
        UsageError: there is none.
        DataError: it is a picture, for which the video decoders would reserve memory unchecked.
    """
    _check_no_picture(place)
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
        f"The path or URL of a video must be UTF-8 text of less than {_LONGEST} bytes, without NUL. "
        f"Received: {printable(str(place))[:200]}. Remedy: rename the file, or give another one."
    )

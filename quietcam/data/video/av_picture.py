"""AvPicture: turns decoded frames into RGB, upright."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.data.pictures.opencv import check_frame_size
from quietcam.extras import load_av
from quietcam.image import Image

__all__ = ["AvPicture", "turned", "upright_size"]

_SITED = ("yuv420p10le", "yuv422p10le")


class AvPicture:
    """Converts the frames of one source as ffmpeg does: by their own matrix and range, at their stored size.

    Args:
        name: the source's, for errors.
    """

    def __init__(self, name: str) -> None:
        av = load_av()
        self._name = name
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._how = av.video.reformatter.Interpolation.BICUBIC  # of colors that have fewer pixels

    def convert(self, frame: Any, take: Callable[[tuple[int, ...]], Image] | None = None) -> Image:
        """uint8 ``(H, W, 3)`` RGB. What is transparent has the color that is stored.

        Args:
            frame: an ``av.VideoFrame``.
            take: gives the memory for a shape. Defaults to new memory.

        Raises:
            DataError: it is too large.
        """
        check_frame_size(frame.width, frame.height, self._name)  # it may change
        rgb = self._reformatter.reformat(_without_siting(frame), format="rgb24", interpolation=self._how, threads=1)
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        stored = rows[: rgb.height, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)
        upright = turned(stored, _matrix(frame))
        image = np.empty(upright.shape, np.uint8) if take is None else take(upright.shape)
        np.copyto(image, upright)
        return image


def turned(stored: Image, matrix: tuple[int, int, int, int] | None) -> Image:
    """A view of ``stored`` as it is shown.

    Args:
        matrix: a, b, c, d of the display matrix of ISO/IEC 14496-12: the pixel (x, y) is shown at (ax + cy, bx + dy).
            Angles between are taken for the nearest right one.
    """
    if matrix is None:
        return stored
    a, b, c, d = matrix
    if abs(a) >= abs(c):
        return stored[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return stored.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]


def _without_siting(frame: Any) -> Any:
    """The same frame, without a word on where its colors lie between the pixels.

    With 8 bits no FFmpeg looks at it. With 10 bits new ones do, so that colored edges would lie elsewhere
    than with 8 bits, and than Debian's ffmpeg shows them.
    """
    if frame.format.name not in _SITED:
        return frame
    plain = load_av().VideoFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name)
    plain.colorspace, plain.color_range = frame.colorspace, frame.color_range
    return plain


def upright_size(frame: Any) -> tuple[int, int]:
    """``(width, height)`` of an ``av.VideoFrame`` as it is shown."""
    matrix = _matrix(frame)
    if matrix is None or abs(matrix[0]) >= abs(matrix[2]):
        return frame.width, frame.height
    return frame.height, frame.width


def _matrix(frame: Any) -> tuple[int, int, int, int] | None:
    kind = load_av().sidedata.sidedata.Type.DISPLAYMATRIX
    for data in frame.side_data:
        if data.type == kind:
            numbers: NDArray[np.int32] = np.frombuffer(data, np.int32)
            return int(numbers[0]), int(numbers[1]), int(numbers[3]), int(numbers[4])
    return None

"""H.264 as cameras write it: a key frame, then frames that carry on what the frame before them showed.

Frames after a key frame are coded as differences to the frame before. Coarse steps keep most of the new grain out, and
what was coded once stays for many frames: grain turns into slow blotches. Codecs of single pictures have none of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, UsageError
from quietcam.extras import load_av
from quietcam.image import Image

__all__ = ["H264", "PRESETS", "Encoder"]

PRESETS = ("ultrafast", "veryfast", "medium")
"""Presets of x264. Encoders of cameras have the means of the fast ones."""

_LEAST = 16  # pixels of a side: a macroblock
_PLANES = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_RANGES = np.array([219.0, 224.0, 224.0]) / 255.0
_FROM_RGB = (_PLANES * _RANGES[:, np.newaxis]).astype(np.float32)
_TO_RGB = np.linalg.inv(_FROM_RGB).astype(np.float32)
"""ITU-R BT.601 in its limited range, before 16 is added to luma and 128 to the colors."""


@dataclass(frozen=True)
class H264:
    """How an encoder is set.

    Attributes:
        crf: its quality, x264's constant rate factor, 0 to 51: more is worse. Cameras use 18 to 38.
        preset: one of ``PRESETS``: how much it tries.
        gop: frames from one key frame to the next, at least 1.
        position: of a single frame after its key frame, 0 to ``gop`` - 1. A clip begins at this position.
    """

    crf: int = 28
    preset: str = "veryfast"
    gop: int = 30
    position: int = 0

    def __post_init__(self) -> None:
        rules = (
            (0 <= self.crf <= 51, "crf must lie in 0 to 51", self.crf),
            (self.preset in PRESETS, f"preset must be one of {', '.join(PRESETS)}", self.preset),
            (self.gop >= 1, "gop must be at least 1", self.gop),
            (0 <= self.position < self.gop, "position must lie in 0 to gop - 1", self.position),
        )
        for holds, rule, received in rules:
            if not holds:
                raise UsageError(f"{rule[0].upper()}{rule[1:]}. Received: {received}.")


class Encoder:
    """Encodes and decodes one frame after another: call it with each frame, uint8 ``(H, W, C)``, for the decoded one.

    Frames have no delay and none is coded out of order. The same frames give the same result.

    Raises:
        MissingExtraError: it needs PyAV.
    """

    def __init__(self, settings: H264) -> None:
        self._av = load_av()
        self._settings = settings
        self._encoder: Any = None
        self._decoder: Any = self._av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1
        self._count = 0
        self.packets: list[bytes] = []

    def __call__(self, frame: Image) -> Image:
        height, width, channels = frame.shape
        planes = _planes(frame)
        if self._encoder is None:
            self._encoder = self._opened(*planes.shape)
        video = self._av.VideoFrame.from_ndarray(planes, format="yuv420p")
        video.pts = self._count
        self._count += 1
        packets = self._encoder.encode(video)
        self.packets += [bytes(packet) for packet in packets]
        decoded = [each for packet in packets for each in self._decoder.decode(packet)]
        if len(decoded) != 1:
            raise DataError(f"FFmpeg must decode a frame at once. Received: {len(decoded)} frames.")
        return _picture(decoded[0].to_ndarray(), height, width, channels)

    def _opened(self, rows: int, width: int) -> Any:
        encoder = self._av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, rows * 2 // 3, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
        encoder.thread_count = 1
        encoder.options = {
            "crf": str(self._settings.crf),
            "preset": self._settings.preset,
            "tune": "zerolatency",  # no frame waits for later ones, as in a camera
            "g": str(self._settings.gop),
            "sc_threshold": "0",
        }
        return encoder


def _planes(frame: Image) -> Image:
    """A frame as YUV 4:2:0, uint8 ``(H * 3 / 2, W)``, with sides that are even and at least 16: edges are repeated."""
    height, width = (max(_LEAST, 2 * math.ceil(side / 2)) for side in frame.shape[:2])
    wide = np.pad(frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)), mode="edge")
    colors = wide.astype(np.float32) @ _FROM_RGB.T if wide.shape[2] == 3 else None
    luma = wide[..., 0] * np.float32(_RANGES[0]) if colors is None else colors[..., 0]
    out = np.full((height * 3 // 2, width), 128, np.uint8)
    out[:height] = np.rint(luma + 16)
    if colors is not None:
        halves = colors[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
        out[height:] = np.rint(np.moveaxis(halves, 2, 0) + 128).reshape(height // 2, width)
    return out


def _picture(planes: Image, height: int, width: int, channels: int) -> Image:
    """The inverse of ``_planes``; colors are enlarged bilinearly."""
    import cv2

    rows, across = planes.shape[0] * 2 // 3, planes.shape[1]
    luma = (planes[:rows].astype(np.float32) - 16)[..., np.newaxis]
    if channels == 1:
        return _levels(luma / np.float32(_RANGES[0]))[:height, :width]
    halves = planes[rows:].reshape(2, rows // 2, across // 2)
    colors = [cv2.resize(half.astype(np.float32) - 128, (across, rows)) for half in halves]
    whole = np.concatenate([luma, np.stack(colors, axis=2)], axis=2)
    return np.ascontiguousarray(_levels(whole @ _TO_RGB.T)[:height, :width])


def _levels(values: NDArray[np.float32]) -> Image:
    levels: Image = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return levels

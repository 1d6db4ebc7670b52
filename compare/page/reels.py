"""Reels: short stretches of clips for a report, cut out where it moves most and where it is flat.

A reel is a sheet, one JPEG with its frames side by side, without chroma subsampling: pages draw any frame of any
contender exactly and in step, in every browser. VP8, which OpenCV can write, costs as many bytes for noise of the same
quality, halves the resolution of color noise, and videos of several elements do not stay in step (measured: 128x96,
38.5 dB with VP8 at double size against 40.9 dB with these sheets, 12 kB a frame each).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import ComparedClip, Shot
from compare.page.showcase import steepest_box
from quietcam.data.crops import Box
from quietcam.image import Image, swap_red_blue

__all__ = ["COLUMNS", "CROP", "FRAMES", "MOST_BYTES", "Reel", "ReelTaker"]

FRAMES = 48
"""The most frames of a reel, from the clip's first on."""

CROP = (128, 96)
"""Width and height in pixels of what a reel shows; less of smaller frames."""

COLUMNS = 8
"""Frames in one row of a sheet."""

MOST_BYTES = 20_000_000
"""Reels are taken until a page has about so many bytes of them; of the first clip always."""

_QUALITY = 97  # 41 dB for the noise of gain 24, 50 dB for clean frames
_OVERVIEW = 360  # pixels, the width of the picture that shows where the crops are
_CLIPPED = (12, 243)  # values beyond them show no noise


@dataclass
class Reel:
    """The pictures of one clip.

    Attributes:
        frames: how many.
        width, height: of the crops. boxes: where they are, by ``moving`` and ``flat``.
        size: width and height of the clip.
        overview: the first clean frame, made smaller: uint8 RGB.
        sheets: by ``moving`` and ``flat``, then by contender and ``clean``: the bytes of a JPEG.
    """

    frames: int
    width: int
    height: int
    size: tuple[int, int]
    boxes: dict[str, Box]
    overview: Image
    sheets: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of all sheets, as text in a page."""
        return sum(4 * len(sheet) // 3 for each in self.sheets.values() for sheet in each.values())

    def uri(self, view: str, name: str) -> str:
        """A sheet as the source of an ``<img>``."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.sheets[view][name]).decode()}"


class ReelTaker:
    """A ``Watcher`` that takes a reel of each clip until the page is full.

    Attributes:
        reels: by the clip's name.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.reels: dict[str, Reel] = {}
        self._most = most_bytes
        self._taking: Reel | None = None
        self._crops: dict[str, dict[str, list[Image]]] = {}

    def __call__(self, clip: ComparedClip, number: int, shot: Shot, pictures: Mapping[str, Image]) -> None:
        """Take note of a frame."""
        if number == 0:
            self._begin(clip)
        if self._taking is None:
            return
        for view, (x0, y0, x1, y1) in self._taking.boxes.items():
            for name, picture in (*pictures.items(), ("clean", shot.clean)):
                self._crops[view].setdefault(name, []).append(picture[y0:y1, x0:x1].copy())
        if number + 1 == self._taking.frames:
            self._finish(clip.name)

    def _begin(self, clip: ComparedClip) -> None:
        self._taking = None
        if self.reels and sum(reel.bytes for reel in self.reels.values()) >= self._most:
            return
        first, boxes = _choose(clip)
        height, width = first.shape[:2]
        x0, y0, x1, y1 = boxes["moving"]
        frames = min(FRAMES, clip.length)
        self._taking = Reel(frames, x1 - x0, y1 - y0, (width, height), boxes, _smaller(first))
        self._crops = {view: {} for view in boxes}

    def _finish(self, name: str) -> None:
        assert self._taking is not None
        for view, crops in self._crops.items():
            self._taking.sheets[view] = {each: _sheet(frames) for each, frames in crops.items()}
        spent = sum(reel.bytes for reel in self.reels.values())
        if not self.reels or spent + self._taking.bytes <= self._most:
            self.reels[name] = self._taking
        self._taking, self._crops = None, {}


def _choose(clip: ComparedClip) -> tuple[Image, dict[str, Box]]:
    """The first clean frame, and the boxes where edges move most, and where nothing moves and little is to be seen."""
    first: Image | None = None
    moved = still = np.zeros((1, 1))
    for number, shot in enumerate(islice(clip.shots(), FRAMES)):
        slope = _slope(shot.clean)
        if first is None:
            first, moved, still = shot.clean, np.zeros_like(slope), np.zeros_like(slope)
        light = shot.clean.mean(axis=2)
        still += slope + 30.0 * ((light < _CLIPPED[0]) | (light > _CLIPPED[1]))
        if number and not shot.cut:
            moved += shot.moving * (1.0 + slope)
            still += 30.0 * shot.moving
    assert first is not None
    return first, {"moving": steepest_box(moved, *CROP), "flat": steepest_box(still.max() - still, *CROP)}


def _slope(clean: Image) -> NDArray[np.float64]:
    light = clean.mean(axis=2)
    slope: NDArray[np.float64] = np.abs(np.diff(light, axis=0, append=light[-1:]))
    slope += np.abs(np.diff(light, axis=1, append=light[:, -1:]))
    return slope


def _sheet(frames: list[Image]) -> bytes:
    """Frames in rows of ``COLUMNS``; the last row is filled with black."""
    import cv2

    height, width = frames[0].shape[:2]
    rows = -(-len(frames) // COLUMNS)
    sheet = np.zeros((rows * height, min(COLUMNS, len(frames)) * width, 3), np.uint8)
    for number, frame in enumerate(frames):
        y, x = height * (number // COLUMNS), width * (number % COLUMNS)
        sheet[y : y + height, x : x + width] = frame
    full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, content = cv2.imencode(".jpg", swap_red_blue(sheet), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, *full])
    assert done
    return content.tobytes()


def _smaller(frame: Image) -> Image:
    import cv2

    height, width = frame.shape[:2]
    wide = min(_OVERVIEW, width)
    size = wide, max(1, round(height * wide / width))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)

"""Processing of a frame after the pipeline: the camera's denoiser, scaling, sharpening, compression, and a viewer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quietcam.errors import UsageError
from quietcam.image import Image, to_gray, to_rgb
from quietcam.sensor.h264 import H264, Encoder
from quietcam.sensor.traits import jpeg_copy

__all__ = ["Coder", "Postprocessing"]

Coder = Callable[[Image], Image]
"""Compresses and decodes the frames of one camera, uint8 ``(H, W, C)``, in order."""

_CORE = 1.5  # sigma in pixels: what is finer is what a coring denoiser takes away
_FEW = 4  # every fourth row and column gives the deviation of fine grain


@dataclass(frozen=True)
class Postprocessing:
    """The steps after the pipeline. All are off by default.

    In this order: the camera's own denoiser works (only on the noisy side), colors are removed, the frame is scaled and
    sharpened (both sides: a clean frame has the same softness and the same halos), it is compressed (only the noisy
    side), and a viewer enlarges it.

    Attributes:
        scale: pixels of the sensor for one pixel of the frame. Above 1 the frame is shrunk by area, which leaves fine,
            white grain; below 1 it is enlarged, as digital zoom does, which leaves coarse grain.
        chroma: sigma, in pixels of the sensor, of a blur of the colors alone, as the denoisers of most cameras do
            first.
        smooth: strength of a bilateral filter: the sigma of its range, in steps of 255.
        cored: strength of a coring denoiser, which reduces the fine part of a frame by this many of its typical
            deviations, toward 0: coarse grain is left.
        colorless: whether the camera removes the colors, as many do at night; three equal channels are left.
        sharpen: strength of an unsharp mask with a sigma of one pixel.
        jpeg: quality of JPEG, 1 to 100, or None for none.
        h264: the settings of H.264, or None for none.
        zoom: by how much a viewer enlarges the frame, at least 1.
        linear: whether frames are enlarged bilinearly, rather than by cubic convolution.
    """

    scale: float = 1.0
    chroma: float = 0.0
    smooth: float = 0.0
    cored: float = 0.0
    colorless: bool = False
    sharpen: float = 0.0
    jpeg: int | None = None
    h264: H264 | None = None
    zoom: float = 1.0
    linear: bool = False

    def __post_init__(self) -> None:
        if not 0.25 <= self.scale <= 4.0:
            raise UsageError(f"scale must lie in 0.25 to 4. Received: {self.scale}.")
        if not 1.0 <= self.zoom <= 4.0:
            raise UsageError(f"zoom must lie in 1 to 4. Received: {self.zoom}.")
        for name in ("chroma", "smooth", "cored", "sharpen"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise UsageError(f"{name} must be at least 0. Received: {value}.")
        if self.jpeg is not None and not 1 <= self.jpeg <= 100:
            raise UsageError(f"The quality of a JPEG must lie in 1 to 100. Received: {self.jpeg}.")
        if self.jpeg is not None and self.h264 is not None:
            raise UsageError("A frame can be compressed as JPEG or as H.264. Received: both.")

    @property
    def lead(self) -> int:
        """How many frames the camera encodes before the first one that is kept: those since the last key frame."""
        return self.h264.position if self.h264 else 0

    def coder(self) -> Coder:
        """The compression of one camera. Its state is that of one sequence of frames.

        Raises:
            MissingExtraError: H.264 needs PyAV.
        """
        if self.h264 is not None:
            return Encoder(self.h264)
        quality = self.jpeg
        return (lambda frame: frame) if quality is None else (lambda frame: jpeg_copy(frame, quality))

    def before(self, scene: Image) -> Image:
        """A scene, uint8 ``(H, W, C)``, enlarged or shrunk to the size of the sensor."""
        height, width = (max(3, round(side * self.scale / self.zoom)) for side in scene.shape[:2])
        return self._resized(scene, height, width)

    def noisy(self, frame: Image, height: int, width: int, coder: Coder | None = None) -> Image:
        """The noisy frame after all steps: uint8 ``(height, width, C)``.

        Args:
            coder: the compression of its sequence. Defaults to that of a sequence of this frame alone.
        """
        import cv2

        if self.chroma and frame.shape[2] == 3:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
            planes[..., 1:] = cv2.GaussianBlur(np.ascontiguousarray(planes[..., 1:]), (0, 0), self.chroma)
            frame = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB), np.uint8)
        if self.smooth:
            smooth = cv2.bilateralFilter(np.ascontiguousarray(frame), 5, self.smooth, 1.5)
            frame = np.asarray(smooth, np.uint8).reshape(frame.shape)
        if self.cored:
            frame = _cored(frame, self.cored)
        arrived = self._delivered(frame, height, width)
        return self._resized((coder or self.coder())(arrived), height, width)

    def clean(self, frame: Image, height: int, width: int) -> Image:
        """The clean frame, scaled and sharpened like the noisy one: uint8 ``(height, width, C)``."""
        return self._resized(self._delivered(frame, height, width), height, width)

    def _delivered(self, frame: Image, height: int, width: int) -> Image:
        """The frame as the camera delivers it, before it is compressed and a viewer enlarges it."""
        if self.colorless and frame.shape[2] == 3:
            frame = to_rgb(to_gray(frame))
        frame = self._resized(frame, max(3, round(height / self.zoom)), max(3, round(width / self.zoom)))
        if self.sharpen:
            import cv2

            blurred = cv2.GaussianBlur(frame, (0, 0), 1.0)
            sharp = cv2.addWeighted(frame, 1 + self.sharpen, blurred, -self.sharpen, 0)
            frame = np.asarray(sharp, np.uint8).reshape(frame.shape)
        return np.ascontiguousarray(frame)

    def _resized(self, image: Image, height: int, width: int) -> Image:
        """Shrink by area, or enlarge."""
        if image.shape[:2] == (height, width):
            return image
        import cv2

        enlarging = cv2.INTER_LINEAR if self.linear else cv2.INTER_CUBIC
        kind = cv2.INTER_AREA if height < image.shape[0] else enlarging
        resized = cv2.resize(image, (width, height), interpolation=kind)
        return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])


def _cored(frame: Image, strength: float) -> Image:
    """What is finer than 1.5 pixels moves toward 0, by ``strength`` times its typical deviation (by its median)."""
    import cv2

    whole = frame.astype(np.float32)
    coarse = cv2.GaussianBlur(whole, (0, 0), _CORE).reshape(frame.shape)
    fine = whole - coarse
    deviation = np.median(np.abs(fine[::_FEW, ::_FEW])) / 0.6745
    fine -= np.clip(fine, -strength * deviation, strength * deviation)
    cored: Image = np.rint(np.clip(coarse + fine, 0, 255)).astype(np.uint8)
    return cored

"""Processing of a frame after the sensor's pipeline: smoothing, scaling, sharpening and compression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.sensor.traits import compressed

__all__ = ["CODECS", "Postprocessing"]

CODECS = ("jpeg", "vp8")


@dataclass(frozen=True)
class Postprocessing:
    """The steps after the pipeline. All are off by default.

    In this order: the camera's own denoiser smooths (only the noisy side), the frame is scaled and sharpened (both
    sides: a clean frame has the same softness and the same halos), and it is compressed (only the noisy side).

    Attributes:
        scale: pixels of the sensor for one pixel of the frame. Above 1 the frame is shrunk by area, which leaves fine,
            white grain; below 1 it is enlarged, as digital zoom and viewers do, which leaves coarse grain.
        chroma: sigma, in pixels of the sensor, of a blur of the colors alone, as the denoisers of most cameras do
            first.
        smooth: strength of a bilateral filter: the sigma of its range, in steps of 255.
        sharpen: strength of an unsharp mask with a sigma of one pixel.
        codec: one of ``CODECS``, or None for no compression.
        quality: 1 to 100, on the scale of the codec.
    """

    scale: float = 1.0
    chroma: float = 0.0
    smooth: float = 0.0
    sharpen: float = 0.0
    codec: str | None = None
    quality: int = 90

    def __post_init__(self) -> None:
        if not 0.25 <= self.scale <= 4.0:
            raise UsageError(f"scale must lie in 0.25 to 4. Received: {self.scale}.")
        for name in ("chroma", "smooth", "sharpen"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise UsageError(f"{name} must be at least 0. Received: {value}.")
        if self.codec is not None and self.codec not in CODECS:
            raise UsageError(f"codec must be one of {', '.join(CODECS)}, or None. Received: {self.codec}.")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality must lie in 1 to 100. Received: {self.quality}.")

    def before(self, scene: Image) -> Image:
        """A scene, uint8 ``(H, W, C)``, enlarged or shrunk to the size of the sensor."""
        height, width = (max(3, round(side * self.scale)) for side in scene.shape[:2])
        return _resized(scene, height, width)

    def noisy(self, frame: Image, height: int, width: int) -> Image:
        """The noisy frame after all steps: uint8 ``(height, width, C)``."""
        import cv2

        if self.chroma and frame.shape[2] == 3:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
            planes[..., 1:] = cv2.GaussianBlur(np.ascontiguousarray(planes[..., 1:]), (0, 0), self.chroma)
            frame = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB), np.uint8)
        if self.smooth:
            smooth = cv2.bilateralFilter(np.ascontiguousarray(frame), 5, self.smooth, 1.5)
            frame = np.asarray(smooth, np.uint8).reshape(frame.shape)
        arrived = self.clean(frame, height, width)
        return arrived if self.codec is None else compressed(arrived, self.codec, self.quality)

    def clean(self, frame: Image, height: int, width: int) -> Image:
        """The clean frame, scaled and sharpened like the noisy one: uint8 ``(height, width, C)``."""
        frame = _resized(frame, height, width)
        if self.sharpen:
            import cv2

            blurred = cv2.GaussianBlur(frame, (0, 0), 1.0)
            sharp = cv2.addWeighted(frame, 1 + self.sharpen, blurred, -self.sharpen, 0)
            frame = np.asarray(sharp, np.uint8).reshape(frame.shape)
        return np.ascontiguousarray(frame)


def _resized(image: Image, height: int, width: int) -> Image:
    """Shrink by area, or enlarge by cubic convolution."""
    if image.shape[:2] == (height, width):
        return image
    import cv2

    kind = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    resized = cv2.resize(image, (width, height), interpolation=kind)
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])

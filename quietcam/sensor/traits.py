"""Traits of cameras besides shot and read noise: binning, row and column noise, hot pixels, flicker, few bits, JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.data.pictures.header_readers import glance
from quietcam.data.pictures.opencv import decode_image
from quietcam.errors import DataError, UsageError
from quietcam.extras import load_opencv
from quietcam.image import Image, swap_red_blue

__all__ = ["Flicker", "Traits", "jpeg_copy", "random_traits"]

Raw = NDArray[np.float32]


@dataclass(frozen=True)
class Traits:
    """The traits of one camera. All are off by default.

    Attributes:
        binning: 1, or 2 if the sensor averages 2x2 sites of one color into one.
        row: standard deviation of the row noise, which changes in every frame; 1 is the sensor's range.
        hot: the share of hot pixels, 0 to 1. Their places and strengths belong to the camera.
        bits: bits of the analog-to-digital converter, 8 to 16, or None for no steps.
        jpeg: the quality of the JPEG that the camera delivers, 1 to 100, or None for no JPEG.
        serial: a number of the camera; each has its own hot pixels, columns and sensitivities.
        column: standard deviation of the column noise, the same in every frame; 1 is the sensor's range.
        uneven: standard deviation of the sites' sensitivity, the same in every frame; 1 is the mean.
        offset: standard deviation of the sites' black level, the same in every frame; 1 is the sensor's range.
        lamps: how far flickering lamps change the light, as a share of its mean, 0 to 1: bands of rows that move.
    """

    binning: int = 1
    row: float = 0.0
    hot: float = 0.0
    bits: int | None = None
    jpeg: int | None = None
    serial: int = 0
    column: float = 0.0
    uneven: float = 0.0
    lamps: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        rules = (
            (self.binning in (1, 2), "binning must be 1 or 2", self.binning),
            (math.isfinite(self.row) and self.row >= 0.0, "row noise must be at least 0", self.row),
            (math.isfinite(self.column) and self.column >= 0.0, "column noise must be at least 0", self.column),
            (
                math.isfinite(self.offset) and self.offset >= 0.0,
                "the spread of offsets must be at least 0",
                self.offset,
            ),
            (0.0 <= self.uneven < 1.0, "the spread of sensitivities must lie in [0, 1)", self.uneven),
            (0.0 <= self.lamps < 1.0, "the flicker of lamps must lie in [0, 1)", self.lamps),
            (0.0 <= self.hot <= 1.0, "the share of hot pixels must lie in [0, 1]", self.hot),
            (self.bits is None or 8 <= self.bits <= 16, "bits must lie in 8 to 16", self.bits),
            (self.jpeg is None or 1 <= self.jpeg <= 100, "the quality of a JPEG must lie in 1 to 100", self.jpeg),
            (self.serial >= 0, "serial must be at least 0", self.serial),
        )
        for holds, rule, received in rules:
            if not holds:
                raise UsageError(f"{rule[0].upper()}{rule[1:]}. Received: {received}.")

    def leak(self, raw: Raw) -> Raw:
        """Add the dark current of hot pixels to a mosaic, before noise, up to the whole range."""
        if self.hot == 0.0:
            return raw
        rng = np.random.Generator(np.random.PCG64(self.serial))
        count = rng.binomial(raw.size, self.hot)
        leaky = raw.copy()
        leaky.reshape(-1)[rng.integers(0, raw.size, count)] += rng.exponential(0.2, count).astype(np.float32)
        return np.minimum(leaky, np.float32(1.0), out=leaky)

    def fixed(self, raw: Raw) -> Raw:
        """Apply this camera's uneven sites, offsets and columns to a mosaic, before noise: the same in every frame."""
        if self.uneven or self.column:
            rng = np.random.Generator(np.random.PCG64([self.serial, 1]))
            raw = raw * (1 + rng.standard_normal(raw.shape, np.float32) * np.float32(self.uneven))
            raw += rng.standard_normal((1, raw.shape[1]), np.float32) * np.float32(self.column)
        if self.offset:
            rng = np.random.Generator(np.random.PCG64([self.serial, 2]))
            raw = raw + rng.standard_normal(raw.shape, np.float32) * np.float32(self.offset)
        return np.asarray(raw, np.float32)

    def light(self, height: int, rng: np.random.Generator) -> Raw:
        """Factors of the light on each row of one frame, ``(height, 1)``: a wave around 1 of 24 to 600 rows."""
        return self.wave(height, *_draw_wave(rng))

    def wave(self, height: int, period: float, phase: float) -> Raw:
        """As ``light``, for a wave of this period in rows and this phase in radians."""
        wave = 1.0 + self.lamps * np.sin(2.0 * math.pi / period * np.arange(height) + phase)
        return np.asarray(wave, np.float32)[:, np.newaxis]

    def rows(self, height: int, rng: np.random.Generator) -> Raw:
        """The row noise of one frame: ``(height, 1)``."""
        return rng.standard_normal((height, 1), np.float32) * np.float32(self.row)

    def convert(self, raw: Raw) -> Raw:
        """Round a mosaic to the steps of the converter."""
        if self.bits is None:
            return raw
        steps = np.float32(2**self.bits - 1)
        stepped: Raw = np.rint(raw * steps) / steps
        return stepped

    def deliver(self, image: Image) -> Image:
        """The picture as the camera delivers it.

        Raises:
            MissingExtraError: JPEG needs OpenCV.
        """
        return image if self.jpeg is None else jpeg_copy(image, self.jpeg)


@dataclass(frozen=True)
class Flicker:
    """The bands of lamps over many frames.

    Attributes:
        period: of a band, rows. phase: in the first frame, radians. pace: how far bands move on in a frame, radians.
    """

    period: float
    phase: float
    pace: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Flicker:
        period, phase = _draw_wave(rng)
        return cls(period, phase, rng.uniform(-0.8, 0.8))

    def light(self, traits: Traits, height: int, number: int) -> Raw | None:
        """Factors of the light on each row of frame ``number``, ``(height, 1)``; None if no lamps flicker."""
        return traits.wave(height, self.period, self.phase + self.pace * number) if traits.lamps else None


def jpeg_copy(image: Image, quality: int) -> Image:
    """A picture after JPEG of this quality, 1 to 100: uint8 ``(H, W, C)``, as before.

    Raises:
        MissingExtraError: it needs OpenCV.
    """
    cv2 = load_opencv()
    whole, content = cv2.imencode(".jpg", swap_red_blue(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not whole:
        raise DataError(f"OpenCV could not encode a picture of shape {image.shape} as JPEG.")
    color = image.shape[2] == 3
    coded = content.tobytes()
    decoded = decode_image(coded, glance(coded), cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    return swap_red_blue(np.asarray(decoded, np.uint8).reshape(image.shape))


def _draw_wave(rng: np.random.Generator) -> tuple[float, float]:
    """The period in rows and the phase in radians of the lamps' flicker."""
    return math.exp(rng.uniform(math.log(24.0), math.log(600.0))), rng.uniform(0.0, 2.0 * math.pi)


def random_traits(rng: np.random.Generator, deviation: float) -> Traits:
    """Draw the traits of a camera. Deterministic by the state of ``rng``.

    Of all cameras, half have 10 bits and three in ten have 12. One in eight bins, one in six has row noise of 5 to
    25 % of ``deviation``, one in ten has hot pixels, one in six delivers JPEG of quality 80 to 97.

    Args:
        deviation: standard deviation of the camera's noise in its shadows; 1 is the sensor's range.
    """
    binning, bits, row, hot, jpeg = rng.random(5).tolist()
    row_share, hot_share, quality = rng.random(3).tolist()
    return Traits(
        binning=2 if binning < 1 / 8 else 1,
        row=deviation * (0.05 + 0.2 * row_share) if row < 1 / 6 else 0.0,
        hot=10.0 ** (-5.5 + 2.0 * hot_share) if hot < 1 / 10 else 0.0,
        bits=10 if bits < 0.5 else 12 if bits < 0.8 else None,
        jpeg=80 + int(18 * quality) if jpeg < 1 / 6 else None,
        serial=int(rng.integers(2**31)),
    )

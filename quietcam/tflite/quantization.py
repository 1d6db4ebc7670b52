"""Scale and zero point: how int8 codes represent real numbers, and the pair for which they represent pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["PIXELS", "Quantization", "int8_to_pixels", "pixels_to_int8"]

Codes = NDArray[np.int8]
"""int8 of any shape: the codes of a quantized tensor."""

_LEAST, _MOST = -128, 127
_SIGN = np.uint8(0x80)
_TOLERANCE = 5e-6
"""Tolerance of the scale, relative. 1/255 as float32 is off by 6e-8. A scale from a rounded range, or from samples
that were not quite white, is off by a little more: 0.003921567928 and 0.0039215642 occur in real models.
Over all 255 codes that is less than two thousandths of a step."""


@dataclass(frozen=True)
class Quantization:
    """Per-tensor affine int8: real = scale * (code - zero_point), codes in [-128, 127].

    Raises:
        UsageError: the scale is not positive and finite, or the zero point is not an int8 value.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0 and _LEAST <= self.zero_point <= _MOST):
            raise UsageError(
                "A quantization must have a positive scale and a zero point in [-128, 127]. "
                f"Received: scale={self.scale}, zero_point={self.zero_point}."
            )

    @property
    def is_pixel_identity(self) -> bool:
        """True if a code is the pixel's uint8 value with its top bit flipped: scale 1/255, zero point -128."""
        return self.zero_point == _LEAST and self._is_step

    @property
    def is_pixel(self) -> bool:
        """True if a uint8 code is the pixel itself: scale 1/255, zero point 0."""
        return self.zero_point == 0 and self._is_step

    @property
    def _is_step(self) -> bool:
        return math.isclose(self.scale, 1 / 255, rel_tol=_TOLERANCE)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest real number that have a code."""
        return self.scale * (_LEAST - self.zero_point), self.scale * (_MOST - self.zero_point)

    def quantize(self, real: ArrayLike) -> Codes:
        """Convert real numbers to the nearest int8 codes (half to even); values out of range get the nearest end."""
        codes: NDArray[np.float64] = np.rint(np.asarray(real, np.float64) / self.scale) + self.zero_point
        return np.clip(codes, _LEAST, _MOST).astype(np.int8)

    def dequantize(self, codes: Codes) -> NDArray[np.float32]:
        """Convert int8 codes to the real numbers that they represent."""
        return ((codes.astype(np.int16) - self.zero_point) * self.scale).astype(np.float32)


PIXELS = Quantization(1 / 255, -128)
"""The pixel identity: real 0 to 1 is uint8 0 to 255 is int8 -128 to 127."""


def pixels_to_int8(image: Image, out: Codes | None = None) -> Codes:
    """Convert uint8 pixels to int8 codes of the pixel identity, by ``^ 0x80``; into ``out`` if given."""
    codes = np.empty(image.shape, np.int8) if out is None else out
    np.bitwise_xor(image, _SIGN, out=codes.view(np.uint8))
    return codes


def int8_to_pixels(codes: Codes, out: Image | None = None) -> Image:
    """Convert int8 codes of the pixel identity back to uint8 pixels; into ``out`` if given."""
    image = np.empty(codes.shape, np.uint8) if out is None else out
    np.bitwise_xor(codes.view(np.uint8), _SIGN, out=image)
    return image

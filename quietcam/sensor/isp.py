"""The raw pipeline of a camera, and its inverse: from a mosaic to a picture, from a scene to a mosaic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.sensor.srgb import to_light

__all__ = ["DEMOSAICS", "IDENTITY", "PHASES", "TONES", "Isp", "demosaic", "develop", "mosaic", "to_linear"]

Raw = NDArray[np.float32]
"""float32 ``(H, W)``: what the sensor reads, with or without a Bayer filter; 0 is black, 1 is white."""

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

DEMOSAICS = ("bilinear", "malvar")
TONES = ("srgb", "gamma", "linear")
PHASES = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}
"""Position of the red site in each 2x2 block of the mosaic: (row, column)."""

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

_LEVELS = 1 << 16  # entries of the tone table: a step is 0.05 of a uint8 level where the curve is steepest


@dataclass(frozen=True)
class Isp:
    """How a camera turns its mosaic into a picture.

    Attributes:
        red_gain, blue_gain: white balance, relative to green; at least 1 in most cameras.
        matrix: 3x3, from white-balanced camera colors to linear sRGB; rows that sum to 1 keep grays.
        exposure: the share of the sensor's range that white reaches, in (0, 1]; the pipeline divides by it.
        demosaic: one of ``DEMOSAICS``.
        detail: the share of its correction that the "malvar" demosaic adds to red, green and blue, at least 0: 1 is all
            of it, 0 is "bilinear". It decides the grain: how far noise spreads, and how much it correlates between
            colors.
        contrast: 0 is the plain curve of ``tone``, 1 a full smoothstep on top of it; in [0, 1].
        tone: one of ``TONES``: the sRGB curve, the plain power 1/2.2, or none, as machine cameras deliver.
        phase: one of ``PHASES``.
    """

    red_gain: float = 2.0
    blue_gain: float = 1.7
    matrix: Matrix = IDENTITY
    exposure: float = 1.0
    demosaic: str = "bilinear"
    contrast: float = 0.0
    phase: str = "RGGB"
    detail: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tone: str = "srgb"

    def __post_init__(self) -> None:
        if self.demosaic not in DEMOSAICS:
            raise UsageError(f"demosaic must be one of {', '.join(DEMOSAICS)}. Received: {self.demosaic}.")
        if self.tone not in TONES:
            raise UsageError(f"tone must be one of {', '.join(TONES)}. Received: {self.tone}.")
        if self.phase not in PHASES:
            raise UsageError(f"The Bayer phase must be one of {', '.join(PHASES)}. Received: {self.phase}.")
        if not 0.0 < self.exposure <= 1.0:
            raise UsageError(f"exposure must lie in (0, 1]. Received: {self.exposure}.")
        if not 0.0 <= self.contrast <= 1.0:
            raise UsageError(f"contrast must lie in [0, 1]. Received: {self.contrast}.")
        if not (0.0 < self.red_gain < math.inf and 0.0 < self.blue_gain < math.inf):
            raise UsageError(
                f"White-balance gains must be positive. Received: red {self.red_gain}, blue {self.blue_gain}."
            )
        if not (len(self.detail) == 3 and all(0.0 <= share < math.inf for share in self.detail)):
            raise UsageError(f"detail is a share of at least 0 for each of three colors. Received: {self.detail}.")
        if np.shape(self.matrix) != (3, 3) or not abs(np.linalg.det(np.array(self.matrix))) > 1e-6:
            raise UsageError(f"The color matrix must be 3x3 and invertible. Received: {self.matrix}.")

    @property
    def gains(self) -> NDArray[np.float32]:
        """float32 ``(3,)``: the factor of each raw channel, for white balance and exposure together."""
        return np.array([self.red_gain, 1.0, self.blue_gain], np.float32) / np.float32(self.exposure)


def to_linear(scene: Image, isp: Isp) -> NDArray[np.float32]:
    """The light from which ``isp`` develops ``scene``: the color pipeline in reverse.

    Args:
        scene: uint8 ``(H, W, 3)`` sRGB, or ``(H, W, 1)``.

    Returns:
        float32 ``(H, W, C)`` in [0, 1], in the sensor's own colors, where 1 is its full scale.
    """
    light = _decoding(isp.contrast, isp.tone)[scene]
    if scene.shape[2] == 3:
        backwards = np.linalg.inv(np.array(isp.matrix)) / isp.gains[:, np.newaxis]
        light = np.stack(_mix(np.moveaxis(light, 2, 0), backwards), axis=2)
    else:
        light *= np.float32(isp.exposure)
    return np.clip(light, 0.0, 1.0, out=light)


def mosaic(light: NDArray[np.float32], phase: str = "RGGB") -> Raw:
    """Sample light with a Bayer filter: each site keeps one color. ``(H, W, 1)`` is a sensor without a filter."""
    if light.shape[2] == 1:
        return light[..., 0].copy()
    raw = light[..., 1].copy()
    y, x = PHASES[phase]
    raw[y::2, x::2] = light[y::2, x::2, 0]
    raw[1 - y :: 2, 1 - x :: 2] = light[1 - y :: 2, 1 - x :: 2, 2]
    return raw


def demosaic(
    raw: Raw, kind: str = "bilinear", phase: str = "RGGB", detail: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> NDArray[np.float32]:
    """Convert a mosaic ``(H, W)``, 3x3 or larger, to float32 ``(H, W, 3)``; edges are mirrored, which keeps the phase.

    "bilinear" is the mean of the nearest neighbors. "malvar" corrects it by the Laplacian of the site's own color, with
    the 5x5 kernels of Malvar, He and Cutler, "High-quality linear interpolation
    for demosaicing of Bayer-patterned color images" (ICASSP 2004); it needs white balance first, and can
    overshoot. ``detail`` is the share of the correction that red, green and blue get.
    """
    height, width = raw.shape
    wide = np.pad(raw, 2, mode="reflect")
    out = np.empty((3, height, width), np.float32)
    red_y, red_x = PHASES[phase]
    red, green, blue = detail if kind == "malvar" else (0.0, 0.0, 0.0)
    shares = (red, green, blue)
    for y in (0, 1):
        for x in (0, 1):
            site = _Site(wide, y, x, height, width)
            here = out[:, y::2, x::2]
            same_row, same_column = y == red_y, x == red_x
            if same_row == same_column:  # a red or a blue site
                own, other = (0, 2) if same_row else (2, 0)
                here[own] = site.at(0, 0)
                here[1] = site.cross(green)
                here[other] = site.diagonal(shares[other])
            else:  # green: its row holds red or blue, its column the other
                in_row, in_column = (0, 2) if same_row else (2, 0)
                here[1] = site.at(0, 0)
                here[in_row] = site.along_row(shares[in_row])
                here[in_column] = site.along_column(shares[in_column])
    return np.moveaxis(out, 0, 2)


def develop(raw: Raw, isp: Isp, channels: int = 3) -> Image:
    """Develop a noisy or clean mosaic in [0, 1] to the picture that a camera delivers: uint8 ``(H, W, channels)``."""
    if channels == 1:
        return _encode(np.clip(raw / np.float32(isp.exposure), 0.0, 1.0), isp)[..., np.newaxis]
    balanced = raw * isp.gains[1]  # before the demosaic, which derives one color's detail from another
    y, x = PHASES[isp.phase]
    balanced[y::2, x::2] = raw[y::2, x::2] * isp.gains[0]
    balanced[1 - y :: 2, 1 - x :: 2] = raw[1 - y :: 2, 1 - x :: 2] * isp.gains[2]
    np.clip(balanced, 0.0, 1.0, out=balanced)
    colors = np.clip(demosaic(balanced, isp.demosaic, isp.phase, isp.detail), 0.0, 1.0)
    planes = _mix(np.moveaxis(colors, 2, 0), np.array(isp.matrix))
    return np.stack([_encode(np.clip(plane, 0.0, 1.0, out=plane), isp) for plane in planes], axis=2)


def _mix(planes: NDArray[np.float32], matrix: NDArray[np.float64]) -> list[Raw]:
    """``matrix`` times each pixel's color, plane by plane: several times as fast as a product of rows."""
    red, green, blue = planes
    return [red * row[0] + green * row[1] + blue * row[2] for row in matrix.astype(np.float32)]


class _Site:
    """One of the four phases of a mosaic padded by 2; estimates its missing colors from its neighbors."""

    def __init__(self, wide: Raw, y: int, x: int, height: int, width: int) -> None:
        self._wide, self._y, self._x = wide, y, x
        self._height, self._width = height, width

    def at(self, dy: int, dx: int) -> Raw:
        rows = slice(2 + self._y + dy, 2 + self._height + dy, 2)
        columns = slice(2 + self._x + dx, 2 + self._width + dx, 2)
        neighbors: Raw = self._wide[rows, columns]
        return neighbors

    def cross(self, detail: float) -> Raw:
        """Green at a red or blue site."""
        near: Raw = self._in_row(1) + self._in_column(1)
        near *= np.float32(1 / 4)
        if detail:
            near += (4 * self.at(0, 0) - (self._in_row(2) + self._in_column(2))) * np.float32(detail / 8)
        return near

    def diagonal(self, detail: float) -> Raw:
        """Red at a blue site, blue at a red one."""
        near = self._corners() * np.float32(1 / 4)
        if detail:
            near += (4 * self.at(0, 0) - (self._in_row(2) + self._in_column(2))) * np.float32(detail * 3 / 16)
        return near

    def along_row(self, detail: float) -> Raw:
        """At a green site, the other color of its row."""
        return self._along(self._in_row(1), self._in_row(2), self._in_column(2), detail)

    def along_column(self, detail: float) -> Raw:
        """At a green site, the other color of its column."""
        return self._along(self._in_column(1), self._in_column(2), self._in_row(2), detail)

    def _along(self, near: Raw, far: Raw, far_across: Raw, detail: float) -> Raw:
        near = near * np.float32(1 / 2)
        if detail:
            own = 10 * self.at(0, 0) - 2 * (self._corners() + far) + far_across
            near += own * np.float32(detail / 16)
        return near

    def _in_row(self, distance: int) -> Raw:
        return self.at(0, -distance) + self.at(0, distance)

    def _in_column(self, distance: int) -> Raw:
        return self.at(-distance, 0) + self.at(distance, 0)

    def _corners(self) -> Raw:
        return (self.at(-1, -1) + self.at(-1, 1)) + (self.at(1, -1) + self.at(1, 1))


@lru_cache(maxsize=64)
def _decoding(contrast: float, tone: str) -> NDArray[np.float32]:
    """float32 ``(256,)``: the linear value of each uint8 level."""
    table = _uncurve(np.arange(256) / 255.0, contrast, tone).astype(np.float32)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=64)
def _encoding(contrast: float, tone: str) -> Image:
    """uint8 ``(65536,)``: the level nearest to each linear value, from the values at which the level changes."""
    meets = np.ceil(_uncurve((np.arange(255) + 0.5) / 255.0, contrast, tone) * (_LEVELS - 1)).astype(np.int64)
    spans = np.diff(np.concatenate([[0], meets, [_LEVELS]]))
    table = np.repeat(np.arange(256, dtype=np.uint8), spans)
    table.flags.writeable = False
    return table


def _encode(linear: NDArray[np.float32], isp: Isp) -> Image:
    places = (linear * np.float32(_LEVELS - 1) + np.float32(0.5)).astype(np.uint16)
    return _encoding(isp.contrast, isp.tone)[places]


def _uncurve(shown: NDArray[np.floating], contrast: float, tone: str) -> NDArray[np.float64]:
    """Convert display values in [0, 1] back to linear light: contrast first, then the tone."""
    if contrast > 0.0:
        grid = np.linspace(0.0, 1.0, 4097)
        shown = np.interp(shown, (1.0 - contrast) * grid + contrast * grid * grid * (3.0 - 2.0 * grid), grid)
    if tone == "linear":
        return np.asarray(shown, np.float64)
    if tone == "gamma":
        return np.asarray(shown, np.float64) ** 2.2
    return np.asarray(to_light(shown), np.float64)

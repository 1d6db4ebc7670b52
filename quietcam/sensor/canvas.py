"""The canvas that generated scenes are painted on: leaves, text and lights in linear light, then a lens."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quietcam.sensor.glyphs import GLYPHS, word

__all__ = ["Canvas", "fractal"]

Plane = NDArray[np.float32]


class Canvas:
    """A picture that is being painted.

    Args:
        vivid: spread of the colors' chroma.
        texture: contrast of textures, 0 to 1.
        roughness: how fast the amplitude of 1/f noise falls with frequency.

    Attributes:
        pixels: float32 ``(H, W, 3)``, linear light, 1 is white.
    """

    def __init__(
        self,
        height: int,
        width: int,
        rng: np.random.Generator,
        *,
        vivid: float,
        texture: float,
        roughness: float,
    ) -> None:
        self._rng = rng
        self._texture_depth = texture
        self._palette = _colors(rng, 8, vivid)
        cell = _cell(height, width)
        # Periodic, and large enough to cut a leaf out of it anywhere.
        self._grain = np.tile(_grain(rng, cell, roughness), (1 + math.ceil(height / cell), 1 + math.ceil(width / cell)))
        self.pixels = np.empty((height, width, 3), np.float32)
        self.pixels[:] = self._palette[0]

    def leaf(self, radius: float) -> None:
        """One ellipse, rectangle or polygon, with soft edges one pixel wide, textured and shaded."""
        rng = self._rng
        height, width = self.pixels.shape[:2]
        kind, turn, squeeze, cy, cx = rng.random(5).tolist()
        cy, cx = cy * (height + radius) - radius / 2, cx * (width + radius) - radius / 2
        reach = radius * 1.5
        y0, y1 = max(0, int(cy - reach)), min(height, int(cy + reach) + 2)
        x0, x1 = max(0, int(cx - reach)), min(width, int(cx + reach) + 2)
        if y0 >= y1 or x0 >= x1:
            return
        across, down = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
        ys = (np.arange(y0, y1, dtype=np.float32) - np.float32(cy))[:, np.newaxis] / np.float32(radius)
        xs = (np.arange(x0, x1, dtype=np.float32) - np.float32(cx)) / np.float32(radius)
        u = ys * np.float32(down) + xs * np.float32(across)
        v = ys * np.float32(across) - xs * np.float32(down)
        thin = np.float32(1.0 + 1.5 * squeeze)
        if kind < 0.5:
            distance = np.sqrt(u * u + v * v * (thin * thin))
        elif kind < 0.8:
            distance = np.maximum(np.abs(u), np.abs(v) * thin)
        else:
            distance = np.maximum(np.maximum(1.4 * u, 1.2 * v - 0.7 * u), -1.2 * v * thin - 0.7 * u)
        cover = np.clip((1 - distance) * np.float32(radius / (1.0 + squeeze)) + np.float32(0.5), 0, 1)
        shade = self._texture(u, v, radius)
        spot = self.pixels[y0:y1, x0:x1]
        paint = shade[..., np.newaxis] * self._color()
        paint -= spot
        paint *= cover[..., np.newaxis]
        spot += paint

    def _color(self) -> Plane:
        """A color near one of the palette's, brighter or darker."""
        rng = self._rng
        near = self._palette[int(rng.integers(len(self._palette)))]
        color: Plane = np.minimum(near * np.float32(math.exp(rng.normal(0.0, 0.5))), np.float32(0.95))
        return color

    def _texture(self, u: Plane, v: Plane, radius: float) -> Plane:
        """Factors for a leaf's color: a soft gradient, and on some leaves 1/f noise or stripes."""
        rng = self._rng
        kind, depth, tilt, bend, pitch, gloss = rng.random(6).tolist()
        shade: Plane = 1 + np.float32(0.5 * (tilt - 0.5)) * u
        shade += np.float32(0.5 * (bend - 0.5)) * v
        if gloss < 0.2:  # round, with a shine along its length
            shade += np.float32(3.0 * pitch) * np.exp(-((v - np.float32(bend - 0.5)) ** 2) * np.float32(20.0))
            shade -= np.float32(0.5) * np.minimum(v * v, np.float32(1.5))
        depth *= self._texture_depth
        if kind < 0.4:
            height, width = u.shape
            oy, ox = int(rng.integers(512)), int(rng.integers(512))
            oy %= self._grain.shape[0] - height + 1
            ox %= self._grain.shape[1] - width + 1
            shade *= np.exp(np.float32(0.5 * depth * depth) * self._grain[oy : oy + height, ox : ox + width])
        elif kind < 0.5 and radius > 6:
            wave = np.sin(u * np.float32(2 * math.pi * radius / (3.0 + 20.0 * pitch * pitch)))
            if bend > 0.5:  # bars with hard edges
                wave = np.clip(wave * 4, -1, 1)
            shade *= 1 + np.float32(0.6 * depth) * wave
        np.maximum(shade, np.float32(0.02), out=shade)
        return shade

    def text(self) -> None:
        """Paint a few lines of glyphs, upright or sideways, on a sheet of paper or directly on the picture."""
        rng = self._rng
        height, width = self.pixels.shape[:2]
        scale = int(rng.integers(1, max(2, min(7, height // 12, width // 40))))
        lines = int(rng.integers(1, 4))
        letters = int(rng.integers(2, 10))
        rows = [word("".join(rng.choice(list(GLYPHS), letters))) for _ in range(lines)]
        ink = np.pad(np.concatenate([np.pad(row, ((0, 2), (0, 0))) for row in rows]), ((2, 0), (2, 2)))
        ink = np.kron(ink, np.ones((scale, scale), np.float32))
        if rng.random() < 0.25:
            ink = np.rot90(ink)
        y, x = int(rng.integers(height)), int(rng.integers(width))
        spot = self.pixels[y : y + ink.shape[0], x : x + ink.shape[1]]
        ink = ink[: spot.shape[0], : spot.shape[1], np.newaxis]
        paper, letter = self._color(), self._color()
        if rng.random() < 0.6:
            spot[:] = paper
        if abs(float(letter.mean() - spot.mean())) < 0.1:
            letter = np.float32(0.9) - letter if spot.mean() < 0.4 else letter * np.float32(0.1)
        spot += ink * (np.clip(letter, 0.005, 0.95) - spot)

    def speck(self, strength: float) -> None:
        """A small light of one to three pixels; above 1 it is brighter than white."""
        rng = self._rng
        height, width = self.pixels.shape[:2]
        y, x = int(rng.integers(height)), int(rng.integers(width))
        size = int(rng.integers(1, 4))
        tint = np.exp(rng.normal(0.0, 0.4, 3)).astype(np.float32)
        self.pixels[y : y + size, x : x + size] = tint * np.float32(strength)

    def light(self, color: tuple[float, float, float]) -> None:
        """Light the scene with this color and strength, which decreases across the scene."""
        height, width = self.pixels.shape[:2]
        slope_y, slope_x = self._rng.uniform(-0.5, 0.5, 2)
        ys = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, np.newaxis, np.newaxis]
        xs = np.linspace(-0.5, 0.5, width, dtype=np.float32)[:, np.newaxis]
        fall = np.exp(np.float32(slope_y) * ys) * np.exp(np.float32(slope_x) * xs)
        self.pixels *= fall * np.array(color, np.float32)

    def blur(self, sigma: float) -> None:
        """Blur like a lens out of focus: a Gaussian of ``sigma`` pixels, mirrored at the edges."""
        self.pixels = _blur(self.pixels, sigma)


def _colors(rng: np.random.Generator, count: int, vivid: float) -> Plane:
    """Reflectances float32 ``(count, 3)``: log-normal brightness, and chroma that is mostly small."""
    brightness = np.clip(np.exp(rng.normal(-1.5, 0.9, (count, 1))), 0.01, 0.95)
    chroma = rng.normal(0.0, 1.0, (count, 1)) * (1.0, 0.0, -1.0)  # warm or cool
    chroma = chroma + rng.normal(0.0, 0.4, (count, 1)) * (-0.5, 1.0, -0.5)  # green or purple, less often
    colors = brightness * np.exp(vivid * chroma * rng.exponential(1.0, (count, 1)))
    reflectances: Plane = np.clip(colors, 0.003, 0.95).astype(np.float32)
    return reflectances


def fractal(rng: np.random.Generator, height: int, width: int, fall: float) -> Plane:
    """1/f noise ``(height, width)`` of variance 1, amplitude frequency to the power of minus ``fall``."""
    cell = _cell(height, width)
    return np.tile(_grain(rng, cell, fall), (math.ceil(height / cell), math.ceil(width / cell)))[:height, :width]


def _cell(height: int, width: int) -> int:
    """The side of one period of 1/f noise: a power of 2, at most 512."""
    return 1 << (min(max(height, width), 512) - 1).bit_length()


def _grain(rng: np.random.Generator, cell: int, fall: float) -> Plane:
    """Periodic noise ``(cell, cell)`` of variance 1, amplitude frequency to the power of minus ``fall``."""
    spectrum = np.fft.rfft2(rng.standard_normal((cell, cell), np.float32))
    frequency = np.hypot(np.fft.fftfreq(cell)[:, np.newaxis], np.fft.rfftfreq(cell))
    frequency[0, 0] = np.inf
    grain = np.fft.irfft2(spectrum / np.maximum(frequency, 4 / cell) ** fall, s=(cell, cell))
    grain /= grain.std()
    return grain.astype(np.float32)


def _blur(linear: Plane, sigma: float) -> Plane:
    """Gaussian blur of float32 ``(H, W, C)`` with mirrored edges."""
    reach = max(1, math.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        length = linear.shape[axis]
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(linear, pad, mode="symmetric")
        linear = np.zeros_like(linear)
        for offset, weight in enumerate(weights):
            window = wide[offset : offset + length] if axis == 0 else wide[:, offset : offset + length]
            linear += weight * window
    return linear

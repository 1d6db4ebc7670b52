"""Generates clean scenes (dead leaves, text, specks of light; walls at night), and makes noisy pairs from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.canvas import Canvas, fractal
from quietcam.sensor.noise import SIDD_LEVELS, Levels, SensorCamera, SensorNoise, random_isp
from quietcam.sensor.srgb import to_shown
from quietcam.sensor.traits import Traits, random_traits

__all__ = ["generate_scene", "generate_wall", "make_pair", "photograph"]

Plane = NDArray[np.float32]

_MOST_LEAVES = 4000  # a full frame has larger leaves rather than more
_FILL = 0.6  # the area of a leaf by that of a disc of its radius, on average
_NEAR = 0.1  # dB within which a pair meets the PSNR drawn from its band
_TRIES = 30
_MOST_PSNR = 80.0  # dB: value used for equal pictures, whose PSNR is infinite
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear sRGB


def generate_scene(height: int, width: int, seed: int, channels: int = 3) -> Image:
    """A clean scene: uint8 ``(height, width, channels)``, sRGB or gray, the same for the same arguments.

    Leaves cover each other, and the density of their radii falls with the third power, which gives the statistics
    of natural pictures (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001). The scene is
    painted in linear light, blurred as by a lens, and converted with the sRGB curve. One scene in three is dark,
    one in six nearly flat; in two of five the ground is out of focus.

    Raises:
        UsageError: a side below 16, a negative seed, or channels other than 1 or 3.
    """
    _check(height, width, seed, channels)
    rng = np.random.Generator(np.random.PCG64(seed))
    style = _Style.draw(rng, height, width)
    canvas = Canvas(height, width, rng, vivid=style.vivid, texture=style.texture, roughness=style.roughness)
    for radius in style.ground(rng, height * width):
        canvas.leaf(radius)
    if style.depth > 0.0:
        canvas.blur(style.depth)
    for radius in style.clutter(rng, height * width):
        canvas.leaf(radius)
    for _ in range(style.words):
        canvas.text()
    for _ in range(style.specks):
        canvas.speck(rng.uniform(2.0, 12.0) / style.exposure)
    canvas.light(style.lamp)
    canvas.blur(style.blur)
    return _show(canvas.pixels, channels)


def generate_wall(height: int, width: int, seed: int, channels: int = 3) -> Image:
    """A wall at night: dark and flat, where networks show woven grain and blotches first.

    Its light is drawn log-evenly from 0.003 to 0.1 of white, which are the levels 10 to 89 of 255, and falls off from
    one lamp. 0 to 4 straight edges divide it, of a contrast of about 20 %; its texture is at most 3 %; one in four has
    a few lights. Arguments and errors as of ``generate_scene``.
    """
    _check(height, width, seed, channels)
    rng = np.random.Generator(np.random.PCG64([seed, 10]))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    lamp_y, lamp_x = rng.uniform(-0.5, 1.5, 2) * (height, width)
    distance = side * rng.uniform(0.5, 3.0)
    fall = 1.0 / (1.0 + ((y - lamp_y) ** 2 + (x - lamp_x) ** 2) / distance**2)
    light = fall / fall.max() * _log_uniform(rng, 3e-3, 0.1)
    for _ in range(int(rng.integers(5))):
        turn, soft = rng.uniform(0.0, 2.0 * math.pi), _log_uniform(rng, 0.4, 3.0)
        across, down = math.cos(turn), math.sin(turn)
        beyond = (x - rng.uniform(0, width)) * across + (y - rng.uniform(0, height)) * down
        light *= np.exp(rng.normal(0.0, 0.2) * (0.5 + 0.5 * np.tanh(beyond / soft)))
    light *= 1.0 + rng.uniform(0.0, 0.03) * fractal(rng, height, width, rng.uniform(0.7, 1.6))
    color = np.exp(rng.normal(0.0, 0.3, 3) * (1.0, 0.3, 1.0))
    pixels = (light[..., np.newaxis] * (color / color.max())).astype(np.float32)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            row, column, size = (int(value) for value in rng.integers((0, 0, 1), (height, width, 4)))
            pixels[row : row + size, column : column + size] = np.exp(rng.normal(0.0, 0.4, 3))
    return _show(pixels, channels)


def make_pair(
    seed: int,
    size: int = 256,
    *,
    channels: int = 3,
    levels: Levels | SensorNoise = SIDD_LEVELS,
    traits: Traits | None = None,
    averaged: bool = True,
    band: tuple[float, float] | None = None,
) -> tuple[Image, Image]:
    """One generated scene through one random camera: ``(noisy, clean)``, uint8 ``(size, size, channels)``.

    The same arguments give the same pair; another ``band`` or other ``levels`` do not change scene and pipeline.
    By default, the clean side is the average of a long burst, like the ground truths of SIDD: noise that is clipped
    at black lifts its shadows.

    Args:
        levels: how noisy cameras are; or the noise of one sensor.
        traits: of the camera. By default they are drawn: a few cameras bin, have hot pixels, write JPEG. If these alone
            keep the pair out of the band, the camera has none.
        averaged: False for a clean side without any noise, whose shadows are darker.
        band: lowest and highest PSNR of noisy against clean, dB. The camera's noise is scaled, shot and read
            alike, until the pair reaches a value drawn evenly from the band.

    Raises:
        UsageError: ``band`` is not valid; or as in ``generate_scene``.
        DataError: no noise brings this scene into the band.
    """
    scene = generate_scene(size, size, seed, channels)
    return photograph(scene, seed, levels=levels, traits=traits, averaged=averaged, band=band)


def photograph(
    scene: Image,
    seed: int,
    *,
    levels: Levels | SensorNoise = SIDD_LEVELS,
    traits: Traits | None = None,
    averaged: bool = True,
    band: tuple[float, float] | None = None,
) -> tuple[Image, Image]:
    """Photograph a clean ``scene`` with one random camera: ``(noisy, clean)``, uint8 of its shape; as ``make_pair``."""
    if band is not None and not 5.0 <= band[0] < band[0] + 3 * _NEAR <= band[1] <= 50.0:
        raise UsageError(f"A band must be two rising PSNRs between 5 and 50 dB. Received: {band[0]} to {band[1]}.")
    # Separate random streams: the scene's draws must not affect the camera, nor the camera's draws the grain.
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    isp = random_isp(rng)
    noise = levels.draw(rng) if isinstance(levels, Levels) else levels
    drawn = traits is None
    if traits is None:
        traits = random_traits(np.random.Generator(np.random.PCG64([seed, 3])), noise.shadows)
    camera = SensorCamera(noise, isp, traits)
    wanted = None if band is None else rng.uniform(band[0] + _NEAR, band[1] - _NEAR)
    decibels, slope = 0.0, -1.0
    last: tuple[float, float] | None = None
    for _ in range(_TRIES):
        camera.noise = noise.scaled(10.0 ** (decibels / 10.0))
        noisy = camera.expose(scene, np.random.Generator(np.random.PCG64([seed, 2])))
        clean = camera.clean(scene, averaged=averaged)
        if wanted is None:
            return noisy, clean
        reached = min(psnr(noisy, clean), _MOST_PSNR)
        if abs(reached - wanted) <= _NEAR:
            return noisy, clean
        # A dB of variance costs a dB if nothing clips, and less if much clips: a bounded secant.
        if last is not None:
            slope = float(np.clip((reached - last[1]) / (decibels - last[0]), -1.5, -0.2))
        last = (decibels, reached)
        decibels += (wanted - reached) / slope
    if drawn:  # with JPEG, hot pixels or few bits, the band may be out of reach at any noise level
        return photograph(scene, seed, levels=levels, traits=Traits(), averaged=averaged, band=band)
    raise DataError(
        f"Noise alone must bring a scene into its band of PSNR. Received: seed {seed}, band {band} dB. "
        "Choose another seed, or a band between 15 and 45 dB."
    )


@dataclass(frozen=True)
class _Style:
    """The values that are drawn once per scene."""

    smallest: float  # radius of a leaf, pixels
    largest: float
    cover: float  # the area of the leaves above the ground, divided by that of the scene
    exposure: float
    lamp: tuple[float, float, float]  # the light's color and strength
    vivid: float  # spread of the leaves' chroma
    texture: float  # contrast of textures, 0 to 1
    roughness: float  # fall of the amplitude of 1/f noise with frequency
    words: int
    specks: int
    depth: float  # sigma by which the ground is out of focus, pixels
    blur: float  # sigma of the lens, pixels

    @classmethod
    def draw(cls, rng: np.random.Generator, height: int, width: int) -> _Style:
        side, parts = min(height, width), height * width / 65536
        flat, dark, lights = rng.random(3) < (1 / 6, 1 / 3, 2 / 5)
        smallest = side / 5 if flat else _log_uniform(rng, 3.0, 30.0)
        warmth, tint = rng.normal(0.0, (0.12, 0.04))
        exposure = _log_uniform(rng, 0.05, 0.3) if dark else _log_uniform(rng, 0.3, 1.4)
        return cls(
            smallest=smallest,
            largest=max(smallest * 2.0, side * rng.uniform(0.35, 0.6)),
            cover=rng.uniform(0.3, 1.3),
            exposure=exposure,
            lamp=(exposure * math.exp(warmth), exposure * math.exp(tint), exposure * math.exp(-warmth)),
            vivid=_log_uniform(rng, 0.12, 0.6),
            texture=0.15 if flat else 1.0,
            roughness=rng.uniform(0.7, 1.6),
            words=0 if flat else int(rng.poisson(1.2 * parts)),
            specks=int(rng.poisson((12 if dark else 2) * parts)) if lights else 0,
            depth=_log_uniform(rng, 1.5, 5.0) if rng.random() < 0.4 else 0.0,
            blur=_log_uniform(rng, 0.5, 2.0),
        )

    def ground(self, rng: np.random.Generator, area: int) -> NDArray[np.float64]:
        """Radii of large leaves, enough to hide the background."""
        return _draw_radii(rng, min(4.0 * self.smallest, self.largest / 2.0), self.largest, 2.0 * area)

    def clutter(self, rng: np.random.Generator, area: int) -> NDArray[np.float64]:
        """Radii of the leaves of all sizes above the ground."""
        return _draw_radii(rng, self.smallest, self.largest, self.cover * area)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _draw_radii(rng: np.random.Generator, small: float, large: float, area: float) -> NDArray[np.float64]:
    """Radii of leaves that fill ``area`` together, with a density of r^-3 between two limits (by inversion)."""
    mean_area = _FILL * 2.0 * math.pi * math.log(large / small) / (small**-2 - large**-2)
    count = math.ceil(area / mean_area)
    if count > _MOST_LEAVES:
        return _draw_radii(rng, 1.25 * small, large, area)
    share = rng.random(count)
    return (small**-2 - share * (small**-2 - large**-2)) ** -0.5


def _check(height: int, width: int, seed: int, channels: int) -> None:
    if min(height, width) < 16:
        raise UsageError(f"A scene must be at least 16 pixels on each side. Received: {height}x{width}.")
    if channels not in (1, 3):
        raise UsageError(f"A scene must have 3 channels or 1. Received: {channels}.")
    if seed < 0:
        raise UsageError(f"A seed must be a whole number of at least 0. Received: {seed}.")


def _show(linear: Plane, channels: int) -> Image:
    """Linear light to uint8 by the sRGB curve; one channel is luminance."""
    if channels == 1:
        linear = (linear @ np.array(_LUMINANCE, np.float32))[..., np.newaxis]
    shown: Image = np.rint(to_shown(np.clip(linear, 0.0, 1.0)) * 255.0).astype(np.uint8)
    return shown

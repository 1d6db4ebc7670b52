"""Cameras of every kind: phones, Raspberry Pi cameras, machine cameras, and phones at night.

``random_camera`` of ``quietcam.sensor.noise`` draws phones like SIDD's. Networks that were trained only on these leave
fine white grain on other cameras' pictures, and coarse grain on enlarged frames. So this module draws every kind of
camera, and the processing after the sensor. ``KIND_SHARES`` and ``draw_postprocessing`` give the distributions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from quietcam.image import Image, check_image, to_gray, to_rgb
from quietcam.sensor.isp import IDENTITY, PHASES, Isp
from quietcam.sensor.noise import SENSORS, SIDD_LEVELS, Levels, SensorCamera, SensorNoise, random_isp, sensor
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.srgb import to_light, to_shown
from quietcam.sensor.traits import Traits, random_traits

__all__ = [
    "KIND_SHARES",
    "NIGHT_LEVELS",
    "DrawnCamera",
    "camera_of",
    "draw_camera",
    "draw_postprocessing",
    "photograph_any_camera",
]

KIND_SHARES = {"phone": 0.35, "pi": 0.25, "machine": 0.25, "night": 0.15}
"""Shares of the kinds of cameras."""

NIGHT_LEVELS = Levels(math.log(1.5e-2), 0.7, 4e-3, 9e-2, -1.193, 1.534, 0.504)
"""Beyond SIDD's levels, whose noisiest phone has a shot noise of 0.022. Read noise depends on it as in SIDD."""


@dataclass(frozen=True)
class DrawnCamera:
    """One camera, the light on its scene, and what happens to its frames.

    Attributes:
        kind: a key of ``KIND_SHARES``.
        noise, isp, traits: as of a ``SensorCamera``.
        tint: factors of the scene's red, green and blue light, 0 to 1: a dim scene, or a color cast that white
            balance does not remove.
        gray: whether the sensor is monochrome; its frames have three equal channels.
        postprocessing: what happens to frames after the pipeline.
    """

    kind: str
    noise: SensorNoise
    isp: Isp
    traits: Traits
    postprocessing: Postprocessing
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gray: bool = False

    def see(self, scene: Image) -> Image:
        """A scene, uint8 ``(H, W, C)``, in this light, at the sensor's size, and gray if the sensor is monochrome."""
        seen = self.postprocessing.before(_lit(scene, self.tint))
        return to_gray(seen) if self.gray else seen

    def photograph(self, scene: Image, rng: np.random.Generator) -> tuple[Image, Image]:
        """``(noisy, clean)`` of a scene: uint8 of its shape. The clean picture is the mean of an endless burst."""
        height, width, channels = check_image(scene).shape
        seen = self.see(scene)
        camera = SensorCamera(self.noise, self.isp, self.traits)
        noisy = self.postprocessing.noisy(camera.expose(seen, rng), height, width)
        clean = self.postprocessing.clean(camera.clean(seen, averaged=True), height, width)
        return (to_rgb(noisy), to_rgb(clean)) if channels == 3 else (noisy, clean)


def photograph_any_camera(scene: Image, seed: int) -> tuple[Image, Image]:
    """A clean ``scene``, uint8 ``(H, W, C)``, as one drawn camera takes it: ``(noisy, clean)``, uint8 of its shape.

    The same arguments give the same pair.
    """
    return camera_of(seed).photograph(scene, np.random.Generator(np.random.PCG64([seed, 7])))


def camera_of(seed: int) -> DrawnCamera:
    """The camera that ``photograph_any_camera`` uses for this seed."""
    return draw_camera(np.random.Generator(np.random.PCG64([seed, 6])))


def draw_camera(rng: np.random.Generator) -> DrawnCamera:
    """One camera of any kind. Deterministic by the state of ``rng``."""
    kind = str(rng.choice([*KIND_SHARES], p=[*KIND_SHARES.values()]))
    if kind == "machine":
        return _machine(rng)
    if kind == "pi":
        name = sorted(SENSORS)[int(rng.integers(len(SENSORS)))]
        noise = sensor(name, math.exp(rng.uniform(0.0, math.log(48.0))))
    else:
        noise = (NIGHT_LEVELS if kind == "night" else SIDD_LEVELS).draw(rng)
    isp = random_isp(rng)
    traits = _with_patterns(replace(random_traits(rng, noise.shadows), jpeg=None), noise, rng)
    dim = rng.uniform(0.1, 0.6) if kind == "night" and rng.random() < 0.5 else 1.0
    return DrawnCamera(kind, noise, isp, traits, draw_postprocessing(rng), (dim, dim, dim))


def draw_postprocessing(rng: np.random.Generator) -> Postprocessing:
    """Draw what happens to frames after the pipeline: nothing in half of all cases.

    In the other half, each of these is drawn independently: three in ten are shrunk, by 1.2 to 3; three in ten are
    enlarged, by 1.15 to 2.5; three in ten have their colors blurred by 0.7 to 2.5 pixels; two in ten are
    smoothed slightly; three in ten are sharpened by up to 1; half are compressed, two thirds of them as JPEG of quality
    50 to 96, the others as video of quality 35 to 90.
    """
    if rng.random() < 0.5:
        return Postprocessing()
    scaled, chroma, smooth, sharpen, codec = rng.random(5).tolist()
    shrink, enlarge = math.exp(rng.uniform(math.log(1.2), math.log(3.0))), rng.uniform(1.15, 2.5)
    amounts = rng.random(4).tolist()
    jpeg = amounts[3] < 2 / 3
    return Postprocessing(
        scale=shrink if scaled < 0.3 else 1 / enlarge if scaled < 0.6 else 1.0,
        chroma=0.7 + 1.8 * amounts[0] if chroma < 0.3 else 0.0,
        smooth=3.0 + 12.0 * amounts[1] if smooth < 0.2 else 0.0,
        sharpen=0.2 + 0.8 * amounts[2] if sharpen < 0.3 else 0.0,
        codec=("jpeg" if jpeg else "vp8") if codec < 0.5 else None,
        quality=int(rng.integers(50, 97) if jpeg else rng.integers(35, 91)),
    )


def _machine(rng: np.random.Generator) -> DrawnCamera:
    """A machine camera: no color matrix, often no white balance, a plain tone curve, often dim, one in four gray.

    Its shot noise is drawn log-evenly from 0.0003 to 0.03, read noise as in SIDD. Half of them bin or skip on the
    sensor, so that their grain is white.
    """
    shot = math.exp(rng.uniform(math.log(3e-4), math.log(3e-2)))
    noise = SensorNoise(shot, math.exp(-1.193 + 1.534 * math.log(shot) + rng.normal(0.0, 0.504)))
    balanced = rng.random() < 0.4
    isp = Isp(
        red_gain=rng.uniform(1.3, 2.2) if balanced else 1.0,
        blue_gain=rng.uniform(1.2, 2.1) if balanced else 1.0,
        matrix=IDENTITY,
        exposure=rng.uniform(0.7, 1.0),
        demosaic="malvar" if rng.random() < 0.5 else "bilinear",
        phase=list(PHASES)[int(rng.integers(len(PHASES)))],
        tone=str(rng.choice(["srgb", "gamma", "linear"], p=[0.45, 0.35, 0.2])),
    )
    traits = Traits(
        bits=int(rng.choice([8, 10, 12])),
        hot=10.0 ** rng.uniform(-5.5, -3.5) if rng.random() < 0.15 else 0.0,
        serial=int(rng.integers(2**31)),
    )
    dim = math.exp(rng.uniform(math.log(0.08), 0.0)) if rng.random() < 0.6 else 1.0
    cast = (1.0, 1.0, 1.0) if balanced else (rng.uniform(0.45, 1.0), 1.0, rng.uniform(0.4, 1.0))
    postprocessing = draw_postprocessing(rng)
    if rng.random() < 0.5 and postprocessing.scale == 1.0:
        postprocessing = replace(postprocessing, scale=float(rng.choice([2.0, 3.0])))
    return DrawnCamera(
        "machine",
        noise,
        isp,
        _with_patterns(traits, noise, rng),
        postprocessing,
        (dim * cast[0], dim * cast[1], dim * cast[2]),
        gray=rng.random() < 0.25,
    )


def _with_patterns(traits: Traits, noise: SensorNoise, rng: np.random.Generator) -> Traits:
    """One in ten has columns of 5 to 20 % of the noise in its shadows, one in eight uneven sites of 0.3 to 1.5 %, one
    in twelve sees lamps that swing by 1 to 6 %."""
    column, uneven, lamps = rng.random(3).tolist()
    amounts = rng.random(3).tolist()
    return replace(
        traits,
        column=noise.shadows * (0.05 + 0.15 * amounts[0]) if column < 1 / 10 else 0.0,
        uneven=0.003 + 0.012 * amounts[1] if uneven < 1 / 8 else 0.0,
        lamps=0.01 + 0.05 * amounts[2] if lamps < 1 / 12 else 0.0,
    )


def _lit(scene: Image, tint: tuple[float, float, float]) -> Image:
    """A scene under other light: each channel is multiplied in linear light."""
    if tint == (1.0, 1.0, 1.0):
        return scene
    light = to_light(np.arange(256) / 255.0)
    shares = tint if scene.shape[2] == 3 else (tint[1],)
    tables = [np.rint(255.0 * to_shown(light * share)).astype(np.uint8) for share in shares]
    return np.stack([table[scene[..., index]] for index, table in enumerate(tables)], axis=2)

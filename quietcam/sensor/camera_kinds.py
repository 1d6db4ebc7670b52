"""Cameras of every kind: phones, Raspberry Pi cameras, machine cameras, and phones at night.

``random_camera`` of ``quietcam.sensor.noise`` draws phones like SIDD's. Networks that were trained only on these leave
fine white grain on other cameras' pictures, and coarse grain on enlarged frames. So this module draws every kind of
camera, and the processing after the sensor. The distributions stand in ``KIND_SHARES``, in the docstrings of the
functions that draw, and in docs/explanation/noise-model.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from quietcam.image import Image, check_image, to_gray, to_rgb
from quietcam.sensor.h264 import H264, PRESETS
from quietcam.sensor.isp import IDENTITY, PHASES, Isp
from quietcam.sensor.noise import SENSORS, SIDD_LEVELS, Levels, SensorCamera, SensorNoise, random_isp, sensor
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.srgb import to_light, to_shown
from quietcam.sensor.traits import Flicker, Traits, random_traits

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


_BEST_CRF, _WORST_CRF = 18, 38  # of the H.264 of cameras
_MOST_LEAD = 6  # frames: after so many, a still scene has the blotches that stay


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
        way, coder = self.postprocessing, self.postprocessing.coder()
        flicker = Flicker.draw(rng) if way.lead else None
        for number in range(way.lead + 1):
            lamps = flicker.light(self.traits, len(seen), number) if flicker else None
            noisy = way.noisy(camera.expose(seen, rng, lamps=lamps), height, width, coder)
        clean = way.clean(camera.clean(seen, averaged=True), height, width)
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
    camera = _with_kind(rng)
    # What was added later is drawn by another generator, so that the seeds of older sets keep their cameras.
    return _with_more(camera, np.random.Generator(np.random.PCG64([camera.traits.serial, 3])))


def _with_kind(rng: np.random.Generator) -> DrawnCamera:
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
    50 to 96, the others as H.264 of crf 18 to 38.
    """
    if rng.random() < 0.5:
        return Postprocessing()
    scaled, chroma, smooth, sharpen, codec = rng.random(5).tolist()
    shrink, enlarge = math.exp(rng.uniform(math.log(1.2), math.log(3.0))), rng.uniform(1.15, 2.5)
    amounts = rng.random(4).tolist()
    jpeg = amounts[3] < 2 / 3
    quality = int(rng.integers(50, 97) if jpeg else rng.integers(35, 91))
    return Postprocessing(
        scale=shrink if scaled < 0.3 else 1 / enlarge if scaled < 0.6 else 1.0,
        chroma=0.7 + 1.8 * amounts[0] if chroma < 0.3 else 0.0,
        smooth=3.0 + 12.0 * amounts[1] if smooth < 0.2 else 0.0,
        sharpen=0.2 + 0.8 * amounts[2] if sharpen < 0.3 else 0.0,
        jpeg=quality if jpeg and codec < 0.5 else None,
        h264=H264(_BEST_CRF + (90 - quality) * 21 // 56) if not jpeg and codec < 0.5 else None,
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


def _with_more(camera: DrawnCamera, rng: np.random.Generator) -> DrawnCamera:
    """The camera with traits that are drawn for every kind, each independently.

    - Light: of phones and Raspberry Pi cameras, one in six has a dim scene, 0.05 to 0.5 of its light. Of all that are
      no machine cameras, one in eight has a color cast: red and blue are 0.5 to 1 of their light.
    - Scale: of the cameras that are no machine cameras and do not scale, one in eight shrinks by 2, as for video: its
      grain is nearly white.
    - The camera's denoiser: one in six cameras that are no machine cameras removes fine grain by 0.5 to 3 of its
      deviations, which leaves the coarse part. One in six at night removes the colors.
    - Compression: of the uncompressed frames of Raspberry Pi cameras and of phones at night, one in four becomes H.264
      of crf 18 to 38. Each encoder has one of the ``PRESETS``, a key frame every 8 to 60 frames, and 0 to 6 frames
      since the last one.
    - A viewer enlarges one in twelve frames, by 1.15 to 2. Half of all that are enlarged are so bilinearly.
    - One in eight has sites with offsets of 5 to 30 % of the noise in its shadows.
    """
    dim, cast, cored, colorless, coded, zoomed, linear, offset = rng.random(8).tolist()
    amounts = rng.random(10).tolist()
    halved = rng.random()
    machine, way, traits = camera.kind == "machine", camera.postprocessing, camera.traits
    tint = camera.tint
    if dim < 1 / 6 and camera.kind in ("phone", "pi"):
        tint = _times(tint, (0.05 * 10.0 ** amounts[0],) * 3)
    if cast < 1 / 8 and not machine:
        tint = _times(tint, (1.0 - 0.5 * amounts[1], 1.0, 1.0 - 0.5 * amounts[2]))
    h264 = way.h264
    if coded < 1 / 4 and camera.kind in ("pi", "night") and way.jpeg is None and h264 is None:
        h264 = H264(_BEST_CRF + int((_WORST_CRF - _BEST_CRF + 1) * amounts[3]))
    if h264 is not None:
        preset = PRESETS[int(len(PRESETS) * amounts[4])]
        gop, position = int(8 * (60 / 8) ** amounts[5]), int((_MOST_LEAD + 1) * amounts[6])
        h264 = H264(h264.crf, preset, gop, position)
    way = replace(
        way,
        scale=2.0 if halved < 1 / 8 and not machine and way.scale == 1.0 else way.scale,
        cored=0.5 + 2.5 * amounts[7] if cored < 1 / 6 and not machine else 0.0,
        colorless=colorless < 1 / 6 and camera.kind == "night",
        h264=h264,
        zoom=1.15 + 0.85 * amounts[8] if zoomed < 1 / 12 else 1.0,
        linear=linear < 0.5 and (way.scale < 1.0 or zoomed < 1 / 12),
    )
    if offset < 1 / 8:
        traits = replace(traits, offset=camera.noise.shadows * (0.05 + 0.25 * amounts[9]))
    return replace(camera, tint=tint, traits=traits, postprocessing=way)


def _times(tint: tuple[float, float, float], factors: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (share * factor for share, factor in zip(tint, factors, strict=True))
    return red, green, blue


def _lit(scene: Image, tint: tuple[float, float, float]) -> Image:
    """A scene under other light: each channel is multiplied in linear light."""
    if tint == (1.0, 1.0, 1.0):
        return scene
    light = to_light(np.arange(256) / 255.0)
    shares = tint if scene.shape[2] == 3 else (tint[1],)
    tables = [np.rint(255.0 * to_shown(light * share)).astype(np.uint8) for share in shares]
    return np.stack([table[scene[..., index]] for index, table in enumerate(tables)], axis=2)

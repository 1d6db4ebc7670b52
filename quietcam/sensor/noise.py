"""Noise models: Gaussian, salt-and-pepper, and shot + read noise on a sensor's raw signal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, UsageError
from quietcam.image import Image, check_image
from quietcam.sensor.isp import PHASES, Isp, Matrix, develop, mosaic, to_linear
from quietcam.sensor.traits import Traits, random_traits

__all__ = [
    "SENSORS",
    "SIDD_LEVELS",
    "Levels",
    "SensorCamera",
    "SensorNoise",
    "gaussian",
    "noisy_frame",
    "random_camera",
    "random_isp",
    "salt_and_pepper",
    "sensor",
    "sensor_pair",
]


def gaussian(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add white Gaussian noise of standard deviation ``sigma``, in steps of 255; round and clip to uint8.

    Raises:
        UsageError: ``sigma`` is negative or not finite.
        DataError: ``image`` is not an image.
    """
    if not (math.isfinite(sigma) and sigma >= 0.0):
        raise UsageError(f"sigma must be at least 0, in steps of 255. Received: {sigma}.")
    check_image(image)
    noisy: NDArray[np.float32] = rng.standard_normal(image.shape, np.float32) * np.float32(sigma) + image
    return np.rint(np.clip(noisy, 0.0, 255.0)).astype(np.uint8)


def salt_and_pepper(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Make a ``share`` of the pixels, 0 to 1, black or white in all channels, half of them each on average.

    Raises:
        UsageError: ``share`` does not lie in [0, 1].
        DataError: ``image`` is not an image.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"The share of salt and pepper must lie in [0, 1]. Received: {share}.")
    check_image(image)
    draw = rng.random(image.shape[:2])
    noisy = image.copy()
    noisy[draw < share / 2.0] = 0
    noisy[(draw >= share / 2.0) & (draw < share)] = 255
    return noisy


@dataclass(frozen=True)
class SensorNoise:
    """Shot and read noise of a sensor: variance = ``shot`` * signal + ``read``, signal in [0, 1]."""

    shot: float
    read: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0.0 for value in (self.shot, self.read)):
            raise UsageError(f"shot and read noise must be at least 0. Received: shot {self.shot}, read {self.read}.")

    @property
    def shadows(self) -> float:
        """Standard deviation of the noise at a signal of 2 % of the range."""
        return math.sqrt(self.read + 0.02 * self.shot)

    def scaled(self, factor: float) -> SensorNoise:
        """The same sensor with ``factor`` times the variance at every signal."""
        return SensorNoise(self.shot * factor, self.read * factor)

    def variance(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Variance of the noise at each value of a clean raw signal in [0, 1]."""
        return signal * np.float32(self.shot) + np.float32(self.read)

    def expose(self, raw: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A noisy reading of the clean mosaic ``raw``, clipped at black and at white as raw pipelines do.

        Photon counts are drawn from a normal distribution; real counts below about ten photons are more skewed.
        """
        noisy = np.sqrt(np.maximum(self.variance(raw), 0.0))
        noisy *= rng.standard_normal(raw.shape, np.float32)
        noisy += raw
        return np.clip(noisy, 0.0, 1.0, out=noisy)

    def average(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of infinitely many exposures of the clean mosaic ``raw``: clipping makes black lighter and white
        darker.

        A limit at a distance d moves the mean of a normal value of deviation s by s * e(d / s), where
        e(t) = phi(t) - t * (1 - Phi(t)).
        """
        deviation = np.maximum(np.sqrt(self.variance(raw)), np.float32(1e-12))
        moved = np.interp(raw / deviation, *_CUT) - np.interp((1 - raw) / deviation, *_CUT)
        mean: NDArray[np.float32] = raw + deviation * moved.astype(np.float32)
        return mean


def _cut(t: float) -> float:
    """e(t) of ``SensorNoise.average``."""
    density = math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
    return density - t * 0.5 * math.erfc(t / math.sqrt(2.0))


_STEPS = np.linspace(0.0, 6.0, 601)
_CUT = (_STEPS, np.array([_cut(t) for t in _STEPS[:-1]] + [0.0]))


class SensorCamera:
    """One sensor and its pipeline. It is fast if the same scene is exposed repeatedly.

    Its traits, none by default, change only the noisy frames: the clean ones have no hot pixels, steps or JPEG.

    Example:
        >>> camera = SensorCamera(sensor("imx219", gain=8), Isp())
        >>> noisy = camera.expose(scene, rng)
    """

    def __init__(self, noise: SensorNoise, isp: Isp, traits: Traits | None = None) -> None:
        self.noise = noise
        self.isp = isp
        self.traits = traits or Traits()
        self._scene: Image | None = None
        self._raw: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def look(self, scene: Image) -> NDArray[np.float32]:
        """The clean mosaic of ``scene``: float32 ``(H, W)``.

        It is kept for the next call with the same array, so a scene must not be changed in place.

        Raises:
            DataError: ``scene`` is not an image, or has a side below 3.
        """
        if scene is not self._scene:
            check_image(scene, "scene")
            if min(scene.shape[:2]) < 3:
                raise DataError(f"A Bayer mosaic needs 3x3 pixels or more. Received: shape={scene.shape}.")
            self._raw = mosaic(to_linear(scene, self.isp), self.isp.phase)
            self._scene = scene
        return self._raw

    def clean(self, scene: Image, *, averaged: bool = False) -> Image:
        """The ground truth of its frames: uint8, of the scene's shape.

        Args:
            averaged: False gives the picture that the camera would deliver without noise, True the mean of an infinite
                burst in raw. They differ if noise is clipped: the mean has lifted shadows.
        """
        raw = self.look(scene)
        return develop(self.noise.average(raw) if averaged else raw, self.isp, scene.shape[2])

    def expose(self, scene: Image, rng: np.random.Generator, *, lamps: NDArray[np.float32] | None = None) -> Image:
        """One noisy frame of ``scene``: uint8, of its shape. A new exposure at every call.

        Args:
            lamps: factors of the light on each row, ``(H, 1)``. By default a wave is drawn if ``traits`` has flickering
                lamps.
        """
        traits = self.traits
        signal = traits.fixed(traits.leak(self.look(scene)))
        if traits.lamps:
            signal = signal * (traits.light(len(signal), rng) if lamps is None else lamps)
        if traits.row:
            signal = signal + traits.rows(len(signal), rng)
        raw = self.noise.expose(signal, rng)
        for _ in range(traits.binning**2 - 1):
            raw += self.noise.expose(signal, rng)
        raw /= np.float32(traits.binning**2)
        return traits.deliver(develop(traits.convert(raw), self.isp, scene.shape[2]))


def noisy_frame(scene: Image, noise: SensorNoise, isp: Isp, rng: np.random.Generator) -> Image:
    """One noisy frame of a clean ``scene``. For many frames of one scene, use one ``SensorCamera``."""
    return SensorCamera(noise, isp).expose(scene, rng)


def sensor_pair(
    scene: Image, noise: SensorNoise, isp: Isp, rng: np.random.Generator, *, averaged: bool = False
) -> tuple[Image, Image]:
    """Photograph a ``scene`` with and without noise: ``(noisy, clean)``, uint8 of the scene's shape.

    The clean side passes the same pipeline without noise, so it has the softness of a real ground truth; for
    ``averaged`` see ``SensorCamera.clean``. Noise of 0 gives two equal pictures.
    """
    camera = SensorCamera(noise, isp)
    return camera.expose(scene, rng), camera.clean(scene, averaged=averaged)


@dataclass(frozen=True)
class Levels:
    """How noisy cameras are: ln shot is normal within limits, and ln read a line over ln shot, with scatter.

    Attributes:
        mean, spread: of ln shot.
        low, high: the limits of shot.
        read_at_one, read_slope: ln read = read_at_one + read_slope * ln shot.
        read_scatter: standard deviation of ln read around that line.
    """

    mean: float
    spread: float
    low: float
    high: float
    read_at_one: float
    read_slope: float
    read_scatter: float

    def draw(self, rng: np.random.Generator) -> SensorNoise:
        log_shot = float(np.clip(rng.normal(self.mean, self.spread), math.log(self.low), math.log(self.high)))
        log_read = self.read_at_one + self.read_slope * log_shot + rng.normal(0.0, self.read_scatter)
        return SensorNoise(math.exp(log_shot), math.exp(log_read))


SIDD_LEVELS = Levels(-6.712, 1.221, 1.18e-4, 2.2e-2, -1.193, 1.534, 0.504)
"""Fitted to the noise level functions of SIDD's 160 scene instances (Abdelhamed, Lin and Brown, CVPR 2018;
the green channel): shot to all of them, read by least squares to the 113 whose phone reports any."""


@dataclass(frozen=True)
class _Tuned:
    """A sensor's noise from libcamera's tuning file (``rpi.noise``, BSD-2-Clause)."""

    slope: float
    black: int
    electrons: float  # of read noise, which the tuning files leave out: their constant is 0 in all four


SENSORS = {
    "imx219": _Tuned(3.661, 4096, 2.5),
    "imx477": _Tuned(2.809, 4096, 3.0),
    "imx708": _Tuned(1.856, 4096, 2.5),
    "ov5647": _Tuned(4.371, 1024, 3.0),
}
GAINS = (1.0, 64.0)


def sensor(name: str, gain: float = 1.0) -> SensorNoise:
    """A Raspberry Pi camera's sensor at an analog gain.

    libcamera's noise profile states: standard deviation = constant + slope * sqrt(pixel), on a 16-bit scale
    above black, both times sqrt(gain). The constant is 0 in all four tuning files, so with the range
    65535 - black as 1: shot = slope^2 * gain / (65535 - black). One electron is then worth ``shot`` of the
    range, and read noise of e electrons is (e * shot)^2; e is a usual figure for such sensors (2.5 to 3), not
    one of the tuning files'.

    Raises:
        UsageError: the sensor is unknown, or the gain outside 1 to 64.
    """
    tuned = SENSORS.get(name)
    if tuned is None:
        raise UsageError(f"Unknown sensor. Received: {name}. Known: {', '.join(sorted(SENSORS))}.")
    if not GAINS[0] <= gain <= GAINS[1]:
        raise UsageError(f"The analog gain must lie in {GAINS[0]:g} to {GAINS[1]:g}. Received: {gain}.")
    shot = tuned.slope**2 * gain / (65535 - tuned.black)
    return SensorNoise(shot, (tuned.electrons * shot) ** 2)


def random_isp(rng: np.random.Generator) -> Isp:
    """Draw a pipeline like those of phones and small cameras. Deterministic by the state of ``rng``.

    White balance ranges from daylight to lamp light. Color matrices, gains and the demosaic's detail are near those
    that were fitted to the noise of SIDD's five phones (training pictures only): most of the loss of red goes to green,
    and red may gain from blue; green may gain from red and from blue; blue loses to green. One camera in twelve has the
    bilinear demosaic, whose colors share no noise; no picture of SIDD looks like that.
    """
    warmth = rng.random()  # 0 daylight: much red gain, 1 lamp light: much blue gain
    red = (rng.uniform(0.25, 0.95), rng.uniform(-0.5, 0.3) - 0.1 * warmth)  # red's loss to green and to blue
    green = (rng.uniform(0.0, 0.2), rng.uniform(-0.3, 0.4))
    blue = (rng.uniform(-0.15, 0.1), rng.uniform(0.25, 0.85))
    matrix: Matrix = (
        (1.0 + sum(red), -red[0], -red[1]),
        (-green[0], 1.0 + sum(green), -green[1]),
        (-blue[0], -blue[1], 1.0 + sum(blue)),
    )
    return Isp(
        red_gain=1.85 - 0.6 * warmth + rng.uniform(-0.2, 0.2),
        blue_gain=1.2 + 0.9 * warmth + rng.uniform(-0.2, 0.2),
        matrix=matrix,
        exposure=rng.uniform(0.6, 1.0),
        demosaic="malvar" if rng.random() < 11 / 12 else "bilinear",
        detail=(rng.uniform(0.95, 1.3), rng.uniform(0.7, 1.0), rng.uniform(0.7, 1.0)),
        contrast=rng.uniform(0.0, 0.4),
        phase=list(PHASES)[int(rng.integers(len(PHASES)))],
    )


def random_camera(rng: np.random.Generator, levels: Levels = SIDD_LEVELS) -> SensorCamera:
    """Draw a typical camera: its noise from ``levels``, and a matching pipeline and traits."""
    noise, isp = levels.draw(rng), random_isp(rng)
    return SensorCamera(noise, isp, random_traits(rng, noise.shadows))

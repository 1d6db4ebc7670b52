"""A sequence of clean frames through one camera.

Shot and read noise, row noise and rounding are new in every frame. Uneven sites, columns and hot pixels stay, and so do
white balance, pipeline and scaling. The bands of flickering lamps keep their period and move on evenly. The whole clip
goes through one encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image, as_channels
from quietcam.sensor.camera_kinds import DrawnCamera
from quietcam.sensor.motion import Instant
from quietcam.sensor.noise import SensorCamera
from quietcam.sensor.traits import Flicker

__all__ = ["FilmedFrame", "Mask", "film", "find_moving"]

Mask = NDArray[np.bool_]
"""bool ``(H, W)``."""

_MARGIN = 2  # pixels by which what moves is widened, so that its flat parts count, too


@dataclass(frozen=True, eq=False)
class FilmedFrame:
    """One frame of a sequence.

    Attributes:
        noisy, clean: uint8 ``(H, W, 3)`` or ``(H, W, 1)``.
        moving: which pixels show another thing, or another part of it, than in the frame before. Light that changes is
            no movement. All pixels of the first frame and of one after a cut.
    """

    noisy: Image
    clean: Image
    moving: Mask


def film(instants: Iterable[Instant], camera: DrawnCamera, seed: int, *, step: int = 1) -> Iterator[FilmedFrame]:
    """Film a sequence. The same arguments give the same frames.

    The clean side is what an endless burst would average to, without the camera's fixed pattern, as in
    ``DrawnCamera.photograph``.

    Args:
        instants: what the camera sees, frame by frame.
        seed: decides the noise.
        step: differences of up to this many steps of 255 are no movement.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 11]))
    sensor = SensorCamera(camera.noise, camera.isp, camera.traits)
    flicker, coder = Flicker.draw(rng), camera.postprocessing.coder()
    before: Instant | None = None
    seen, clean, noisy = (np.empty(0, np.uint8) for _ in range(3))
    steady_before = clean
    for number, instant in enumerate(instants):
        height, width, channels = instant.scene.shape
        if before is None or instant.scene is not before.scene:
            seen = camera.see(instant.scene)
            clean = _clean(sensor, camera, seen, instant.scene)
        # The camera ran before the clip began: an encoder has frames behind it.
        for index in range(number if number else -camera.postprocessing.lead, number + 1):
            exposed = sensor.expose(seen, rng, lamps=flicker.light(camera.traits, len(seen), index))
            noisy = camera.postprocessing.noisy(exposed, height, width, coder)
        if instant.steady is instant.scene:
            steady = clean
        elif before is not None and instant.steady is before.steady:
            steady = steady_before
        else:
            steady = _clean(sensor, camera, camera.see(instant.steady), instant.steady)
        if before is None or instant.cut:
            moving = np.ones((height, width), np.bool_)
        else:
            moving = find_moving(steady_before, steady, step)
        before, steady_before = instant, steady
        yield FilmedFrame(as_channels(noisy, channels), clean, moving)


def find_moving(before: Image, now: Image, step: int = 1) -> Mask:
    """Where two clean frames differ by more than ``step`` of 255 in a channel, and two pixels around."""
    import cv2

    differs = (np.abs(now.astype(np.int16) - before) > step).any(axis=2).astype(np.uint8)
    width = 2 * _MARGIN + 1
    return np.asarray(cv2.dilate(differs, np.ones((width, width), np.uint8)), np.bool_)


def _clean(sensor: SensorCamera, camera: DrawnCamera, seen: Image, scene: Image) -> Image:
    height, width, channels = scene.shape
    clean = camera.postprocessing.clean(sensor.clean(seen, averaged=True), height, width)
    return as_channels(clean, channels)

"""Makes pairs that look like frames that were shrunk without a filter: white grain and jagged edges.

Sensors that skip rows, cheap scalers, and SIDD's small copies do this: neighboring pixels come from distant places on
the sensor, so the grain of demosaicing disappears. Here the scene is enlarged to a sensor of four times its size, where
each pixel is a block of sites, and one position in each block, sampled bilinearly, becomes a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image, check_image
from quietcam.sensor.noise import SIDD_LEVELS, Levels, SensorCamera, SensorNoise, random_isp

__all__ = ["alias", "photograph_aliased"]

_BLOCK = 4  # sites per side: two samples are farther apart than a demosaicing kernel reaches


def alias(scene: Image, step: int) -> Image:
    """Every ``step``-th pixel of a scene, uint8 ``(H, W, C)``."""
    return np.ascontiguousarray(check_image(scene)[::step, ::step])


def photograph_aliased(scene: Image, seed: int, *, levels: Levels | SensorNoise = SIDD_LEVELS) -> tuple[Image, Image]:
    """Photograph a clean ``scene`` with a random camera that shrinks frames without a filter: ``(noisy, clean)``.

    Args:
        scene: uint8 ``(H, W, C)``, as it should look: use one with jagged edges.

    The same seed gives the same pair. Where in its block a pixel is sampled drifts over the frame, as it does when the
    factor is not a whole number; halfway between two sites the noise of both is averaged, so its strength drifts too.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 5]))
    isp = random_isp(np.random.Generator(np.random.PCG64([seed, 1])))
    noise = levels.draw(rng) if isinstance(levels, Levels) else levels
    sensor = check_image(scene).repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
    camera = SensorCamera(noise, isp)
    frames = camera.expose(sensor, rng), camera.clean(sensor, averaged=True)
    down, right = (_drift(side, rng) for side in scene.shape[:2])
    noisy, clean = (_sample(frame, down[:, None, None], right[None, :, None]) for frame in frames)
    return noisy, clean


def _drift(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The position between two sites at which each of ``count`` pixels is sampled, 0 to 1."""
    speed, phase = rng.uniform(0.0, 3.0), rng.uniform(0.0, 2.0 * np.pi)
    share: NDArray[np.float32] = (0.5 + 0.5 * np.sin(speed * np.arange(count) + phase)).astype(np.float32)
    return share


def _sample(frame: Image, down: NDArray[np.float32], right: NDArray[np.float32]) -> Image:
    """One position of each block, between its second and third site along both axes."""
    rows = [frame[y::_BLOCK, 1::_BLOCK] * (1 - right) + frame[y::_BLOCK, 2::_BLOCK] * right for y in (1, 2)]
    return np.rint(rows[0] * (1 - down) + rows[1] * down).astype(np.uint8)

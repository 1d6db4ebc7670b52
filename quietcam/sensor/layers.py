"""Layers of a moving scene: cut-out things on a world, seen by a camera that moves, in linear light.

A frame is one look, or the mean of many within the exposure where things move by more than half a pixel meanwhile.
Looks at fractions of a pixel are interpolated by Lanczos' kernel of 8x8, so that a scene keeps its sharpness while it
moves. Looks at whole pixels are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image
from quietcam.sensor.paths import Path, View
from quietcam.sensor.srgb import to_light, to_shown

__all__ = ["Layer", "Scenery", "cut_out", "draw_outline", "light_of", "show"]

Pixels = NDArray[np.float32]
_Matrix = NDArray[np.float64]

_MOST_LOOKS = 16
_STILL = 0.5  # pixels of movement within an exposure that need no second look


@dataclass(frozen=True, eq=False)
class Layer:
    """A thing before the world.

    Attributes:
        pixels: float32 ``(H, W, 4)``: linear light times alpha, and alpha, 0 to 1.
        path: of its middle, from where the middle of the frame is at rest.
        parallax: how many times as far as the world it is shifted by the camera's movement: above 1 it is nearer.
    """

    pixels: Pixels
    path: Path
    parallax: float = 1.0


@dataclass(frozen=True, eq=False)
class Scenery:
    """A world, things before it, and a camera that looks at them.

    Attributes:
        world: float32 ``(H, W, 3)``, linear light; mirrored at its edges where the camera looks beyond them.
        layers: the farthest first.
        camera: the movement of the camera. At rest it sees the middle of the world, pixel by pixel.
        height, width: of a frame.
        exposure: the share of the time between two frames in which the shutter is open, 0 to 1.
    """

    world: Pixels
    layers: tuple[Layer, ...]
    camera: Path
    height: int
    width: int
    exposure: float = 0.0

    def key(self, frame: int) -> tuple[View, ...]:
        """What decides a frame: frames with equal keys are equal."""
        paths = (self.camera, *(layer.path for layer in self.layers))
        return tuple(path.at(moment) for moment in self._moments(frame) for path in paths)

    def look(self, frame: int) -> Pixels:
        """The light on the sensor in a frame: float32 ``(height, width, 3)``, at least 0."""
        moments = self._moments(frame)
        total = self._at(moments[0])
        for moment in moments[1:]:
            total += self._at(moment)
        total /= np.float32(len(moments))
        return total

    def _moments(self, frame: int) -> list[float]:
        """The moments of the looks, their mean at ``frame``."""
        opens, closes = frame - self.exposure / 2, frame + self.exposure / 2
        corners = np.array([(x, y, 1.0) for x in (0.0, self.width - 1.0) for y in (0.0, self.height - 1.0)]).T
        before, after = (self._view(self.camera.at(moment)) @ corners for moment in (opens, closes))
        reach = float(np.hypot(*(after - before)[:2]).max())
        for layer in self.layers:
            first, last = layer.path.at(opens), layer.path.at(closes)
            turned = abs(last.angle - first.angle) * max(layer.pixels.shape[:2]) / 2
            reach = max(reach, math.hypot(last.x - first.x, last.y - first.y) + turned)
        if reach < _STILL:
            return [float(frame)]
        count = min(math.ceil(reach) + 1, _MOST_LOOKS)
        return [opens + (index + 0.5) / count * (closes - opens) for index in range(count)]

    def _at(self, moment: float) -> Pixels:
        view = self.camera.at(moment)
        height, width = self.world.shape[:2]
        # Whole pixels, so that a camera at rest copies them.
        middle = (width - self.width) // 2 + (self.width - 1) / 2, (height - self.height) // 2 + (self.height - 1) / 2
        light = self._sampled(self.world, _shift(*middle) @ self._view(view), mirrored=True)
        for layer in self.layers:
            near = View(view.x * layer.parallax, view.y * layer.parallax, view.scale, view.angle)
            place = layer.path.at(moment)
            side_y, side_x = layer.pixels.shape[:2]
            inside = _shift((side_x - 1) / 2, (side_y - 1) / 2) @ _turn(1 / place.scale, -place.angle)
            seen = self._sampled(layer.pixels, inside @ _shift(-place.x, -place.y) @ self._view(near))
            light *= 1 - np.minimum(seen[..., 3:], np.float32(1.0))
            light += seen[..., :3]
        return light

    def _view(self, view: View) -> _Matrix:
        """From pixels of the frame to pixels of the scene, counted from the middle of the frame at rest."""
        middle = _shift(-(self.width - 1) / 2, -(self.height - 1) / 2)
        return _shift(view.x, view.y) @ _turn(view.scale, view.angle) @ middle

    def _sampled(self, pixels: Pixels, matrix: _Matrix, mirrored: bool = False) -> Pixels:
        import cv2

        edges = cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_CONSTANT
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(pixels, matrix[:2], (self.width, self.height), flags=flags, borderMode=edges)
        found: Pixels = np.maximum(np.asarray(seen, np.float32), np.float32(0.0))
        return found


def light_of(picture: Image) -> Pixels:
    """The linear light that a picture shows: float32 of its shape."""
    levels: Pixels = to_light(np.arange(256) / 255.0).astype(np.float32)
    return levels[picture]


def show(light: Pixels) -> Image:
    """Linear light as it is shown: uint8 of its shape; the inverse of ``light_of``."""
    shown: Image = np.rint(to_shown(np.clip(light, 0.0, 1.0)) * 255.0).astype(np.uint8)
    return shown


def cut_out(light: Pixels, alpha: Pixels) -> Pixels:
    """The pixels of a layer: float32 ``(H, W, 4)`` of light ``(H, W, 3)`` and alpha ``(H, W)``."""
    return np.concatenate([light * alpha[..., np.newaxis], alpha[..., np.newaxis]], axis=2)


def draw_outline(side: int, rng: np.random.Generator) -> Pixels:
    """The alpha of a thing: float32 ``(side, side)``, an ellipse, a rectangle, a triangle or a blob with soft edges.

    One in eight is a veil through which half of what lies behind is seen.
    """
    import cv2

    kind, thin, soft, veil = rng.random(4).tolist()
    thin = 1.0 + 1.5 * thin
    line = np.linspace(-1.1, 1.1, side, dtype=np.float32)
    v, u = line[:, np.newaxis], line[np.newaxis, :]
    if kind < 0.3:
        inside = u * u + (v * thin) ** 2 < 1
    elif kind < 0.6:
        inside = np.maximum(abs(u), abs(v) * thin) < 1
    elif kind < 0.75:
        inside = np.maximum(np.maximum(1.4 * u, 1.2 * v - 0.7 * u), -1.2 * v - 0.7 * u) < 1
    else:
        waves = sum(rng.uniform(-0.2, 0.2) * np.cos((k + 2) * np.arctan2(v, u) + rng.uniform(0, 6.3)) for k in range(4))
        inside = np.hypot(u, v * thin) < 0.75 + waves
    alpha = inside.astype(np.float32)
    alpha[[0, -1], :] = alpha[:, [0, -1]] = 0.0
    blurred = cv2.GaussianBlur(alpha, (0, 0), 0.5 + 1.5 * soft**3, borderType=cv2.BORDER_CONSTANT)
    share = np.float32(0.5 if veil < 1 / 8 else 1.0)
    return np.minimum(np.asarray(blurred, np.float32), np.float32(1.0)) * share


def _shift(x: float, y: float) -> _Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _turn(scale: float, angle: float) -> _Matrix:
    across, down = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[across, -down, 0.0], [down, across, 0.0], [0.0, 0.0, 1.0]])

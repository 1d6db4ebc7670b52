"""Sequences of clean frames, made of still pictures: a camera that moves, things that move, light that changes, cuts.

``VIEW_SHARES``, ``MOVER_SHARES``, ``LIGHT_SHARES``, ``FOREGROUND_SHARE`` and ``CUT_SHARE`` state what is drawn how
often, and ``quietcam.sensor.paths`` how fast and how far it moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from quietcam.image import Image
from quietcam.sensor.layers import Layer, Scenery, cut_out, draw_outline, light_of, show
from quietcam.sensor.paths import Light, Path, View, draw_light, draw_mover, draw_view, log_uniform

__all__ = [
    "CUT_SHARE",
    "FOREGROUND_SHARE",
    "LIGHT_SHARES",
    "MOVER_SHARES",
    "VIEW_SHARES",
    "Instant",
    "Plan",
    "Shot",
    "Stills",
    "draw_plan",
    "play",
]

VIEW_SHARES = {"static": 0.35, "pan": 0.2, "shake": 0.25, "pan and shake": 0.1, "zoom": 0.1}
"""Shares of the camera's movements among shots."""

MOVER_SHARES = {0: 0.35, 1: 0.3, 2: 0.2, 3: 0.15}
"""How many things move in a shot."""

LIGHT_SHARES = {"steady": 0.75, "fade": 0.1, "flicker": 0.1, "switch": 0.05}
"""Shares of the kinds of light among sequences."""

FOREGROUND_SHARE = 0.3
"""Of shots with a thing that stands in the foreground. Each thing that moves passes behind or before it."""

CUT_SHARE = 0.15
"""Of sequences of four frames or more with a cut: another scene and other movements, in the same camera and light."""

Stills = Callable[[int, int], Image]
"""A source of still pictures: ``stills(number, side)`` gives uint8 ``(H, W, 3)``, about ``side`` pixels a side."""


@dataclass(frozen=True)
class Instant:
    """What the camera sees in one frame.

    Attributes:
        scene: uint8 ``(H, W, 3)``. The same array as before where nothing has changed.
        steady: the same scene in full light: the same array where the light does not change.
        cut: whether nothing of it was seen in the frame before: the first frame, and the first one of a shot.
    """

    scene: Image
    steady: Image
    cut: bool = False


@dataclass(frozen=True)
class Mover:
    """A thing that moves: its path, its side in pixels, and whether it passes before the foreground."""

    path: Path
    side: int
    before: bool


@dataclass(frozen=True)
class Shot:
    """A part of a sequence without a cut.

    Attributes:
        first: its first frame.
        view: a key of ``VIEW_SHARES``.
        camera: how the camera moves.
        movers: things that move, the farthest first.
        foreground: side in pixels of the thing that stands in the foreground, or 0 for none.
        parallax: of the foreground.
    """

    first: int
    view: str
    camera: Path
    movers: tuple[Mover, ...] = ()
    foreground: int = 0
    parallax: float = 1.0


@dataclass(frozen=True)
class Plan:
    """A sequence before it is drawn: its shots, its light, and the shutter as in ``Scenery``."""

    frames: int
    size: int
    shots: tuple[Shot, ...]
    light: Light
    exposure: float

    def to_dict(self) -> dict[str, Any]:
        """In a few plain values what moves, for people and for scores by kind."""
        return {
            "view": [shot.view for shot in self.shots],
            "movers": [len(shot.movers) for shot in self.shots],
            "foreground": [shot.foreground > 0 for shot in self.shots],
            "cuts": [shot.first for shot in self.shots[1:]],
            "light": self.light.kind,
            "exposure": round(self.exposure, 3),
        }


def draw_plan(rng: np.random.Generator, frames: int, size: int) -> Plan:
    """Draw a sequence of ``frames`` frames of ``size`` pixels a side. The state of ``rng`` decides.

    The shutter is open for 5 to 100 % of the time between frames, evenly.
    """
    firsts = [0]
    cut, place = rng.random(2).tolist()
    if frames >= 4 and cut < CUT_SHARE:
        firsts.append(1 + int(place * (frames - 1)))
    kind = str(rng.choice([*LIGHT_SHARES], p=[*LIGHT_SHARES.values()]))
    light = draw_light(kind, rng, frames)
    exposure = rng.uniform(0.05, 1.0)
    return Plan(frames, size, tuple(_draw_shot(rng, first, frames, size) for first in firsts), light, exposure)


def play(plan: Plan, stills: Stills, seed: int) -> Iterator[Instant]:
    """Each frame of a sequence. The same arguments give the same frames.

    Args:
        stills: worlds and things are cut from these, each from a number of its own.
        seed: decides the outlines of things.
    """
    sceneries = []
    for number, shot in enumerate(plan.shots):
        rng = np.random.Generator(np.random.PCG64([seed, 10, number]))
        sceneries.append(_build(plan, shot, stills, 10 * number, rng))
    firsts = [shot.first for shot in plan.shots]
    key: tuple[object, ...] = ()
    light, steady, scene, level = np.empty(0, np.float32), np.empty(0, np.uint8), np.empty(0, np.uint8), 1.0
    for frame in range(plan.frames):
        number = sum(first <= frame for first in firsts) - 1
        moved = (number, *sceneries[number].key(frame))
        now = plan.light.at(frame)
        if moved != key:
            light = sceneries[number].look(frame)
            steady = show(light)
        if now == 1.0:
            scene = steady
        elif moved != key or now != level:
            scene = show(light * np.float32(now))
        key, level = moved, now
        yield Instant(scene, steady, frame in firsts)


def _draw_shot(rng: np.random.Generator, first: int, frames: int, size: int) -> Shot:
    view = str(rng.choice([*VIEW_SHARES], p=[*VIEW_SHARES.values()]))
    camera = draw_view(view, rng, size)
    count = int(rng.choice([*MOVER_SHARES], p=[*MOVER_SHARES.values()]))
    movers = tuple(
        Mover(draw_mover(rng, frames, size), _side(rng, 0.08, 0.6, size), bool(rng.random() < 0.5))
        for _ in range(count)
    )
    there, parallax = rng.random(2).tolist()
    side = _side(rng, 0.2, 0.7, size)
    return Shot(first, view, camera, movers, side if there < FOREGROUND_SHARE else 0, 1.0 + 0.5 * parallax)


def _side(rng: np.random.Generator, low: float, high: float, size: int) -> int:
    return max(8, round(log_uniform(rng, low, high) * size))


def _build(plan: Plan, shot: Shot, stills: Stills, first: int, rng: np.random.Generator) -> Scenery:
    """The scenery of a shot, of the stills from number ``first`` on: a world with room for the movement, and layers."""
    views = [shot.camera.at(frame) for frame in range(plan.frames + 1)]
    reach = max(max(abs(view.x), abs(view.y)) for view in views)
    world = light_of(stills(first, plan.size + 2 * math.ceil(min(reach + 1, plan.size)) if reach else plan.size))
    behind: list[Layer] = []
    before: list[Layer] = []
    for number, mover in enumerate(shot.movers):
        thing = _thing(stills(first + 1 + number, mover.side), mover.side, mover.path, rng)
        (before if mover.before else behind).append(thing)
    if shot.foreground:
        x, y = (rng.uniform(-0.4, 0.4, 2) * plan.size).tolist()
        rest = Path(View(x, y, angle=rng.uniform(0.0, 2.0 * math.pi)))
        behind.append(_thing(stills(first + 9, shot.foreground), shot.foreground, rest, rng, shot.parallax))
    return Scenery(world, (*behind, *before), shot.camera, plan.size, plan.size, plan.exposure)


def _thing(picture: Image, side: int, path: Path, rng: np.random.Generator, parallax: float = 1.0) -> Layer:
    """A thing of ``side`` pixels cut out of a picture, from anywhere in it."""
    height, width = picture.shape[:2]
    y, x = (int(rng.integers(max(1, length - side + 1))) for length in (height, width))
    patch = picture[y : y + side, x : x + side]
    patch = np.pad(patch, ((0, side - patch.shape[0]), (0, side - patch.shape[1]), (0, 0)), mode="symmetric")
    return Layer(cut_out(light_of(patch), draw_outline(side, rng)), path, parallax)

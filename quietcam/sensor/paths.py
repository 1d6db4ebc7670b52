"""How things move and how their light changes, as functions of time, which is told in frames and their fractions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Light", "Path", "Sway", "View", "draw_light", "draw_mover", "draw_view", "log_uniform"]


@dataclass(frozen=True)
class View:
    """Where something is at one moment.

    Attributes:
        x, y: pixels to the right and down of its place of rest.
        scale: of a camera, pixels of the scene for one of the frame: below 1 it is zoomed in. Of a thing, its size.
        angle: radians, clockwise.
    """

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    angle: float = 0.0


@dataclass(frozen=True)
class Sway:
    """One swing of a hand: a sine of ``cycles`` a frame in x, y (pixels) and angle (radians)."""

    x: float
    y: float
    angle: float
    cycles: float
    phase: float


@dataclass(frozen=True)
class Path:
    """A movement.

    Attributes:
        start: where it is until it moves.
        speed: pixels a frame, in x and y.
        zoom: change of ln scale a frame; the scale stays within ``zoom_limits``.
        turn: radians a frame.
        sways: what is added all the time.
        begins, ends: the moments between which it moves.
    """

    start: View = View()
    speed: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    turn: float = 0.0
    sways: tuple[Sway, ...] = ()
    begins: float = -math.inf
    ends: float = math.inf
    zoom_limits: tuple[float, float] = (0.4, 1.0)

    def at(self, moment: float) -> View:
        """Where it is at that moment."""
        # What moves all the time is at its start at moment 0.
        moved = min(max(moment, self.begins), self.ends) - (0.0 if math.isinf(self.begins) else self.begins)
        x = self.start.x + self.speed[0] * moved
        y = self.start.y + self.speed[1] * moved
        angle = self.start.angle + self.turn * moved
        scale = self.start.scale
        if self.zoom:
            scale = min(max(scale * math.exp(self.zoom * moved), self.zoom_limits[0]), self.zoom_limits[1])
        for sway in self.sways:
            swing = math.sin(2.0 * math.pi * sway.cycles * moment + sway.phase)
            x, y, angle = x + sway.x * swing, y + sway.y * swing, angle + sway.angle * swing
        return View(x, y, scale, angle)


@dataclass(frozen=True)
class Light:
    """How bright the light is over time: a factor of linear light, above 0 and at most 1.

    Attributes:
        kind: "steady"; "fade", from one level to another within some frames; "flicker", a sine as of lamps whose
            frequency beats with the frames; or "switch", a fade within one frame.
        low: the least factor.
        rising: of a fade, whether the light comes rather than goes.
        begins, length: of a fade, its first moment, and frames.
        cycles, phase: of a flicker, cycles a frame.
    """

    kind: str = "steady"
    low: float = 1.0
    rising: bool = False
    begins: float = 0.0
    length: float = 1.0
    cycles: float = 0.0
    phase: float = 0.0

    def at(self, moment: float) -> float:
        """The factor at that moment."""
        if self.kind == "steady":
            return 1.0
        if self.kind == "flicker":
            swing = 0.5 + 0.5 * math.sin(2.0 * math.pi * self.cycles * moment + self.phase)
            return self.low + (1.0 - self.low) * swing
        share = min(max((moment - self.begins) / self.length, 0.0), 1.0)
        return math.exp(math.log(self.low) * (1.0 - share if self.rising else share))


def draw_view(kind: str, rng: np.random.Generator, size: int) -> Path:
    """The movement of a camera.

    Args:
        kind: "static", "pan" (0.15 to 8 pixels a frame, log-evenly, in any direction), "zoom" (0.2 to 3 % a frame, in
            or out), "shake" (a hand: four swings of 0.02 to 0.3 cycles a frame, which is 0.5 to 8 Hz at 25 frames a
            second, slow ones wider; 0.2 to 4 pixels together), or "pan and shake".
        size: side of a frame in pixels: a hand turns the camera by as much as it shifts the frame's edge.
    """
    speed, zoom, start = (0.0, 0.0), 0.0, View()
    sways: tuple[Sway, ...] = ()
    if "pan" in kind:
        speed = _direction(rng, log_uniform(rng, 0.15, 8.0))
    if kind == "zoom":
        zoom = log_uniform(rng, 0.002, 0.03)
        if rng.random() < 0.5:
            zoom = -zoom
        else:
            start = View(scale=0.6)
    if "shake" in kind:
        sways = _hand(rng, log_uniform(rng, 0.2, 4.0), size)
    return Path(start, speed, zoom, sways=sways)


def draw_mover(rng: np.random.Generator, frames: int, size: int) -> Path:
    """The movement of a thing: through a place in the frame at some moment, at 0.3 to 12 pixels a frame, log-evenly.

    One in four turns by up to 0.1 radians a frame. One in four stops at some moment, and one in eight begins to move
    only then: what stood or stands still is remembered.
    """
    moment = rng.uniform(0.0, frames)
    speed = _direction(rng, log_uniform(rng, 0.3, 12.0))
    place = rng.uniform(-0.4, 0.4, 2) * size
    angle, turn = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(-0.1, 0.1)
    turns, stops = rng.random(2).tolist()
    turn = turn if turns < 1 / 4 else 0.0
    if stops < 1 / 8:
        return Path(View(place[0], place[1], 1.0, angle), speed, turn=turn, begins=moment)
    start = View(place[0] - speed[0] * moment, place[1] - speed[1] * moment, 1.0, angle)
    return Path(start, speed, turn=turn, ends=moment if stops < 3 / 8 else math.inf)


def draw_light(kind: str, rng: np.random.Generator, frames: int) -> Light:
    """Light of a kind of ``Light``: fades go to 0.15 to 0.7 of the light within 4 to 40 frames, switches to 0.05 to
    0.5, and lamps flicker by 2 to 15 % with 0.02 to 0.5 cycles a frame."""
    if kind == "flicker":
        low = 1.0 - log_uniform(rng, 0.02, 0.15)
        return Light(kind, low, cycles=log_uniform(rng, 0.02, 0.5), phase=rng.uniform(0.0, 2.0 * math.pi))
    if kind in ("fade", "switch"):
        switch = kind == "switch"
        low = log_uniform(rng, 0.05, 0.5) if switch else log_uniform(rng, 0.15, 0.7)
        length = 1.0 if switch else log_uniform(rng, 4.0, 40.0)
        return Light(kind, low, bool(rng.random() < 0.5), rng.uniform(0.0, frames - 1.0), length)
    return Light()


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A value whose logarithm is drawn evenly."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _direction(rng: np.random.Generator, length: float) -> tuple[float, float]:
    angle = rng.uniform(0.0, 2.0 * math.pi)
    return length * math.cos(angle), length * math.sin(angle)


def _hand(rng: np.random.Generator, width: float, size: int) -> tuple[Sway, ...]:
    cycles = [log_uniform(rng, 0.02, 0.3) for _ in range(4)]
    weights = np.array([cycles[0] / each for each in cycles])
    weights *= width / math.sqrt(float((weights**2).sum()))
    sways = []
    for each, weight in zip(cycles, weights.tolist(), strict=True):
        x, y, turn = rng.normal(0.0, weight, 3).tolist()
        sways.append(Sway(x, y, turn / size, each, rng.uniform(0.0, 2.0 * math.pi)))
    return tuple(sways)

"""Past: decides for each frame whether a video network remembers or forgets, and counts both."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from edge.network.past.scene import LEAST, SceneTest
from quietcam.image import Image

__all__ = ["LONGEST", "Forgot", "Past"]

LONGEST = 1.0
"""Seconds between two frames, at most, for the second one to have the first as its past. After 30 frames, about one
second, a history was still worth up to 2.5 dB where little moved, and took 0.2 dB where most did
(``python -m benchmarks.network.history``)."""


class Forgot(Enum):
    """Why a video network forgot what it remembered."""

    SCENE = "another scene"
    GAP = "frames were left out"
    CAMERA = "the camera came back"
    SIZE = "another size"
    MODEL = "another model"
    FAILED = "the network failed"


class Past:
    """What a video network's next frame follows.

    For each frame: ``coming``, if its time is known; ``explains`` before the network runs; ``ran`` or ``forget`` after
    it. Frames that do not reach the network make the past older, and nothing else.

    Attributes:
        frames: number of frames, one after another, that the network remembers now. 0: it has no past.
        forgotten: how often it forgot, by reason.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.forgotten: Counter[Forgot] = Counter()
        self._kind: tuple[int, ...] = ()
        self._scene: SceneTest | None = None
        self._taken: float | None = None  # time of the coming frame
        self._last: float | None = None  # time of the last frame that the network saw
        self._opened = 0

    def coming(self, taken: float, opened: int = 0) -> None:
        """Note when the next frame was taken, in seconds, and how often the camera was opened again before it."""
        self._taken = taken
        if opened != self._opened:
            self._opened = opened
            self.forget(Forgot.CAMERA)

    def explains(self, noisy: Image, half: bool = False, sigma: float | None = None) -> bool:
        """Whether the past explains a frame that the network will see next. If not, forget it.

        Args:
            noisy: uint8 ``(H, W, C)``.
            half: the network sees it at half its size.
            sigma: its noise in steps of 255, if it is known.
        """
        height, width, channels = noisy.shape
        kind = height, width, channels, half
        if kind != self._kind:
            self._kind, self._scene = kind, SceneTest((height, width, channels))
            self.forget(Forgot.SIZE)
        assert self._scene is not None
        explained = self._scene.explained(noisy, sigma)
        last, self._last = self._last, self._taken
        if last is not None and self._taken is not None and not 0.0 <= self._taken - last <= LONGEST:
            self.forget(Forgot.GAP)
        elif explained < LEAST:
            self.forget(Forgot.SCENE)
        return self.frames > 0

    def ran(self) -> None:
        """Note that the network ran on the frame, and remembers it."""
        self.frames += 1

    def forget(self, why: Forgot) -> None:
        """Note that nothing is remembered any more. Counted only where something was."""
        if self.frames:
            self.forgotten[why] += 1
        self.frames = 0

    def follow(self, other: Past) -> None:
        """Take the place of the past of another network, whose frames are not remembered. The counts go on."""
        if other.frames:
            other.forget(Forgot.MODEL)
        self.forget(Forgot.MODEL)
        self.forgotten = other.forgotten

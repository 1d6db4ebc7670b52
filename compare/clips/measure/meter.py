"""ClipMeter: measures what several contenders make of one clip, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import Shot
from compare.clips.measure.flicker import Flicker
from compare.clips.measure.ghosts import GhostSums, Leavings
from quietcam.image import Image
from quietcam.metrics import MOST_DB, ssim

__all__ = ["ClipMeter", "Part", "Trace", "burn_in"]

_BURN_IN = 20
_CLEAN = "clean frames"


def burn_in(frames: int) -> int:
    """How many frames at the start of a clip count in no mean: 20, or a third of a shorter clip."""
    return min(_BURN_IN, frames // 3)


@dataclass
class Part:
    """The squared error of some pixels, summed over their channels. ``values`` counts pixels times channels."""

    squares: int = 0
    values: int = 0

    @property
    def psnr(self) -> float | None:
        """PSNR of their mean squared error in dB; None without pixels."""
        return _decibels(self.squares, self.values) if self.values else None


@dataclass
class Trace:
    """What one contender did on one clip: PSNR in dB and SSIM of every frame, and sums over those after the burn-in."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    still: Part = field(default_factory=Part)
    moving: Part = field(default_factory=Part)


class ClipMeter:
    """Takes the frames of one clip one by one. A context manager: contenders are measured in threads.

    Args:
        frames: how many will come.
        pairs: the name of the network without history, by that of the same network with it.

    Attributes:
        traces: by the contender's name. ghosts: by the name of the network with history.
        cuts: frames after a cut. moving: the share of pixels that moved after the burn-in.
    """

    def __init__(self, frames: int, pairs: Mapping[str, str]) -> None:
        self.burn_in = burn_in(frames)
        self.flicker = Flicker(frames - self.burn_in)
        self.traces: dict[str, Trace] = {}
        self.ghosts = {name: GhostSums() for name in pairs}
        self.cuts: list[int] = []
        self._pairs, self._leavings, self._count = pairs, Leavings(), 0
        self._moved = self._seen = 0
        self._pool = ThreadPoolExecutor()

    def __enter__(self) -> ClipMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    @property
    def moving(self) -> float:
        """The share of pixels that move in the frames after the burn-in, 0 to 1."""
        return self._moved / self._seen if self._seen else 0.0

    @property
    def clean_flicker(self) -> float | None:
        """The flicker of the clean frames."""
        return self.flicker.result(_CLEAN)

    def add(self, shot: Shot, pictures: Mapping[str, Image]) -> None:
        """Add the next frame: what each contender made of it, uint8 of the shape of ``shot.clean``, by name."""
        counts = self._count >= self.burn_in
        if shot.cut:
            self.cuts.append(self._count)
        measured = self._pool.map(lambda picture: _measure(shot.clean, picture), pictures.values())
        squares: dict[str, NDArray[np.int32]] = {}
        for name, (error, similarity) in zip(pictures, measured, strict=True):
            squares[name] = error
            trace = self.traces.setdefault(name, Trace())
            whole, channels = int(error.sum(dtype=np.int64)), shot.clean.shape[2]
            trace.psnr.append(_decibels(whole, shot.clean.size))
            trace.ssim.append(similarity)
            if counts:
                moved, pixels = int(error[shot.moving].sum(dtype=np.int64)), int(shot.moving.sum())
                trace.moving.squares += moved
                trace.moving.values += pixels * channels
                trace.still.squares += whole - moved
                trace.still.values += shot.clean.size - pixels * channels
        ages = self._leavings.see(shot)
        for name, sums in self.ghosts.items():
            sums.add(ages, squares[name], squares[self._pairs[name]])
        if counts:
            self.flicker.add(shot, {**pictures, _CLEAN: shot.clean})
            self._moved += int(shot.moving.sum())
            self._seen += shot.moving.size
        self._count += 1


def _measure(clean: Image, picture: Image) -> tuple[NDArray[np.int32], float]:
    """The squared error summed over channels, int32 ``(H, W)``, and SSIM."""
    difference = picture.astype(np.int16) - clean
    error: NDArray[np.int32] = np.einsum("hwc,hwc->hw", difference, difference, dtype=np.int32)
    return error, ssim(clean, picture)


def _decibels(squares: int, values: int) -> float:
    return MOST_DB if squares == 0 else min(MOST_DB, 10.0 * math.log10(255.0**2 * values / squares))

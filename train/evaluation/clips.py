"""Measures a video network on clips: PSNR of every frame, with its history and without, on still and moving parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from quietcam.data.clips.clip import Clip
from quietcam.data.sets.problems import list_problems
from quietcam.errors import DataError, UsageError
from quietcam.image import Image, as_channels, to_float, to_uint8
from quietcam.metrics import MOST_DB, finite_psnr
from quietcam.terminal.progress import progress
from train.evaluation.validation import VideoDenoise

__all__ = ["ClipScore", "ClipScores", "Parts", "Treated", "evaluate_clips", "treat_clip"]

_AT_ONCE = 16  # frames in memory


@dataclass(frozen=True)
class Treated:
    """One frame of a clip, and what the network makes of it; pictures are uint8 ``(H, W, C)``.

    Attributes:
        moving: bool ``(H, W)``: which pixels show something else than in the frame before.
        without: denoised without history. denoised: with the history of all frames before.
    """

    noisy: Image
    clean: Image
    moving: NDArray[np.bool_]
    without: Image
    denoised: Image


@dataclass(frozen=True)
class Parts:
    """PSNR in dB: the mean over whole frames; of all pixels that stand still; of all that move. None without any."""

    psnr: float
    still: float | None
    moving: float | None

    @classmethod
    def mean(cls, several: Sequence[Parts]) -> Parts:
        """The mean over clips; of still and moving parts over the clips that have some."""

        def over(name: str) -> float | None:
            values = [value for each in several if (value := getattr(each, name)) is not None]
            return round(float(np.mean(values)), 6) if values else None

        return cls(over("psnr") or 0.0, over("still"), over("moving"))


@dataclass(frozen=True)
class ClipScore:
    """One clip.

    Attributes:
        noisy, without_history, denoised: of the noisy frames; of the network given no history; of the network.
        by_frame, without_by_frame: PSNR in dB of each frame, with history and without.
    """

    set: str
    name: str
    frames: int
    noisy: Parts
    without_history: Parts
    denoised: Parts
    by_frame: list[float] = field(repr=False)
    without_by_frame: list[float] = field(repr=False)

    @property
    def history_gain(self) -> float:
        """What history gives, in dB."""
        return self.denoised.psnr - self.without_history.psnr


@dataclass(frozen=True)
class ClipScores:
    """The scores of all clips.

    Attributes:
        scores: clip by clip, in the order of the sets.
        clips: by the name of the set, to read a clip again.
        problems: clips that were left out, one line each.
    """

    scores: list[ClipScore]
    clips: Mapping[str, Sequence[Clip]] = field(repr=False)
    problems: list[str] = field(default_factory=list)

    def mean(self, of_set: str | None = None) -> dict[str, Parts]:
        """``noisy``, ``without_history`` and ``denoised``: means over the clips of one set, or of all."""
        chosen = [each for each in self.scores if of_set in (None, each.set)]
        return {
            name: Parts.mean([getattr(each, name) for each in chosen])
            for name in ("noisy", "without_history", "denoised")
        }

    def frames(self, of_set: str) -> int:
        """How many frames of a set were measured."""
        return sum(each.frames for each in self.scores if each.set == of_set)

    def sets(self) -> list[str]:
        """The names of the sets with at least one clip."""
        return list(dict.fromkeys(each.set for each in self.scores))

    def chosen(self, count: int) -> dict[str, list[ClipScore]]:
        """Clips to show, up to ``count`` of each kind, none twice: lowest PSNR, least gain by history."""
        worst = sorted(self.scores, key=lambda each: each.denoised.psnr)[:count]
        least = [each for each in sorted(self.scores, key=lambda each: each.history_gain) if each not in worst][:count]
        return {"worst clip": worst, "least gain by history": least}

    def find(self, score: ClipScore) -> Clip:
        """The clip of a score."""
        return next(clip for clip in self.clips[score.set] if clip.name == score.name)

    def to_dict(self) -> dict[str, Any]:
        """The part of the JSON report that is about clips."""

        def told(means: Mapping[str, Parts]) -> dict[str, Any]:
            return {name: asdict(parts) for name, parts in means.items()}

        return {
            **told(self.mean()),
            "sets": {name: {"frames": self.frames(name), **told(self.mean(name))} for name in self.sets()},
            "clips": [asdict(each) for each in self.scores],
            "problems": self.problems,
        }


def evaluate_clips(
    denoise: VideoDenoise,
    sets: Mapping[str, Sequence[Clip]],
    *,
    stride: int,
    channels: int,
    limit: int | None = None,
) -> ClipScores:
    """Denoise every frame of the clips, and compare it with its clean twin. A few frames are in memory at a time.

    Args:
        sets: clips by the name of their data set.
        stride: total stride of the network.
        channels: of its pictures.
        limit: the most clips of each set, evenly spread. Defaults to all.

    Raises:
        DataError: no clip can be used.
    """
    used = {name: _spread(clips, limit) for name, clips in sets.items()}
    scores: list[ClipScore] = []
    problems: list[str] = []
    with progress("Evaluating clips", sum(len(clip) for clips in used.values() for clip in clips)) as bar:
        for name, clips in used.items():
            for clip in clips:
                try:
                    scores.append(_score(name, clip, treat_clip(denoise, clip, stride=stride, channels=channels)))
                except (DataError, UsageError) as error:
                    problems.append(f"{clip.name}: {error}")
                bar.advance(len(clip))
    if not scores:
        raise DataError(f"At least one clip must be usable. Received: {list_problems(problems)}.")
    return ClipScores(scores, used, problems)


def treat_clip(denoise: VideoDenoise, clip: Clip, *, stride: int, channels: int) -> Iterator[Treated]:
    """Every frame of a clip, with the history of those before; edges are repeated up to a multiple of ``stride``.

    Raises:
        DataError: a frame cannot be used.
    """
    history: tf.Tensor | None = None
    for first in range(0, len(clip), _AT_ONCE):
        read = clip.read(first, _AT_ONCE)
        for noisy, clean, moving in zip(read.noisy, read.clean, read.moving, strict=True):
            height, width = noisy.shape[:2]
            noisy, clean = as_channels(noisy, channels), as_channels(clean, channels)
            padded = np.pad(noisy, ((0, -height % stride), (0, -width % stride), (0, 0)), "edge")
            frame = tf.constant(to_float(padded)[np.newaxis])
            if history is not None and history.shape != frame.shape:
                raise DataError(f"frame {first} has {width}x{height}, and frames before it another size")
            without = denoise(frame)
            denoised, history = denoise.step(frame, frame if history is None else history)
            pictures = [to_uint8(each.numpy()[0, :height, :width]) for each in (without, denoised)]
            yield Treated(noisy, clean, moving, *pictures)


class _Sums:
    """PSNR by frame, and squared errors of still and moving parts."""

    def __init__(self) -> None:
        self.by_frame: list[float] = []
        self._squares, self._values = np.zeros(2), np.zeros(2)

    def add(self, clean: Image, picture: Image, moving: NDArray[np.bool_]) -> None:
        self.by_frame.append(round(finite_psnr(clean, picture), 6))
        squares = np.square(picture.astype(np.float64) - clean).sum(axis=2)
        for part, mask in enumerate((~moving, moving)):
            self._squares[part] += squares[mask].sum()
            self._values[part] += mask.sum() * clean.shape[2]

    def parts(self) -> Parts:
        still, moving = (
            round(min(MOST_DB, 10 * np.log10(255**2 * values / max(squares, 1e-9))), 6) if values else None
            for squares, values in zip(self._squares.tolist(), self._values.tolist(), strict=True)
        )
        return Parts(round(float(np.mean(self.by_frame)), 6), still, moving)


def _score(of_set: str, clip: Clip, frames: Iterator[Treated]) -> ClipScore:
    sums = {name: _Sums() for name in ("noisy", "without", "denoised")}
    for frame in frames:
        for name, each in sums.items():
            each.add(frame.clean, getattr(frame, name), frame.moving)
    noisy, without, denoised = (each.parts() for each in sums.values())
    by_frame, without_by_frame = sums["denoised"].by_frame, sums["without"].by_frame
    return ClipScore(of_set, clip.name, len(clip), noisy, without, denoised, by_frame, without_by_frame)


def _spread(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    count = len(clips) if limit is None else min(limit, len(clips))
    return [clips[place] for place in np.linspace(0, len(clips) - 1, count).round().astype(int).tolist()]

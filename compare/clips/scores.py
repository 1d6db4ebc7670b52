"""The result of a comparison on clips as plain values: clips, rows, and the whole report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from compare.scores import GateCheck

__all__ = ["ClipComparison", "ClipFacts", "ClipRow", "ClipScores", "Gain", "Ghost", "RowTime"]

FORMAT = 1
"""Version of the JSON report's layout; docs/reference/comparison-on-clips.md describes it."""


@dataclass(frozen=True)
class ClipFacts:
    """One clip.

    Attributes:
        frames: how many. width, height: of a frame, pixels.
        burn_in: so many frames at the start count in no mean: those that remember have not seen much yet.
        cuts: frames after a cut, counted from 0.
        moving: the share of pixels that move, 0 to 1, in the frames after ``burn_in``.
        flicker: of the clean frames, as in ``ClipScores``: no contender can be expected to have less.
    """

    name: str
    frames: int
    width: int
    height: int
    burn_in: int
    cuts: list[int]
    moving: float
    flicker: float | None


@dataclass(frozen=True)
class Ghost:
    """What stays of things that have left, against the same network without history (``compare.clips.measure.ghosts``).

    Attributes:
        excess: the error above that of the network without history, in dB, by the frames since something else was
            there: 0 is the first frame without it. None where no pixel is that old.
        frames: the first frame in which the excess is at most 0.1 dB, and over it and all later ones together, too: 0
            is no ghost. One more than the last frame of ``excess`` where there is no such frame.
    """

    excess: list[float | None]
    frames: int


@dataclass(frozen=True)
class Gain:
    """What a contender gains over another one, in dB: negative where it loses.

    Attributes:
        over: the other's name.
        psnr, still, moving, first: of these fields of ``ClipScores``.
        flicker: its flicker as a share of the other's: less than 1 is calmer.
        recovery: PSNR of the frames 0, 1, 2 and 3 after a cut above the other's, the mean over the cuts; None without
            a cut.
        drift: how much larger the gain is in the frames from 250 to 300 than in those from 20 to 70; None for shorter
            clips.
    """

    over: str
    psnr: float
    still: float | None
    moving: float | None
    first: float
    flicker: float | None
    recovery: list[float | None] | None
    drift: float | None


@dataclass(frozen=True)
class ClipScores:
    """One contender on one clip. PSNR in dB on uint8 RGB; all but ``first`` leaves out the clip's ``burn_in`` frames.

    Attributes:
        psnr_by_frame, ssim_by_frame: of every frame.
        psnr, ssim: their means.
        first: PSNR of the first frame.
        still, moving: PSNR of the mean squared error of all pixels that stand still, or move; None where none does.
        flicker: the standard deviation over time where the scene stands still, in steps of 255
            (``compare.clips.measure.flicker``); None where nothing stands still.
        gain: PSNR above that of the noisy frames.
        drop: PSNR below that of the float twin; None without one.
        baseline: against the still model that the comparison names; None for that model itself.
        history: against the same network without history; None for all others.
        ghost: against the same network without history; None where nothing leaves.
        drift: PSNR of the frames from 250 to 300 above that of the frames from 20 to 70; None for shorter clips.
        setting: the strength that a filter chose for this clip.
    """

    psnr_by_frame: list[float]
    ssim_by_frame: list[float]
    psnr: float
    ssim: float
    first: float
    still: float | None
    moving: float | None
    flicker: float | None
    gain: float
    drop: float | None = None
    baseline: Gain | None = None
    history: Gain | None = None
    ghost: Ghost | None = None
    drift: float | None = None
    setting: str | None = None


@dataclass(frozen=True)
class RowTime:
    """Time of one frame of the first clip, with all that the runtime does for it.

    Attributes:
        ms: the median of all frames, milliseconds. All contenders took turns.
        ratio: the time against that of the first model in the same round, the median over the rounds.
    """

    ms: float
    ratio: float | None


@dataclass(frozen=True)
class ClipRow:
    """One contender over all clips.

    Attributes:
        kind: ``noisy``, ``classic`` or ``model``.
        psnr, ssim, first, still, moving, flicker, gain, drop, baseline, history: as in ``ClipScores``, the means over
            the clips that have them.
        ghost: over the pixels of all clips.
        drift: the mean over the clips of 300 frames and more.
        worst_clip: the clip where it gains least over the baseline, or over the noisy frames if there is no baseline.
        clips: by the clip's name.
        without_history: of a video network, the name of the row of the same network without history.
        partner: of a row without history, the name of the row with it.
        reference: of a quantized model, its float twin.
        path, recipe, manifest: of a model.
    """

    name: str
    title: str
    kind: str
    psnr: float
    ssim: float
    first: float
    still: float | None
    moving: float | None
    flicker: float | None
    gain: float
    worst_clip: str
    clips: dict[str, ClipScores]
    drop: float | None = None
    baseline: Gain | None = None
    history: Gain | None = None
    ghost: Ghost | None = None
    drift: float | None = None
    time: RowTime | None = None
    without_history: str | None = None
    partner: str | None = None
    reference: str | None = None
    is_quantized: bool = False
    path: str | None = None
    recipe: str | None = None
    manifest: dict[str, Any] | None = None


@dataclass(frozen=True)
class ClipComparison:
    """The result: plain values throughout; ``to_dict`` gives the JSON report.

    Attributes:
        data: where the clips come from. noise: of which camera; None where the data set had it.
        clips: in the order in which they were compared.
        rows: noisy first, then filters, then models in the order they were given, each followed by itself without
            history.
        about: the name of the model that the report is about: the first one, or if that is a float model, the model
            that was quantized from it.
        baseline: the name of the still model that the others are compared with: the first one that is quantized if the
            model that the report is about is; None if no still model is given.
        gate: each limit of the quality gate; empty without one.
        problems: clips that were left out, and why. notes: what was not measured, and why.
    """

    data: str
    noise: str | None
    clips: list[ClipFacts]
    rows: list[ClipRow]
    about: str
    baseline: str | None
    gate: list[GateCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> ClipRow:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def models(self) -> list[ClipRow]:
        """The rows that are models."""
        return [row for row in self.rows if row.kind == "model"]

    @property
    def subject(self) -> ClipRow:
        """The row of the model that the comparison is about."""
        return self.row(self.about)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``format`` is the version of this layout."""
        return {"format": FORMAT} | asdict(self)

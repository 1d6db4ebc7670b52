"""The result of a comparison on clips as plain values: clips, rows, and the whole report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from compare.scores import GateCheck

__all__ = ["ClipComparison", "ClipFacts", "ClipRow", "ClipScores", "Ghost", "RowTime"]

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
    """

    name: str
    frames: int
    width: int
    height: int
    burn_in: int
    cuts: list[int]
    moving: float


@dataclass(frozen=True)
class Ghost:
    """What stays of things that have left, measured against the same network without history.

    It looks at pixels that moved a short while ago and stand still since, where what was there before differed from
    what is there now by more than 20 steps of 255.

    Attributes:
        excess: the error above that of the network without history, in dB, by the frames since the pixels moved: 0 is
            the frame in which they moved last. None where there are no such pixels.
        frames: from so many frames on, the excess stays at 0.1 dB or less. None if it never does, or nothing left.
    """

    excess: list[float | None]
    frames: int | None


@dataclass(frozen=True)
class ClipScores:
    """One contender on one clip. PSNR in dB on uint8 RGB; means leave out the clip's ``burn_in`` frames.

    Attributes:
        psnr_by_frame, ssim_by_frame: of every frame.
        psnr, ssim: their means.
        first: PSNR of the first frame.
        still, moving: PSNR of the mean squared error of all pixels that stand still, or move; None where none does.
        flicker: the standard deviation over time where the scene stands still, steps of 255, the mean over pixels and
            channels (``compare.clips.flicker``); None where nothing stands still.
        gain: ``psnr`` above that of the noisy frames. over_baseline: above that of the still model that the comparison
            names ``baseline``. drop: below that of the float twin. history_gain: above that of the same network without
            history, and still_gain, moving_gain likewise.
        first_gain: PSNR of the first frame above that of the same network without history.
        recovery: the same for the frames 0, 1, 2 and 3 after a cut, the mean over the cuts.
        ghost: against the same network without history.
        drift: PSNR of the frames from 250 to 300 above that of the frames from 20 to 70; None for shorter clips.
        drift_of_gain: the same of ``history_gain``, so that it does not depend on what the clip shows.
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
    over_baseline: float | None = None
    drop: float | None = None
    history_gain: float | None = None
    still_gain: float | None = None
    moving_gain: float | None = None
    first_gain: float | None = None
    recovery: list[float] | None = None
    ghost: Ghost | None = None
    drift: float | None = None
    drift_of_gain: float | None = None
    setting: str | None = None


@dataclass(frozen=True)
class RowTime:
    """Time of one frame, of the size of the first clip, with all that the runtime does for it.

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
        psnr, ssim, first, still, moving, flicker, gain, over_baseline, drop, history_gain, still_gain, moving_gain,
            first_gain, recovery: means of the clips' (``ClipScores``) over those that have one.
        worst_clip: name of the clip where ``over_baseline`` is least, or ``psnr`` where there is no baseline.
        worst: that value.
        ghost: over the pixels of all clips.
        drift, drift_of_gain: of the clip where it is farthest from 0.
        without_history: name of the row of the same network without history. partner_of: of the row with history.
        reference: name of the float twin.
        clips: by the clip's name.
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
    worst: float
    clips: dict[str, ClipScores]
    over_baseline: float | None = None
    drop: float | None = None
    history_gain: float | None = None
    still_gain: float | None = None
    moving_gain: float | None = None
    first_gain: float | None = None
    recovery: list[float] | None = None
    ghost: Ghost | None = None
    drift: float | None = None
    drift_of_gain: float | None = None
    time: RowTime | None = None
    without_history: str | None = None
    partner_of: str | None = None
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
        baseline: the name of the still model that others are compared with; the model without history where no still
            model is given.
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

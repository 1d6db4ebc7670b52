"""The result of a comparison as plain values: rows, groups, regions, and the whole report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from compare.blame.values import Blame
from compare.worst import PatchScore

__all__ = ["Comparison", "Difference", "GateCheck", "GroupScore", "ModelScore", "PairScore", "RegionScore"]

FORMAT = 3
"""Version of the JSON report's layout; docs/reference/comparison.md describes it."""


@dataclass(frozen=True)
class Difference:
    """How the values of a model differ from the reference's, over all samples.

    Attributes:
        against: the other model's name.
        equal, within_1, within_2: shares, 0 to 1, of values that differ by at most 0, 1 and 2 steps of 255.
        largest: the greatest difference, steps.
        mean: of model minus reference, steps. deviation: the root mean square.
        histogram: how many values differ by each number of steps, model minus reference; only steps that occur.
    """

    against: str
    equal: float
    within_1: float
    within_2: float
    largest: int
    mean: float
    deviation: float
    histogram: dict[str, int]


@dataclass(frozen=True)
class GroupScore:
    """One row on the pictures of one group.

    Attributes:
        pictures: how many. psnr, ssim: means over them. gain: PSNR above the noisy pictures', dB.
        drop: PSNR below the reference's, dB; None if the row has no reference.
    """

    pictures: int
    psnr: float
    ssim: float
    gain: float
    drop: float | None


@dataclass(frozen=True)
class RegionScore:
    """One row on the pixels of one region. ``psnr`` is of their mean error, ``bias`` per channel in steps of 255."""

    share: float
    psnr: float | None
    drop: float | None
    bias: list[float]


@dataclass(frozen=True)
class ModelScore:
    """One row: the noisy pictures themselves, a filter, or a model.

    Attributes:
        kind: ``noisy``, ``classic`` or ``model``.
        psnr: mean over samples, dB, on uint8 RGB. ssim: likewise, at most 1.
        gain: PSNR above the noisy pictures', dB.
        reference: the float twin of a quantized model. drop: PSNR below that of its float twin, dB.
        bias: mean of denoised minus clean, steps of 255, per channel.
        banding: false contours in each 1000 flat pixels (``compare.regions.contours``); None if nothing is flat.
        groups: by ``phone``, ``iso`` and ``brightness``, then by value. regions: flat, edge, texture. lights: shadows,
            middle, highlights.
        ms: median time of the bare network, or of the filter, for one frame of the models' size; None for a ``.keras``.
        strength: the median of a filter's best strengths. strengths: for how many pictures each setting was the best.
        path: of a model, its file.
    """

    name: str
    title: str
    kind: str
    psnr: float
    ssim: float
    gain: float
    bias: list[float]
    banding: float | None
    groups: dict[str, dict[str, GroupScore]]
    regions: dict[str, RegionScore]
    lights: dict[str, RegionScore]
    drop: float | None = None
    reference: str | None = None
    is_quantized: bool = False
    ms: float | None = None
    recipe: str | None = None
    bytes: int | None = None
    bytes_gzipped: int | None = None
    parameters: int | None = None
    sparsity: float | None = None
    gmacs_256: float | None = None
    int8_share: float | None = None
    strength: float | None = None
    strengths: dict[str, int] | None = None
    difference: Difference | None = None
    path: str | None = None
    manifest: dict[str, Any] | None = None


@dataclass(frozen=True)
class PairScore:
    """One sample: PSNR in dB and SSIM by row name."""

    name: str
    scene: str
    psnr: dict[str, float]
    ssim: dict[str, float]


@dataclass(frozen=True)
class GateCheck:
    """One limit of the quality gate, checked for one quantized model on one group of pictures.

    Attributes:
        reference: its float twin. where: ``all``, or ``ISO`` and its bucket. pictures: how many.
        drop: what it loses to its float twin, dB. limit: what it may lose, dB.
    """

    model: str
    reference: str
    where: str
    pictures: int
    drop: float
    limit: float
    holds: bool


@dataclass(frozen=True)
class Comparison:
    """The result: plain values throughout; ``to_dict`` gives the JSON report.

    Attributes:
        data: the data set's name.
        pictures: how many samples were compared.
        rows: noisy first, then filters, then models in the order they were given.
        pairs: the samples one by one; of more than 2048, that many are evenly chosen.
        about: the name of the model that the report is about: the first one, or if that is a float model, the model
            that was quantized from it.
        reference: its float twin; None without one.
        width, height: the models' frame size; times are for this size.
        clean_banding: false contours in each 1000 flat pixels of the clean pictures; None if nothing is flat.
        worst: the patches with the subject's lowest PSNR. costliest: those where it loses most to the reference.
        blame: layer by layer, of each quantized model that has a float twin.
        gate: each limit of the quality gate; empty without one.
        problems: pairs that were left out, and why. notes: what was not measured, and why.
    """

    data: str
    pictures: int
    rows: list[ModelScore]
    pairs: list[PairScore]
    about: str
    reference: str | None
    width: int
    height: int
    clean_banding: float | None = None
    worst: list[PatchScore] = field(default_factory=list)
    costliest: list[PatchScore] = field(default_factory=list)
    blame: list[Blame] = field(default_factory=list)
    gate: list[GateCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> ModelScore:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def models(self) -> list[ModelScore]:
        """The rows that are models."""
        return [row for row in self.rows if row.kind == "model"]

    @property
    def subject(self) -> ModelScore:
        """The row of the model that the comparison is about."""
        return self.row(self.about)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``format`` is the version of this layout."""
        return {"format": FORMAT} | asdict(self)

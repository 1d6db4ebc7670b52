"""The figures of a report's charts: a histogram, bars of layers, and a dot for each picture; lengths in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from compare.blame.values import Blame
from compare.scores import Comparison

__all__ = ["Bar", "Dot", "LayerBar", "Spread", "SpreadLine", "histogram", "layer_bars", "spread"]

_MARGIN_DB = 0.5
_MOST_STEPS = 12
_MOST_SQNR = 60.0


@dataclass(frozen=True)
class Bar:
    """How many values differ by ``step`` steps of 255. ``label`` is empty if the axis has no room for it."""

    step: int
    count: int
    height: float
    label: str


def histogram(counts: Mapping[str, int]) -> list[Bar]:
    """A bar for each number of steps, its height logarithmic; the outermost bars also count all larger differences."""
    reach = min(_MOST_STEPS, max((abs(int(step)) for step in counts), default=0))
    bars = dict.fromkeys(range(-reach, reach + 1), 0)
    for steps, count in counts.items():
        bars[max(-reach, min(reach, int(steps)))] += count
    top = math.log10(1 + max(bars.values(), default=1))
    found = []
    for step, count in bars.items():
        beyond = "≥" if step == reach == _MOST_STEPS else "≤" if step == -reach == -_MOST_STEPS else ""
        label = f"{beyond}{step}" if step % 4 == 0 or reach <= 4 else ""
        found.append(Bar(step, count, round(100 * math.log10(1 + count) / top if top else 0.0, 2), label))
    return found


@dataclass(frozen=True)
class LayerBar:
    """One layer: the SQNR of its output and what it costs alone, as numbers in dB and as the lengths of two bars."""

    name: str
    kind: str
    sqnr: str
    sqnr_length: float
    cost: str
    cost_length: float
    is_culprit: bool


def layer_bars(blamed: Blame) -> list[LayerBar]:
    """The layers in the order of the network."""
    most = max((layer.cost for layer in blamed.layers), default=0.0)
    top = min(_MOST_SQNR, max((layer.sqnr for layer in blamed.layers), default=1.0))
    return [
        LayerBar(
            name=layer.name,
            kind=layer.kind,
            sqnr=f">{_MOST_SQNR:.0f}" if layer.sqnr > _MOST_SQNR else f"{layer.sqnr:.1f}",
            sqnr_length=round(100 * max(0.0, min(layer.sqnr, top)) / top, 2),
            cost=f"{layer.cost:z.3f}",
            cost_length=round(100 * max(0.0, layer.cost) / most, 2) if most > 0 else 0.0,
            is_culprit=layer.name == blamed.culprit,
        )
        for layer in blamed.layers
    ]


@dataclass(frozen=True)
class Dot:
    """One PSNR on the axis. ``kind`` is noisy, reference or subject."""

    kind: str
    place: float
    psnr: float


@dataclass(frozen=True)
class SpreadLine:
    """One picture: its dots, and a line from ``start`` over ``length`` between noisy and denoised."""

    name: str
    start: float
    length: float
    dots: list[Dot]
    psnr: float


@dataclass(frozen=True)
class Spread:
    """PSNR of each picture on one axis, the worst picture first.

    Attributes:
        kinds: of the dots, each with the name of its row.
        ticks: dB of each tick and its place.
    """

    kinds: dict[str, str]
    ticks: list[tuple[int, float]]
    lines: list[SpreadLine]


def spread(comparison: Comparison) -> Spread:
    """Each picture's PSNR: noisy, of the reference if there is one, and of the subject."""
    subject = comparison.subject.name
    kinds = {"noisy": "noisy"}
    if comparison.reference and comparison.reference != subject:
        kinds["reference"] = comparison.reference
    kinds["subject"] = subject
    values = [pair.psnr[row] for pair in comparison.pairs for row in kinds.values()]
    low, high = min(values) - _MARGIN_DB, max(values) + _MARGIN_DB

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)
    ticks = [(value, place(value)) for value in range(int(-(-low // step) * step), int(high) + 1, step)]
    lines = []
    for pair in sorted(comparison.pairs, key=lambda pair: pair.psnr[subject]):
        start, end = sorted((place(pair.psnr["noisy"]), place(pair.psnr[subject])))
        dots = [Dot(kind, place(pair.psnr[row]), pair.psnr[row]) for kind, row in kinds.items()]
        lines.append(SpreadLine(pair.name, start, round(end - start, 2), dots, pair.psnr[subject]))
    return Spread(kinds, ticks, lines)

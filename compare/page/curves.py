"""Curves of a report: PSNR of each frame, as points of SVG lines."""

from __future__ import annotations

from dataclasses import dataclass

from compare.clips.scores import ClipComparison, ClipFacts

__all__ = ["Curve", "Curves", "psnr_curves"]

WIDTH, HEIGHT = 1000.0, 260.0
_MARGIN_DB = 0.5
_COLORS = 8


@dataclass(frozen=True)
class Curve:
    """One line. ``points`` are those of an SVG polyline; ``style`` is ``subject``, ``noisy`` or a number from 1 on."""

    name: str
    title: str
    style: str
    points: str
    mean: float


@dataclass(frozen=True)
class Curves:
    """Lines on a drawing of 1000 x 260: x is the frame, y dB.

    Attributes:
        ticks: dB of each horizontal line, and its y. cuts: x of the frames after a cut.
        step: x from one frame to the next.
    """

    lines: list[Curve]
    ticks: list[tuple[int, float]]
    cuts: list[float]
    step: float
    low: float
    high: float


def psnr_curves(comparison: ClipComparison, clip: ClipFacts) -> Curves:
    """PSNR of every row in each frame of ``clip``."""
    values = [value for row in comparison.rows for value in row.clips[clip.name].psnr_by_frame]
    low, high = min(values) - _MARGIN_DB, max(values) + _MARGIN_DB
    step = WIDTH / max(1, clip.frames - 1)

    def place(value: float) -> float:
        return round(HEIGHT * (high - value) / (high - low), 1)

    apart = next((each for each in (1, 2, 5, 10, 20) if (high - low) / each <= 8), 50)
    ticks = [(value, place(value)) for value in range(int(-(-low // apart) * apart), int(high) + 1, apart)]
    lines, number = [], 0
    for row in comparison.rows:
        if row.name == comparison.about:
            style = "subject"
        elif row.kind == "noisy":
            style = "noisy"
        else:
            style, number = str(number % _COLORS + 1), number + 1
        scores = row.clips[clip.name]
        points = " ".join(f"{step * x:.1f},{place(y)}" for x, y in enumerate(scores.psnr_by_frame))
        lines.append(Curve(row.name, row.title, style, points, scores.psnr))
    return Curves(lines, ticks, [round(step * cut, 1) for cut in clip.cuts], step, min(values), max(values))

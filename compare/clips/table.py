"""A comparison on clips as tables on the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from compare.clips.scores import ClipComparison, ClipRow, Gain
from compare.table import begin_table, print_gate

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["footnote", "settings_of", "show_clips"]


def show_clips(comparison: ClipComparison, console: Console) -> None:
    """Print the tables, and under them what was measured."""
    console.print(_quality(comparison))
    console.print(footnote(comparison))
    if any(row.baseline or row.history for row in comparison.models):
        console.print(_gains(comparison))
        console.print(
            "gains in dB, flicker as a factor; worst: in the clip where the gain is least; cut +0: the first frame "
            "after a cut; ghost: frames until nothing is left of what has left, against no history; drift: gain of the "
            "frames 250 to 300 above that of 20 to 70"
        )
    console.print(_clips(comparison))
    for row in comparison.rows:
        if row.kind == "classic":
            console.print(f"{row.title}, best at: {settings_of(row)}")
    print_gate(comparison.gate, "frames", console)


def footnote(comparison: ClipComparison) -> str:
    """What was measured: clips, frames, noise, units, and threads."""
    clips = comparison.clips
    first = clips[0]
    threads = comparison.machine["timed_threads"]
    noise = f", filmed by {comparison.noise}" if comparison.noise else ""
    skipped = f", {len(comparison.problems)} left out" if comparison.problems else ""
    begin = sorted({clip.burn_in for clip in clips})
    left_out = f"{begin[0]}" if len(begin) == 1 else f"{begin[0]} to {begin[-1]}"
    return (
        f"{_count(len(clips), 'clip')} of {comparison.data}{noise}{skipped}; means over frames, without the first "
        f"{left_out} of each clip; flicker: standard deviation over time where the scene stands still, steps of "
        f"255; ms for one frame of {first.width}x{first.height} on {_count(threads, 'thread')}"
    )


def settings_of(row: ClipRow) -> str:
    """The strengths that a filter chose, each with how many clips it suits best."""
    counts = Counter(str(each.setting) for each in row.clips.values())
    return "; ".join(f"{setting} ({_count(count, 'clip')})" for setting, count in counts.most_common())


def _quality(comparison: ClipComparison) -> Table:
    heads = ["model", "PSNR dB", "gain", "drop", "still", "moving", "first", "flicker", "SSIM", "ms", "time x"]
    table = begin_table(heads)
    for row in comparison.rows:
        table.add_row(
            row.title,
            f"{row.psnr:.2f}",
            "" if row.kind == "noisy" else _signed(row.gain),
            _number(row.drop, 3),
            _number(row.still),
            _number(row.moving),
            f"{row.first:.2f}",
            _number(row.flicker),
            f"{row.ssim:.4f}",
            _number(row.time.ms if row.time else None),
            _number(row.time.ratio if row.time else None, 3),
            style=_style(comparison, row),
        )
    return table


def _gains(comparison: ClipComparison) -> Table:
    """What each model gains over the still model, and each video network over itself without history."""
    models = comparison.models
    after = [f"cut +{index}" for index in range(4)] if any(clip.cuts for clip in comparison.clips) else []
    drifts = ["drift"] if any(row.drift is not None for row in models) else []
    heads = ["model", "over", "PSNR", "worst", "still", "moving", "flicker x", "first", *after, "ghost", *drifts]
    table = begin_table(heads)
    for row in models:
        for kind in ("baseline", "history"):
            gain: Gain | None = getattr(row, kind)
            if gain is None:
                continue
            worst = min(getattr(clip, kind).psnr for clip in row.clips.values())
            table.add_row(
                row.title,
                "no history" if kind == "history" else gain.over,
                *(_signed(each) for each in (gain.psnr, worst, gain.still, gain.moving)),
                _number(gain.flicker),
                _signed(gain.first),
                *([_signed(each) for each in gain.recovery or [None] * 4] if after else []),
                str(row.ghost.frames) if row.ghost and kind == "history" else "",
                *([_signed(gain.drift)] if drifts else []),
                style=_style(comparison, row),
            )
    return table


def _clips(comparison: ClipComparison) -> Table:
    """PSNR of every row on each clip, and how much of the clip moves."""
    heads = ["PSNR dB of", *(f"{row.title}" for row in comparison.rows), "moves"]
    table = begin_table(heads, fold_heads=True)
    for clip in comparison.clips:
        values = [f"{row.clips[clip.name].psnr:.2f}" for row in comparison.rows]
        table.add_row(clip.name, *values, f"{clip.moving:.0%}")
    return table


def _style(comparison: ClipComparison, row: ClipRow) -> str:
    return "bold" if row.name == comparison.about else "dim" if row.kind == "noisy" else ""


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

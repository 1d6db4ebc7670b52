"""Shows an evaluation on clips: a table, and strips of single frames without history and with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from quietcam.data.clips.clip import Clip
from train.evaluation.clips import ClipScore, ClipScores, Parts, Treated
from train.evaluation.page import PageTable, Strip, worst_place

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["clip_page_table", "clip_strips", "clip_table"]

_COLUMNS = ("frames", "noisy dB", "without history", "denoised dB", "by history", "still parts", "moving parts")
_TITLE = "Clips: PSNR in dB, and how much of it history gives, on the whole, on still parts and on moving parts"


def clip_table(scores: ClipScores) -> Table:
    """A row for each set."""
    from rich.table import Table

    shown = Table(title=_TITLE, title_justify="left")
    shown.add_column("", overflow="fold")
    for column in _COLUMNS:
        shown.add_column(column, justify="right")
    for name in scores.sets():
        shown.add_row(name, *_cells(scores, name), style="bold")
    return shown


def clip_page_table(scores: ClipScores) -> PageTable:
    """The same for the page, with a row for each clip."""
    rows = []
    for name in scores.sets():
        rows.append((name, _cells(scores, name)))
        rows += [(f"  {each.name}", _of_clip(each)) for each in scores.scores if each.set == name]
    return PageTable(_TITLE, _COLUMNS, rows)


def clip_strips(scores: ClipScores, treat: Callable[[Clip], Iterator[Treated]], count: int) -> list[Strip]:
    """Up to ``count`` clips of each kind: of each the frame to which history gives least; ``treat`` denoises again."""
    found = []
    for kind, clips in scores.chosen(count).items():
        for number, score in enumerate(clips, start=1):
            gains = np.subtract(score.by_frame, score.without_by_frame)
            # In the first frame there is no history, so its gain is always zero.
            index = 1 + int(gains[1:].argmin()) if len(gains) > 1 else 0
            frame = next(each for place, each in enumerate(treat(scores.find(score))) if place == index)
            at = worst_place(frame.clean, frame.denoised)
            pictures = [frame.noisy[at], frame.without[at], frame.denoised[at], frame.clean[at]]
            words = (
                f"{score.set}: {score.name}, frame {index}, {score.without_by_frame[index]:.2f} dB without history, "
                f"{score.by_frame[index]:.2f} with it ({gains[index]:+.2f})"
            )
            file = f"{kind.replace(' ', '_')}_{number}.png"
            found.append(Strip(kind, file, words, np.concatenate(pictures, axis=1)))
    return found


def _cells(scores: ClipScores, of_set: str) -> tuple[str, ...]:
    means = scores.mean(of_set)
    return _row(scores.frames(of_set), means["noisy"], means["without_history"], means["denoised"])


def _of_clip(score: ClipScore) -> tuple[str, ...]:
    return _row(score.frames, score.noisy, score.without_history, score.denoised)


def _row(frames: int, noisy: Parts, without: Parts, denoised: Parts) -> tuple[str, ...]:
    gains = [
        "" if after is None or before is None else f"{after - before:+.2f}"
        for before, after in zip(
            (without.psnr, without.still, without.moving), (denoised.psnr, denoised.still, denoised.moving), strict=True
        )
    ]
    return (str(frames), *(f"{each.psnr:.2f}" for each in (noisy, without, denoised)), *gains)

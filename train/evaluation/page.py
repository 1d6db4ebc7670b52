"""Shows an evaluation: a table for the terminal; strips of noisy, denoised and clean; a page with both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quietcam.data.pictures.files import write_picture
from quietcam.files.atomic import write_text
from quietcam.image import Image, as_channels
from quietcam.terminal.page import picture_uri, render_page
from train.evaluation.evaluate import PairScores, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table

__all__ = ["PageTable", "Strip", "page_table", "strips", "table", "worst_place", "write_pictures"]

_SIDE = 320
"""Side in pixels of the part of a picture that is shown, where the error is greatest."""

_TITLE = "PSNR in dB and SSIM on uint8"
_COLUMNS = ("pictures", "noisy dB", "denoised dB", "gain", "noisy SSIM", "SSIM")


@dataclass(frozen=True)
class Strip:
    """Noisy, denoised and clean side by side, uint8 ``(H, 3 W, C)``; of a clip four, with one without history.

    Attributes:
        kind: what it is an example of, such as worst. words: which picture it shows, and its figures.
    """

    kind: str
    file: str
    words: str
    picture: Image


@dataclass(frozen=True)
class PageTable:
    """A table of the page: rows that begin with a space belong to the row above."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, tuple[str, ...]]]


def page_table(evaluation: PairScores) -> PageTable:
    """The table of ``table`` for the page."""
    return PageTable(_TITLE, _COLUMNS, [(row, _cells(score)) for row, score in _rows(evaluation)])


def table(evaluation: PairScores) -> Table:
    """A row for each set and each group of it."""
    from rich.table import Table

    shown = Table(title=_TITLE, title_justify="left")
    shown.add_column("", overflow="fold")
    for column in _COLUMNS:
        shown.add_column(column, justify="right")
    for name, score in _rows(evaluation):
        shown.add_row(name, *_cells(score), style="bold" if not name.startswith(" ") else "")
    return shown


def strips(evaluation: PairScores, denoise: Callable[[Image], Image], channels: int, count: int) -> list[Strip]:
    """Up to ``count`` strips of each kind; ``denoise`` computes their pictures again."""
    found = []
    for kind, pictures in evaluation.chosen(count).items():
        for number, picture in enumerate(pictures, start=1):
            sample = evaluation.samples[picture.set].find(picture.name)
            noisy, clean = as_channels(sample.noisy, channels), as_channels(sample.clean, channels)
            denoised = denoise(noisy)
            at = worst_place(clean, denoised)
            words = (
                f"{picture.set}: {picture.name}, {picture.noisy_psnr:.2f} dB noisy, {picture.psnr:.2f} denoised "
                f"({picture.gain:+.2f}), SSIM {picture.noisy_ssim:.3f} to {picture.ssim:.3f}"
            )
            strip = np.concatenate([noisy[at], denoised[at], clean[at]], axis=1)
            found.append(Strip(kind, f"{kind.replace(' ', '_')}_{number}.png", words, strip))
    return found


def write_pictures(
    folder: Path,
    name: str,
    tables: Sequence[PageTable],
    shown: Sequence[Strip],
    facts: Mapping[str, Any],
    problems: Sequence[str],
) -> None:
    """Write each strip as a PNG to ``folder``, and ``index.html``, which contains them all and opens offline.

    Raises:
        StorageError: it cannot be written.
    """
    for strip in shown:
        write_picture(folder / strip.file, strip.picture)
    page = render_page(
        "train.evaluation",
        "evaluation.html.j2",
        name=name,
        facts=facts,
        tables=tables,
        kinds=list(dict.fromkeys(strip.kind for strip in shown)),
        strips=[(strip.kind, strip.words, picture_uri(strip.picture)) for strip in shown],
        problems=problems,
    )
    write_text(folder / "index.html", page)


def _rows(evaluation: PairScores) -> list[tuple[str, Score]]:
    rows = []
    for name in evaluation.samples:
        rows.append((name, evaluation.score(name)))
        for kind, value in evaluation.groups_in(name):
            shown = f"  {'ISO' if kind == 'iso' else kind} {value}"
            rows.append((shown, evaluation.score(name, (kind, value))))
    if len(evaluation.samples) > 1:
        rows.append(("all", evaluation.score()))
    return rows


def _cells(score: Score) -> tuple[str, ...]:
    return (
        str(score.pictures),
        f"{score.noisy_psnr:.2f}",
        f"{score.psnr:.2f}",
        f"{score.gain:+.2f}",
        f"{score.noisy_ssim:.4f}",
        f"{score.ssim:.4f}",
    )


def worst_place(clean: Image, denoised: Image) -> tuple[slice, slice]:
    """The square of up to ``_SIDE`` pixels with the greatest squared error, at multiples of 16 pixels."""
    error = np.square(denoised.astype(np.float64) - clean).sum(axis=2)
    sums = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(_SIDE, side) for side in error.shape)
    tops, lefts = (np.arange(0, side - own + 1, 16) for side, own in zip(error.shape, (height, width), strict=True))
    below, right = np.ix_(tops + height, lefts + width), np.ix_(tops, lefts + width)
    inside = sums[below] - sums[right] - sums[np.ix_(tops + height, lefts)] + sums[np.ix_(tops, lefts)]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    top, left = int(tops[row]), int(lefts[column])
    return slice(top, top + height), slice(left, left + width)

"""A comparison on clips as one HTML file, in which the clips play: it opens offline and needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from compare.clips.scores import ClipComparison, ClipRow, Gain
from compare.clips.table import footnote, settings_of
from compare.page.curves import HEIGHT, WIDTH, psnr_curves
from compare.page.reels import COLUMNS, Reel
from compare.page.tables import Cell, Row, Table
from quietcam.files.atomic import write_text
from quietcam.terminal.page import picture_uri, render_page

__all__ = ["render_clips", "write_clips_html"]


def write_clips_html(path: Path, comparison: ClipComparison, reels: Mapping[str, Reel]) -> None:
    """Write the report to ``path``. ``reels``: by the name of the clip; clips without one have only figures.

    Raises:
        StorageError: it cannot be written.
        MissingExtraError: jinja2 is not installed (by the command line).
    """
    write_text(path, render_clips(comparison, reels))


def render_clips(comparison: ClipComparison, reels: Mapping[str, Reel]) -> str:
    """The page as HTML. The same comparison and reels give the same page."""
    return render_page(
        "compare.page",
        "clips.html.j2",
        comparison=comparison,
        subject=comparison.subject,
        figures=_figures(comparison),
        footnote=footnote(comparison),
        models=_models(comparison),
        history=_history(comparison),
        gate=comparison.gate,
        clips=[
            (clip, psnr_curves(comparison, clip), _of_clip(comparison, clip.name), reels.get(clip.name))
            for clip in comparison.clips
        ],
        settings=[(row.title, settings_of(row)) for row in comparison.rows if row.kind == "classic"],
        titles={row.name: row.title for row in comparison.rows} | {"clean": "Clean"},
        views={"moving": "Where it moves most", "flat": "Where it is flat"},
        columns=COLUMNS,
        width=WIDTH,
        height=HEIGHT,
        picture_uri=picture_uri,
    )


def _figures(comparison: ClipComparison) -> list[tuple[str, str, str]]:
    """Value, unit and meaning of what matters most."""
    subject = comparison.subject
    found = [(f"{subject.gain:+.2f}", "dB", "gain over the noisy frames")]
    classic = max((row.psnr for row in comparison.rows if row.kind == "classic"), default=None)
    if classic is not None:
        found.append((f"{subject.psnr - classic:+.2f}", "dB", "over the best classical filter"))
    if subject.baseline is not None:
        found.append((f"{subject.baseline.psnr:+.2f}", "dB", f"over {subject.baseline.over}"))
    if subject.history is not None and subject.history.flicker is not None:
        found.append((f"{subject.history.flicker:.2f}", "x", "the flicker of the same network without history"))
    if subject.time is not None:
        first = comparison.clips[0]
        found.append((f"{subject.time.ms:.1f}", "ms", f"a frame of {first.width}x{first.height}"))
    return found


def _models(comparison: ClipComparison) -> Table:
    """Every row over all clips."""
    heads = ["model", "PSNR dB", "gain", "over baseline", "drop", "still", "moving", "first", "flicker", "SSIM", "ms"]
    rows = []
    for row in comparison.rows:
        gain = None if row.kind == "noisy" else row.gain
        baseline = row.baseline.psnr if row.baseline else None
        cells = [(row.title, row.title), _number(row.psnr), _number(gain, "+.2f"), _number(baseline, "+.2f")]
        cells += [_number(row.drop, ".3f"), _number(row.still), _number(row.moving), _number(row.first)]
        cells += [_number(row.flicker), _number(row.ssim, ".4f"), _number(row.time.ms if row.time else None)]
        rows.append(Row(_kind(comparison, row), cells))
    return Table(heads, rows)


def _history(comparison: ClipComparison) -> Table:
    """What history gives each video network."""
    heads = ["with history", "PSNR dB", "still", "moving", "flicker x", "first frame", "ghost, frames", "drift"]
    found: list[tuple[ClipRow, Gain]] = [(row, row.history) for row in comparison.rows if row.history is not None]
    rows = []
    for row, gain in found:
        cells = [(row.title, row.title), *(_number(each, "+.2f") for each in (gain.psnr, gain.still, gain.moving))]
        cells += [_number(gain.flicker), _number(gain.first, "+.2f")]
        cells += [_number(row.ghost.frames if row.ghost else None, "d"), _number(gain.drift, "+.2f")]
        rows.append(Row(_kind(comparison, row), cells))
    return Table(heads, rows)


def _of_clip(comparison: ClipComparison, clip: str) -> Table:
    """Every row on one clip."""
    rows = []
    for row in comparison.rows:
        scores = row.clips[clip]
        setting = scores.setting or ""
        cells = [(row.title, row.title), _number(scores.psnr), _number(scores.ssim, ".4f"), _number(scores.first)]
        cells += [_number(scores.still), _number(scores.moving), _number(scores.flicker), (setting, setting)]
        rows.append(Row(_kind(comparison, row), cells))
    return Table(["model", "PSNR dB", "SSIM", "first", "still", "moving", "flicker", "strength"], rows, words=(7,))


def _number(value: float | None, form: str = ".2f") -> Cell:
    return ("" if value is None else format(value, form), value)


def _kind(comparison: ClipComparison, row: ClipRow) -> str:
    return "subject" if row.name == comparison.about else row.kind

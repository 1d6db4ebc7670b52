"""A comparison as one HTML file: opens offline, holds its pictures, needs nothing from the network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from convert.compare import Comparison, ModelScore
from convert.showcase import DIFFERENCE_GAIN, ERROR_GAIN, Exhibit, choose_exhibits
from convert.table import COLUMNS, cells, footnote
from quietcam.atomic import write_text
from quietcam.data.pairs import Pair
from quietcam.errors import DataError
from quietcam.image import Image, swap_red_blue

__all__ = ["render", "write_html"]

_ROWS_SHOWN = 16
_MARGIN_DB = 0.5


def write_html(path: Path, comparison: Comparison, pairs: Sequence[Pair]) -> None:
    """Write the report to ``path``. ``pairs`` are those that were compared; three of them are read again for pictures.

    Raises:
        StorageError: it cannot be written.
        MissingExtraError: jinja2 is not installed (by the command line).
    """
    write_text(path, render(comparison, choose_exhibits(comparison, pairs)))


def render(comparison: Comparison, exhibits: Sequence[Exhibit]) -> str:
    """The page as text. The same comparison and pictures give the same page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    source = resources.files("convert").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    page: str = environment.from_string(source).render(
        title=_title(comparison),
        headline=_headline(comparison),
        figures=_figures(comparison),
        columns=COLUMNS,
        rows=[{"cells": cells(row), "kind": _kind(comparison, row)} for row in comparison.rows],
        footnote=footnote(comparison),
        exhibits=[_exhibit(comparison, each) for each in exhibits],
        spread=_spread(comparison),
        rows_shown=_ROWS_SHOWN,
        differences=[row for row in comparison.models if row.difference],
        filters=[row for row in comparison.rows if row.strengths],
        models=comparison.models,
        comparison=comparison,
    )
    return page


def _title(comparison: Comparison) -> str:
    return f"{comparison.subject.title} on {comparison.data}"


def _headline(comparison: Comparison) -> str:
    subject = comparison.subject
    noisy = comparison.rows[0]
    text = f"From {noisy.psnr:.2f} dB noisy to {subject.psnr:.2f} dB denoised, mean of {len(comparison.pairs)} pictures"
    if subject.drop is None:
        return f"{text}."
    if subject.drop > 0:
        return f"{text}; {subject.drop:.3f} dB under its float reference."
    return f"{text}; nothing lost to its float reference."


def _figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Value, unit and meaning of what matters most."""
    subject = comparison.subject
    found = [(f"{subject.gain:+.2f}", "dB", "gain over the noisy picture")]
    classic = max((row.psnr for row in comparison.rows if row.kind == "classic"), default=None)
    if classic is not None:
        found.append((f"{subject.psnr - classic:+.2f}", "dB", "over the best classical filter"))
    if subject.drop is not None:
        found.append((f"{subject.drop:.3f}", "dB", "lost from float"))
    if subject.bytes is not None:
        found.append((f"{subject.bytes / 1000:.0f}", "kB", "model file"))
    if subject.ms is not None:
        found.append((f"{subject.ms:.1f}", "ms", f"a frame of {comparison.width}x{comparison.height}, one thread"))
    return found


def _kind(comparison: Comparison, row: ModelScore) -> str:
    return "subject" if row.name == comparison.subject.name else row.kind


def _exhibit(comparison: Comparison, exhibit: Exhibit) -> dict[str, Any]:
    subject = comparison.subject.name
    crops = []
    for name, picture in exhibit.crops.items():
        words = {"noisy": "noisy", "clean": "clean"}.get(name) or _short(comparison.row(name))
        value = exhibit.psnr.get(name)
        crops.append((words, "" if value is None else f"{value:.2f} dB", _data_uri(picture)))
    maps = [(f"|{_short(comparison.subject)} − clean| ×{ERROR_GAIN}", _data_uri(exhibit.error))]
    if exhibit.difference is not None and comparison.reference:
        pair = f"|{_short(comparison.subject)} − {_short(comparison.row(comparison.reference))}|"
        maps.insert(0, (f"{pair} ×{DIFFERENCE_GAIN}", _data_uri(exhibit.difference)))
    height, width = exhibit.noisy.shape[:2]
    return {
        "rank": exhibit.rank,
        "name": exhibit.name,
        "noisy": _data_uri(exhibit.noisy),
        "denoised": _data_uri(exhibit.denoised),
        "width": width,
        "height": height,
        "box": [f"{100 * share:.3f}%" for share in exhibit.box],
        "noisy_psnr": f"{exhibit.psnr['noisy']:.2f}",
        "denoised_psnr": f"{exhibit.psnr[subject]:.2f}",
        "subject": _short(comparison.subject),
        "crops": crops,
        "maps": maps,
    }


def _short(row: ModelScore) -> str:
    """A model's recipe where known, for captions."""
    return row.recipe or row.title


def _spread(comparison: Comparison) -> dict[str, Any]:
    """PSNR of each picture, worst first, as places on a common axis in percent."""
    shown = [("noisy", "noisy")]
    if comparison.reference and comparison.reference != comparison.subject.name:
        shown.append((comparison.reference, "reference"))
    shown.append((comparison.subject.name, "subject"))
    values = [pair.psnr[name] for pair in comparison.pairs for name, _ in shown]
    low, high = min(values) - _MARGIN_DB, max(values) + _MARGIN_DB

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)
    first = int(-(-low // step) * step)
    ordered = sorted(comparison.pairs, key=lambda pair: pair.psnr[comparison.subject.name])
    rows = []
    for pair in ordered:
        ends = sorted((place(pair.psnr["noisy"]), place(pair.psnr[comparison.subject.name])))
        rows.append(
            {
                "name": pair.name,
                "dots": [(kind, place(pair.psnr[name]), f"{pair.psnr[name]:.2f}") for name, kind in shown],
                "line": (ends[0], round(ends[1] - ends[0], 2)),
                "value": f"{pair.psnr[comparison.subject.name]:.2f}",
            }
        )
    return {
        "ticks": [(value, place(value)) for value in range(first, int(high) + 1, step)],
        "rows": rows,
        "legend": [(kind, "noisy" if kind == "noisy" else _short(comparison.row(name))) for name, kind in shown],
    }


def _data_uri(picture: Image) -> str:
    import cv2

    done, content = cv2.imencode(".png", swap_red_blue(picture))
    if not done:
        raise DataError(f"OpenCV could not encode a picture of shape {picture.shape}.")
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"

"""The coverage report as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.coverage import Coverage, Spread
from quietcam.files.atomic import write_text
from quietcam.representative.set import RepresentativeSet
from quietcam.terminal.page import picture_uri, render_page

__all__ = ["render", "write_html"]

_SHOWN = 48
_QUALITY = 85
_TITLES = {
    "phone": "Phone", "iso": "ISO", "brightness": "Brightness", "scene": "Scene", "content": "Content",
    "past": "Frames before", "motion": "Motion",
}  # fmt: skip
_WORDS = {"L": "low", "N": "normal", "H": "high"}


def write_html(path: Path, coverage: Coverage, representative: RepresentativeSet) -> None:
    """Write the page to ``path``.

    Raises:
        StorageError: it cannot be written.
        MissingExtraError: jinja2 is not installed (by the command line).
    """
    write_text(path, render(coverage, representative))


def render(coverage: Coverage, representative: RepresentativeSet) -> str:
    """The page as HTML: self-contained, without scripts. The same set gives the same page."""
    origin = representative.origin
    return render_page(
        "calibration",
        "coverage.html.j2",
        title=f"Representative set of {origin.get('data') or 'unnamed data'}",
        coverage=coverage,
        figures=_figures(coverage),
        groups=[(_TITLES[kind], _bars(kind, values)) for kind, values in coverage.groups.items()],
        luminance=_chart(coverage.luminance),
        noise=_chart(coverage.noise),
        samples=_contact_sheet(representative),
        origin={key: value for key, value in origin.items() if not isinstance(value, dict)},
        capture=origin.get("capture"),
        history=origin.get("history"),
        shown=min(_SHOWN, len(representative)),
        digest=representative.digest,
    )


def _figures(coverage: Coverage) -> list[tuple[str, str, str]]:
    """Value, unit and meaning of what matters most."""
    found = [(f"{coverage.patches}", "", f"patches of {coverage.width}x{coverage.height}")]
    of = "" if coverage.pictures == coverage.data_pictures else f"of {coverage.data_pictures}"
    found.append((f"{coverage.pictures}", of, "pictures that they come from"))
    found.append(("{}–{}".format(*coverage.range), "", "pixel values"))
    if coverage.history is not None:
        found.append((f"{100 * coverage.history:.0f}", "%", "of the patches have a past"))
    found.append((f"{100 * coverage.luminance.overlap:.0f}", "%", "overlap with the data's brightness"))
    found.append((f"{100 * coverage.noise.overlap:.0f}", "%", "overlap with the data's noise"))
    return found


def _bars(kind: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    most = max(max(group.share, group.data_share) for group in values.values()) or 1.0
    return [
        {
            "name": _WORDS.get(value, value) if kind == "brightness" else value,
            "patches": group.patches,
            "missing": group.pictures and not group.patches,
            "share": f"{100 * group.share:.0f}",
            "width": round(100 * group.share / most, 2),
            "data": round(100 * group.data_share / most, 2),
            "data_share": f"{100 * group.data_share:.0f}",
        }
        for value, group in values.items()
    ]


def _chart(spread: Spread) -> dict[str, Any]:
    """Bars of the set and a stepped line of the data, in a box of 100 by 40."""
    bins = len(spread.set)
    # Many pixels are at the ends of the range; these few tall bins must not flatten the others.
    tallest = max(*spread.set, *spread.data)
    most = float(np.quantile([*spread.set, *spread.data], 0.95))
    if cut := tallest > 2 * most > 0:
        tallest = most
    width = 100 / bins

    def height(share: float) -> float:
        return round(40 * min(share / tallest, 1.0), 2)

    line = []
    for index, share in enumerate(spread.data):
        y = round(40 - height(share), 2)
        line += [f"{index * width:.2f},{y}", f"{(index + 1) * width:.2f},{y}"]
    return {
        "bars": [
            (
                round(index * width + 0.12 * width, 2),
                round(40 - height(share), 2),
                round(0.76 * width, 2),
                height(share),
            )
            for index, share in enumerate(spread.set)
        ],
        "line": " ".join(line),
        "ticks": [
            (spread.edges[index], round(index * width, 2))
            for index in range(0, len(spread.edges), max(1, len(spread.edges) // 8))
        ],
        "overlap": f"{100 * spread.overlap:.0f}",
        "cut": cut,
    }


def _contact_sheet(representative: RepresentativeSet) -> list[tuple[str, str]]:
    """Source, position and picture of the first patches, a balanced choice themselves, each before its history."""
    found = []
    for index, (source, (x0, y0, _, _)) in enumerate(
        zip(representative.source[:_SHOWN], representative.box[:_SHOWN].tolist(), strict=True)
    ):
        found.append((f"{source} · {x0},{y0}", picture_uri(representative.patches[index], _QUALITY)))
        if representative.history is not None:
            words = f"{source} · {x0},{y0} · history"
            found.append((words, picture_uri(representative.history[index], _QUALITY)))
    return found

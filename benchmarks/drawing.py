"""How benchmarks draw pictures for the docs: dark on a light background, readable labels, written whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.records import ROOT
from quietcam.files.atomic import atomic_path

__all__ = ["BLUE", "COLORS", "GRAY", "ORANGE", "PICTURES", "label_points", "legend", "panels"]

_BELOW = 0.7  # inches for legend and footer

PICTURES = ROOT / "docs" / "pictures"

BLUE, ORANGE, GRAY = "#0b62a4", "#c4570a", "#5f6670"
COLORS = (BLUE, ORANGE, "#2c7a3f", "#8a3d97", "#8c6d1f", GRAY)
"""They differ in lightness, too, and have contrast on white."""


@contextmanager
def panels(path: Path, count: int, size: tuple[float, float], footer: str, across: int = 2) -> Iterator[list[Any]]:
    """The axes of a picture of ``count`` panels, each of ``size`` in inches. At the end the picture is written.

    Args:
        path: a .png file.
        footer: small text below all panels: where the figures come from.
        across: how many panels stand side by side, at most.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    columns = min(across, count)
    rows = -(-count // columns)
    wide, high = size[0] * columns, size[1] * rows + _BELOW
    figure, grid = pyplot.subplots(rows, columns, figsize=(wide, high), squeeze=False, facecolor="white")
    axes = list(grid.flat)
    for each in axes[count:]:
        each.remove()
    for each in axes[:count]:
        each.grid(color="#e6e8ea", linewidth=0.7)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    try:
        yield axes[:count]
        figure.text(0.99, 0.01, footer, ha="right", va="bottom", fontsize=8, color=GRAY)
        figure.tight_layout(rect=(0, _BELOW / high, 1, 1))
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    finally:
        pyplot.close(figure)


def legend(axes: Sequence[Any], lines: Sequence[Any]) -> None:
    """One legend for all panels, below them, above the footer, in at most two rows."""
    figure = axes[0].figure
    place = (0.01, _BELOW / figure.get_figheight())
    columns = min(len(lines), max(-(-len(lines) // 2), int(figure.get_figwidth() / 1.7)))
    figure.legend(handles=lines, loc="upper left", bbox_to_anchor=place, ncols=columns, fontsize=9, frameon=False)


def label_points(
    axis: Any, points: Mapping[str, tuple[float, float]], others: Sequence[tuple[float, float]] = ()
) -> None:
    """Write each name beside its point, where it covers no other point and no other name. Scales come first.

    Args:
        others: points without a name.
    """
    from matplotlib.transforms import Bbox

    axis.figure.canvas.draw()
    pixels = {name: axis.transData.transform(point) for name, point in points.items()}
    taken = [
        Bbox.from_extents(x - 6, y - 6, x + 6, y + 6)
        for x, y in (*pixels.values(), *map(axis.transData.transform, others))
    ]
    for name, point in points.items():
        for shift, across, up in (
            ((0, 8), "center", "bottom"),
            ((0, -8), "center", "top"),
            ((9, 0), "left", "center"),
            (
                (-9, 0),
                "right",
                "center",
            ),
            ((6, 16), "left", "bottom"),
            ((6, -16), "left", "top"),
        ):
            text = axis.annotate(name, point, shift, textcoords="offset points", ha=across, va=up, fontsize=10)
            box = text.get_window_extent()
            if not any(box.overlaps(each) for each in taken) and axis.bbox.contains(box.x1, box.y1):
                break
            text.remove()
        else:
            text = axis.annotate(name, point, (0, 8), textcoords="offset points", ha="center", fontsize=10)
            box = text.get_window_extent()
        taken.append(box)

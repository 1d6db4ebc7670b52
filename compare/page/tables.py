"""The tables of a report: the text of each cell, and the value by which a click on the column's head sorts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compare.blame.values import Blame, Layer
from compare.regions import LIGHTS, REGIONS
from compare.scores import Comparison, ModelScore
from compare.table import COLUMNS, cells, sort_values

__all__ = ["Cell", "Row", "Table", "colors", "gate", "groups", "layers", "models", "recipe_of", "regions"]

Cell = tuple[str, float | str | None]
"""The text of a cell, and the value that it is sorted by; None if the cell is empty."""

_LAYER_HEADS = (
    *("layer", "operator", "costs dB", "weights alone", "SQNR dB", "own SQNR", "range", "99.9 % within"),
    *("levels", "beyond", "widest channel", "half within", "cause"),
)


@dataclass(frozen=True)
class Row:
    """Cells, and the kind of the row for the style sheet: subject, noisy, classic, model, missed or none."""

    kind: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Heads and rows.

    Attributes:
        words: numbers of the columns that hold text, besides the first.
        is_dense: whether the cells may break into lines, since there are many columns.
    """

    heads: Sequence[str]
    rows: Sequence[Row]
    words: tuple[int, ...] = ()
    is_dense: bool = False


def recipe_of(row: ModelScore) -> str:
    """A model's recipe if it is known, else its title."""
    return row.recipe or row.title


def models(comparison: Comparison) -> Table:
    """Quality, size and cost of every row."""
    rows = [
        Row(_kind(comparison, row), list(zip(cells(row), sort_values(row), strict=True))) for row in comparison.rows
    ]
    return Table(COLUMNS, rows)


def gate(comparison: Comparison) -> Table:
    """Every limit of the quality gate."""
    rows = [
        Row(
            "" if check.holds else "missed",
            [
                (check.model, check.model),
                (check.where, check.where),
                (str(check.pictures), check.pictures),
                (f"{check.drop:.3f}", check.drop),
                (f"{check.limit:g}", check.limit),
                ("holds" if check.holds else "missed", int(check.holds)),
            ],
        )
        for check in comparison.gate
    ]
    return Table(("model", "pictures of", "count", "drop dB", "at most", "verdict"), rows, words=(1,))


def layers(blamed: Blame) -> Table:
    """Every layer of a quantized model."""
    rows = [Row("missed" if layer.name == blamed.culprit else "", _layer_cells(layer)) for layer in blamed.layers]
    return Table(_LAYER_HEADS, rows, words=(1, 12), is_dense=True)


def groups(comparison: Comparison, kind: str, title: str) -> Table:
    """PSNR of every row in each group of one kind."""
    subject = comparison.subject
    heads = [title, "pictures", *([f"drop of {recipe_of(subject)}"] if subject.reference else [])]
    heads += [row.title for row in comparison.rows]
    rows = []
    for value, group in subject.groups[kind].items():
        scores = [row.groups[kind][value].psnr for row in comparison.rows]
        shown: list[Cell] = [(value, value), (str(group.pictures), group.pictures)]
        shown += [(f"{group.drop:.3f}", group.drop)] if group.drop is not None else []
        rows.append(Row("", shown + [(f"{score:.2f}", score) for score in scores]))
    return Table(heads, rows)


def regions(comparison: Comparison) -> Table:
    """PSNR of every row in each region and light."""
    rows = []
    for row in comparison.rows:
        scores = [*(row.regions[each] for each in REGIONS), *(row.lights[each] for each in LIGHTS)]
        shown: list[Cell] = [(row.title, row.title)]
        shown += [("" if each.psnr is None else f"{each.psnr:.2f}", each.psnr) for each in scores]
        rows.append(Row(_kind(comparison, row), shown))
    return Table(["PSNR dB of", *REGIONS, *LIGHTS], rows)


def colors(comparison: Comparison) -> Table:
    """Bias of every row's colors, and its banding."""
    rows = []
    for row in comparison.rows:
        dark = row.lights["shadows"].bias
        shown: list[Cell] = [(row.title, row.title)]
        shown += [(f"{each:+.2f}", each) for each in row.bias]
        shown.append((f"{sum(dark) / len(dark):+.2f}", sum(dark) / len(dark)))
        shown.append(("" if row.banding is None else f"{row.banding:.2f}", row.banding))
        rows.append(Row(_kind(comparison, row), shown))
    return Table(("bias of", "red", "green", "blue", "in shadows", "banding"), rows)


def _layer_cells(layer: Layer) -> list[Cell]:
    has_range = layer.low is not None and layer.high is not None
    return [
        (layer.name, layer.name),
        (layer.kind, layer.kind),
        (f"{layer.cost:z.3f}", layer.cost),
        ("" if layer.cost_weights is None else f"{layer.cost_weights:z.3f}", layer.cost_weights),
        (f"{layer.sqnr:.1f}", layer.sqnr),
        ("" if layer.own_sqnr is None else f"{layer.own_sqnr:.1f}", layer.own_sqnr),
        (f"{layer.low:.3g} to {layer.high:.3g}" if has_range else "", layer.high),
        (f"{layer.percentiles['0.05']:.3g} to {layer.percentiles['99.95']:.3g}", layer.percentiles["99.95"]),
        ("" if layer.levels is None else f"{layer.levels} of {layer.levels_total}", layer.levels),
        (f"{100 * layer.clipped:.3f} %", layer.clipped),
        (f"{layer.channel_peak:.3g} (channel {layer.channel})", layer.channel_peak),
        (f"{layer.typical_peak:.3g}", layer.typical_peak),
        (f"same range as its input; {layer.cause}" if layer.is_passed_on else layer.cause, layer.cause),
    ]


def _kind(comparison: Comparison, row: ModelScore) -> str:
    return "subject" if row.name == comparison.subject.name else row.kind

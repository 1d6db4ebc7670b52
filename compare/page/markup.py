"""Pieces of HTML: escaped text, sortable tables, pictures inside the page."""

from __future__ import annotations

import html
from collections.abc import Sequence

from quietcam.image import Image
from quietcam.terminal.page import picture_uri

__all__ = ["Cell", "escaped", "figure", "table"]

Cell = tuple[str, float | str | None]
"""What stands in a cell, and what it is sorted by; None where it is empty."""


def escaped(text: str) -> str:
    """Text that stands for itself, in elements and in attributes."""
    return html.escape(text, quote=True)


def table(
    heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], words: Sequence[int] = (), dense: bool = False
) -> str:
    """A table that sorts by a click on a head.

    Args:
        rows: class and cells of each.
        words: columns of text, beside the first.
        dense: many columns: their figures may break where they hold more than one.
    """

    def kind(index: int) -> str:
        return ' class="words"' if index in words else ""

    head = "".join(
        f'<th scope="col"{kind(index)}><button type="button">{_breakable(each)}</button></th>'
        for index, each in enumerate(heads)
    )
    body = []
    for name, cells in rows:
        shown = "".join(
            f'<td{kind(index)} data-value="{"" if value is None else escaped(str(value))}">'
            f"{_breakable(text) if index == 0 or index in words else escaped(text).replace('-', '−')}</td>"
            for index, (text, value) in enumerate(cells)
        )
        body.append(f'<tr class="{escaped(name)}">{shown}</tr>' if name else f"<tr>{shown}</tr>")
    opened = '<table class="dense">' if dense else "<table>"
    return (
        f'<div class="scroll" tabindex="0">\n{opened}\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        f"{chr(10).join(body)}\n</tbody>\n</table>\n</div>"
    )


def _breakable(text: str) -> str:
    """Names of models and layers are long words; they may break behind an underscore."""
    return escaped(text).replace("_", "_<wbr>")


def figure(picture: Image, words: str, value: str = "") -> str:
    """A picture with its caption."""
    behind = f" · <span>{escaped(value)}</span>" if value else ""
    uri = picture_uri(picture)
    return (
        f'<figure><img src="{uri}" alt="{escaped(words)}"><figcaption>{escaped(words)}{behind}</figcaption></figure>\n'
    )

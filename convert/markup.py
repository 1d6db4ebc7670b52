"""Pieces of HTML: escaped text, sortable tables, pictures inside the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from quietcam.errors import DataError
from quietcam.image import Image, swap_red_blue

__all__ = ["Cell", "data_uri", "escaped", "figure", "table"]

Cell = tuple[str, float | str | None]
"""What stands in a cell, and what it is sorted by; None where it is empty."""


def escaped(text: str) -> str:
    """Text that stands for itself, in elements and in attributes."""
    return html.escape(text, quote=True)


def table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], words: Sequence[int] = ()) -> str:
    """A table that sorts by a click on a head.

    Args:
        rows: class and cells of each.
        words: columns of text, beside the first.
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
    return (
        f'<div class="scroll" tabindex="0">\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        f"{chr(10).join(body)}\n</tbody>\n</table>\n</div>"
    )


def _breakable(text: str) -> str:
    """Names of models and layers are long words; they may break behind an underscore."""
    return escaped(text).replace("_", "_<wbr>")


def figure(picture: Image, words: str, value: str = "") -> str:
    """A picture with its caption."""
    behind = f" · <span>{escaped(value)}</span>" if value else ""
    uri = data_uri(picture)
    return (
        f'<figure><img src="{uri}" alt="{escaped(words)}"><figcaption>{escaped(words)}{behind}</figcaption></figure>\n'
    )


def data_uri(picture: Image) -> str:
    """uint8 ``(H, W, C)`` as a PNG inside an address."""
    import cv2

    done, content = cv2.imencode(".png", swap_red_blue(picture))
    if not done:
        raise DataError(f"OpenCV could not encode a picture of shape {picture.shape}.")
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"

"""The console of rich for our tables and bars, safe for names with control characters. Import it only when needed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from quietcam.process.error_stream import ErrorStream
from quietcam.terminal.printable import printable

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """A console that takes strings literally: ``[red]`` may be the name of a folder, ``:x:`` is no emoji.

    A string is one line. For style and for several lines, use ``Text``.

    Args:
        stderr: print on the standard error stream, else on the standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr
        raw: Any = ErrorStream(stream.writer, stream.encoding, raw=True) if isinstance(stream, ErrorStream) else None
        super().__init__(file=raw if stderr else None, stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for each in super().render(renderable, options):
            if each.control or each.text.isprintable():
                yield each
            else:
                yield Segment(printable(each.text, lines=True), each.style)

"""rich's console for our tables and bars: what a name holds cannot act on it. Import it where something is shown."""

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
    """Takes no markup and no names of pictographs in a string: ``[red]`` may be a folder. Style is told with ``Text``.

    A string is one line. A text may have several.

    Args:
        stderr: on the error stream; else on the standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr
        raw: Any = ErrorStream(stream.voice, stream.encoding, raw=True) if isinstance(stream, ErrorStream) else None
        super().__init__(file=raw if stderr else None, stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for each in super().render(renderable, options):
            if each.control or each.text.isprintable():
                yield each
            else:
                yield Segment(printable(each.text, lines=True), each.style)

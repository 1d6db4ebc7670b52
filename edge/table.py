"""The report of a command of the edge: a title, a table, notes, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["show_table"]


def show_table(
    json: str | None, report: Any, title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]
) -> None:
    """Show a table, and then the notes, on standard output; on the error stream if the JSON goes to standard output."""
    from rich.table import Table

    from quietcam.terminal.report import report_console, write_report

    table = Table()
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = report_console(json)
    for part in (title, table, *notes):
        console.print(part)
    write_report(json, report)

"""Writes reports: tables to the terminal, JSON to a file or to the standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quietcam.files.atomic import write_json
from quietcam.files.strict_json import dump_json
from quietcam.terminal.secrets import shown_values

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["report_console", "write_report"]


def write_report(target: str | None, report: Any) -> None:
    """Write ``report`` as JSON, without secrets.

    Args:
        target: a file; ``-`` for the standard output; None for nowhere.
    """
    report = shown_values(report)
    if target == "-":
        print(dump_json(report, indent=2))
    elif target is not None:
        write_json(Path(target), report)


def report_console(target: str | None) -> Console:
    """The console for tables: the standard output, or the error stream if the JSON goes to the standard output."""
    from quietcam.terminal.console import PlainConsole

    console = PlainConsole(stderr=target == "-")
    if not console.is_terminal:
        console.width = max(console.width, 120)  # a pipe has no width of its own; wrapped rows cannot be grepped
    return console

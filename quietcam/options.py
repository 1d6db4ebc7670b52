"""Command-line options that several commands share, each worded once."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Json", "Side"]

Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the report there; - is stdout.")]

Side = Annotated[
    str,
    typer.Option(
        metavar="SIDE[:RULE]",
        help="Take one side of the split that training uses: train, validation, test. Another split than the "
        "default stands behind a colon: test:test=004,validation=001.",
    ),
]

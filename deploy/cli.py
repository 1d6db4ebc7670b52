"""The commands of the stage deploy."""

from __future__ import annotations

import typer

from deploy.card import cli as card
from deploy.release import cli as release

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    card.mount(app)
    release.mount(app)

"""The commands of the stage deploy."""

from __future__ import annotations

import typer

from deploy.release import cli as release

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    release.mount(app)

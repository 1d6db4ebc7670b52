"""A run as the page and a reload see it: what may be seen and changed of a denoiser at work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.models import describe, resolve_model
from quietcam.errors import UsageError
from quietcam.terminal.secrets import shown

if TYPE_CHECKING:
    from edge.network.denoiser import Denoiser
    from edge.run.pipeline import Pipeline

__all__ = ["RunControls", "apply_settings"]


class RunControls:
    """What :class:`edge.web.app.Controls` asks for, of a real run.

    Args:
        denoiser: at work.
        source: gives the camera's name, which may be known later only.
    """

    def __init__(self, denoiser: Denoiser, source: Callable[[], str]) -> None:
        self._denoiser = denoiser
        self._source = source
        self._described: tuple[Any, dict[str, Any]] | None = None

    @property
    def strength(self) -> float | None:
        return self._denoiser.strength

    def set_strength(self, strength: float) -> None:
        self._denoiser.strength = strength

    def describe(self) -> dict[str, Any]:
        model = self._denoiser.model
        if self._described is None or self._described[0] is not model:
            self._described = (model, describe(model))
        card = {**self._described[1], "runtime": self._denoiser.runtime, "threads": self._denoiser.threads}
        return {"source": shown(self._source()), "model": card}


def apply_settings(
    settings: dict[str, Any], denoiser: Denoiser, pipeline: Pipeline, size: tuple[int, int] | None = None
) -> None:
    """Let ``model`` (None: the best for ``size``) and ``strength`` (None: as it is) hold from a frame soon on.

    Raises:
        UsageError: there is no such model, or the run has ended; nothing has changed.
    """
    if pipeline.over:
        raise UsageError("The run has ended.")
    path: Path = resolve_model(settings["model"], size)
    if settings["strength"] is not None:
        denoiser.strength = settings["strength"]
    pipeline.request_reload(path)

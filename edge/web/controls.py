"""RunControls: lets the live page show and change the strength and the model of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.events.device_id import device_id
from edge.models import describe
from quietcam.terminal.secrets import shown

if TYPE_CHECKING:
    from edge.network.denoiser import Denoiser
    from edge.run.reloading import ReloadingDenoiser
    from edge.sinks.spool.shelf import Shelf

__all__ = ["RunControls"]


class RunControls:
    """Implements :class:`edge.web.app.Controls` for a run.

    Args:
        denoiser: the denoiser of the run.
        source: returns the camera's name, which may become known only during the run.

    Attributes:
        shelves: what the sinks of the run have stored.
        models: names of the models that a person may choose.
    """

    def __init__(self, denoiser: Denoiser, source: Callable[[], str]) -> None:
        self._denoiser = denoiser
        self._source = source
        self.shelves: list[Shelf] = []
        self.models: Sequence[str] = ()
        self._files: Mapping[str, Path] = {}
        self._reloading: ReloadingDenoiser | None = None
        self._described: tuple[Any, dict[str, Any]] | None = None
        self._machine = {"device_id": device_id(), "version": version("quietcam")}

    @property
    def strength(self) -> float | None:
        return self._denoiser.strength

    def set_strength(self, strength: float) -> None:
        self._denoiser.strength = strength

    def offer(self, files: Mapping[str, Path], reloading: ReloadingDenoiser) -> None:
        """Let a person choose among these model files, by their names, and nothing else."""
        self._files, self._reloading, self.models = files, reloading, sorted(files)

    @property
    def loading(self) -> bool:
        return self._reloading is not None and self._reloading.loading

    def set_model(self, name: str) -> None:
        if self._reloading is not None:
            self._reloading.request(self._files[name])

    def describe(self) -> dict[str, Any]:
        model = self._denoiser.model
        if self._described is None or self._described[0] is not model:
            self._described = (model, describe(model))
        card = {**self._described[1], "runtime": self._denoiser.runtime, "threads": self._denoiser.threads}
        return {**self._machine, "source": shown(self._source()), "model": card}

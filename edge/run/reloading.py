"""ReloadingDenoiser: loads another model in the background, and switches to it between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.network.frame_denoiser import FrameDenoiser, Plan
from edge.network.runtime import gil_window
from edge.network.treatment import Treated
from quietcam.errors import one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["ReloadingDenoiser"]

_SOON = 0.3  # seconds that a reload may still take at the end


class ReloadingDenoiser(FrameDenoiser):
    """Wraps a denoiser whose model can be replaced while frames run. No frame waits for the new model.

    Args:
        denoiser: treats the frames.
        load: replaces the model, in a separate thread; if it raises any error, the old model stays in use.

    Attributes:
        count: how often the model was replaced.
        error: why the last replacement was refused; None if it was not.
        over: the run has ended, and no more models are loaded.
    """

    def __init__(self, denoiser: FrameDenoiser, load: Callable[[Path | str], None]) -> None:
        self.count = 0
        self.error: str | None = None
        self.over = False
        self._denoiser, self._load = denoiser, load
        self._wanted: tuple[Path | str, Callable[[str | None], None]] | None = None
        self._thread = threading.Thread()  # replaced by each reload
        self._refused = False  # the last request was refused before it came to a model

    def request(self, model: Path | str, ended: Callable[[str | None], None] = lambda _: None) -> None:
        """Load another model soon. A model that cannot be used is refused: the log and ``error`` say why, and the old
        one stays in use. Returns immediately; for any thread and for signal handlers.

        Args:
            ended: called in a thread of the reload, with None when the model has taken over, else with the reason of
                its refusal; not called if another request came first, or the run ended.
        """
        self._refused = False
        self._wanted = model, ended

    def refuse(self, reason: str) -> None:
        """Show in ``error`` that a reload was refused before it came to a model. That stays until the next request,
        even where an earlier request succeeds meanwhile.
        """
        self._refused = True
        self.error = reason

    @property
    def loading(self) -> bool:
        """Whether a model was asked for that is neither in use nor refused yet."""
        return not self.over and (self._wanted is not None or self._thread.is_alive())

    def treat(self, noisy: Image, out: Image | None = None) -> Treated:
        return self._denoiser.treat(noisy, out)

    def treat_whole(self, noisy: Image, out: Image | None = None) -> Treated:
        return self._denoiser.treat_whole(noisy, out)

    def coming(self, taken: float, opened: int = 0) -> None:
        self._denoiser.coming(taken, opened)

    def plan(self, now: float) -> Plan:
        return self._denoiser.plan(now)

    def done(self, age: float | None) -> None:
        self._denoiser.done(age)
        self._begin()  # not before the first frame: a model is tried on frames of that size

    def idle(self, now: float) -> None:
        self._denoiser.idle(now)
        self._begin()

    def end(self) -> None:
        self.over = True
        self._denoiser.end()

    def report(self) -> dict[str, Any]:
        return {**self._denoiser.report(), "reload": {"count": self.count, "error": self.error}}

    def close(self) -> None:
        """Load no more models. A reload that runs may end soon, or is abandoned. May be called twice."""
        self.over = True
        gil_window.no_more_invokes()
        process.wait([self._thread], _SOON)

    def _begin(self) -> None:
        if self._wanted is not None and not self._thread.is_alive():
            wanted, self._wanted = self._wanted, None
            self._thread = threading.Thread(target=self._reload, args=wanted, name="quietcam-model", daemon=True)
            self._thread.start()

    def _reload(self, wanted: Path | str, ended: Callable[[str | None], None]) -> None:
        try:
            self._load(wanted)
        except Exception as error:  # noqa: BLE001  whatever is wrong with the file, the run continues
            if self.over:
                return
            if not self._refused:
                self.error = one_line(error)
            log.warning("The new model is refused, the old one goes on: %s", one_line(error))
            ended(one_line(error))
        else:
            if self.over:
                return
            self.count += 1
            if not self._refused:
                self.error = None
            log.info("The model is now %s", wanted)
            ended(None)

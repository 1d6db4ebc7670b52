"""FrameDenoiser: what the pipeline asks of whatever denoises its frames."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple, Protocol

from edge.network.treatment import Rung, Treated, Treatment
from quietcam.image import Image

__all__ = ["FrameDenoiser", "Plan"]


class Plan(NamedTuple):
    """What the next frame gets, unless a sink keeps it as a picture.

    Attributes:
        rung: how much work is done on it.
        left_out: it is dropped.
        passes: what is said of a frame that passes as it is; None if frames are treated.
    """

    rung: Rung = Rung.FULL
    left_out: bool = False
    passes: Treatment | None = None


class FrameDenoiser(Protocol):
    """Denoises frames one after the other. A subclass has to say only how; all else has a default.

    The pipeline calls everything but ``report`` from one thread: ``plan``, then ``treat`` or ``treat_whole`` unless the
    frame is left out or passes, then ``done``. Wrappers change what a denoiser does without the pipeline knowing:
    :class:`edge.run.degrade.ladder_denoiser.LadderDenoiser`, :class:`edge.run.reloading.ReloadingDenoiser`.
    """

    @abstractmethod
    def treat(self, noisy: Image, out: Image | None = None) -> Treated:
        """The denoised frame, uint8 ``(H, W, C)``, and what was done. It lies in ``out`` where that has its shape."""

    def treat_whole(self, noisy: Image, out: Image | None = None) -> Treated:
        """The same with all of the network, whatever the plan: the frame is kept as a picture."""
        return self.treat(noisy, out)

    def plan(self, now: float) -> Plan:  # noqa: ARG002
        """What the next frame gets. Called once a frame; ``now`` in seconds, monotonic."""
        return Plan()

    def done(self, age: float | None) -> None:  # noqa: ARG002
        """A frame was worked on, or failed, ``age`` seconds after the sensor took it; None: its age does not count."""
        return

    def idle(self, now: float) -> None:  # noqa: ARG002
        """No frame came for a moment."""
        return

    def end(self) -> None:
        """The run is being stopped: no more frames come, and news of this denoiser interests nobody."""
        return

    def report(self) -> dict[str, Any]:
        """What it says of itself in ``Health.report``, by part. Any thread may call it, so it must be quick."""
        return {}

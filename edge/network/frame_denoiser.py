"""FrameDenoiser: the protocol of everything that denoises frames for the pipeline."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple, Protocol

from edge.network.treatment import Rung, Treated, Treatment
from quietcam.image import Image

__all__ = ["FrameDenoiser", "Plan"]


class Plan(NamedTuple):
    """The treatment that the next frame gets, unless a sink keeps it as a picture.

    Attributes:
        rung: how much work is done on it.
        left_out: it is dropped.
        passes: reason that is reported for a frame that passes unchanged; None if frames are treated.
    """

    rung: Rung = Rung.FULL
    left_out: bool = False
    passes: Treatment | None = None


class FrameDenoiser(Protocol):
    """Denoises frames one after the other. A subclass must implement ``treat``; all other methods have a default.

    The pipeline calls everything but ``report`` from one thread: ``coming`` and ``plan``, then ``treat`` or
    ``treat_whole`` unless the frame is left out or passes, then ``done``. Wrappers change what a denoiser does without
    the pipeline knowing: :class:`edge.run.degrade.ladder_denoiser.LadderDenoiser`,
    :class:`edge.run.reloading.ReloadingDenoiser`.
    """

    @abstractmethod
    def treat(self, noisy: Image, out: Image | None = None) -> Treated:
        """The denoised frame, uint8 ``(H, W, C)``, and its treatment. It is in ``out`` if that has its shape."""

    def treat_whole(self, noisy: Image, out: Image | None = None) -> Treated:
        """The same with full treatment, whatever the plan, because a sink keeps the frame as a picture."""
        return self.treat(noisy, out)

    def coming(self, taken: float, opened: int = 0) -> None:  # noqa: ARG002
        """Note when the next frame was taken, in seconds of its camera, and how often that was opened again before."""
        return

    def plan(self, now: float) -> Plan:  # noqa: ARG002
        """The plan for the next frame. Called once a frame; ``now`` in seconds, monotonic."""
        return Plan()

    def done(self, age: float | None) -> None:  # noqa: ARG002
        """Note that a frame was treated, or failed, ``age`` seconds after its capture; None: its age does not count."""
        return

    def idle(self, now: float) -> None:  # noqa: ARG002
        """Note that no frame came for a moment."""
        return

    def end(self) -> None:
        """Note that the run is being stopped: no more frames come, and no more log lines are wanted."""
        return

    def report(self) -> dict[str, Any]:
        """Its parts of ``Health.report``, by name. Any thread may call it, so it must be quick."""
        return {}

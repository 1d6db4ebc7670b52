"""NullSink: takes frames and keeps none, for measurements."""

from __future__ import annotations

from edge.run.frame import Frame
from edge.sinks.base import Sink
from quietcam.image import Image

__all__ = ["NullSink"]


class NullSink(Sink):
    """Counts."""

    name = "null"

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self.frames += 1

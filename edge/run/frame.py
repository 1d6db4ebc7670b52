"""Frame: what a camera delivers and a sink takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.network.treatment import Treatment
from quietcam.image import Image

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a camera.

    Attributes:
        image: uint8 ``(H, W, C)``; not to be written to, since a camera may hand out the same memory again.
        timestamp: seconds, monotonic: of ``time.monotonic`` for a live camera, in the clip for a file.
        index: counts the camera's frames from 0, dropped ones included.
        name: what the source calls the picture, without a suffix; None where it has no names.
        release: gives the memory back to a camera that recycles it; None where nothing is to be given back.
        treatment: what was done to the picture that goes with it; None while nothing was.
    """

    image: Image
    timestamp: float
    index: int
    name: str | None = None
    release: Callable[[], None] | None = None
    treatment: Treatment | None = None

    def done(self) -> None:
        """Nobody reads ``image`` any more. Who forgets to say so costs the camera memory, nothing else."""
        if self.release is not None:
            self.release()

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

    Example:
        >>> import quietcam
        >>> with quietcam.open_camera("synthetic:size=64x48,frames=1") as camera:
        ...     [frame] = camera
        >>> frame.index, frame.image.shape, frame.image.dtype
        (0, (48, 64, 3), dtype('uint8'))

    Attributes:
        image: uint8 ``(H, W, C)``. Do not write to it: a camera may give out the same memory again.
        timestamp: seconds: of ``time.monotonic`` for a live camera, from the start of the clip for a file.
        index: counts the frames of the camera from 0, including dropped ones.
        name: the name of the picture in its source, without a suffix; None if the source has no names.
        release: gives the memory back to a camera that recycles it; None if there is nothing to give back.
        treatment: how the denoised picture was made; None before that.
        shown_for: seconds for which a video file shows it; None where the source does not tell.
    """

    image: Image
    timestamp: float
    index: int
    name: str | None = None
    release: Callable[[], None] | None = None
    treatment: Treatment | None = None
    shown_for: float | None = None

    def done(self) -> None:
        """Give the memory of ``image`` back. Without this call the camera uses new memory; nothing else happens."""
        if self.release is not None:
            self.release()

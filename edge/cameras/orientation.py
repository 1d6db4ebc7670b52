"""Orientation: how pictures are rotated and flipped, because a camera hangs upside down or lies on its side."""

from __future__ import annotations

from dataclasses import dataclass

from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["UPRIGHT", "Orientation"]

_ROTATIONS = (0, 90, 180, 270)
_FLIPS = ("horizontal", "vertical")


@dataclass(frozen=True, slots=True)
class Orientation:
    """Each of the eight ways to lay down a picture. No pixel changes its value.

    Attributes:
        transposed: rows become columns, before the other two.
        mirrored: left and right are exchanged.
        upended: top and bottom are exchanged.
    """

    transposed: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, rotate: int = 0, flip: str | None = None) -> Orientation:
        """The picture is first rotated, clockwise by ``rotate`` degrees, and then flipped.

        Args:
            rotate: 0, 90, 180 or 270.
            flip: ``horizontal`` exchanges left and right, ``vertical`` top and bottom; None: neither.

        Raises:
            UsageError: another value.

        Example:
            >>> Orientation.of(180) == Orientation(mirrored=True, upended=True)
            True
        """
        if rotate not in _ROTATIONS:
            raise UsageError(
                f"`rotate` is 0, 90, 180 or 270 degrees, clockwise. Received: {rotate}. "
                "Remedy: 180 for a camera that hangs upside down."
            )
        if flip is not None and flip not in _FLIPS:
            raise UsageError(
                f"`flip` is horizontal or vertical. Received: {flip!r}. Remedy: horizontal shows the picture as in a "
                "mirror; upside down and nothing else is `rotate=180`."
            )
        return cls(
            transposed=rotate in (90, 270),
            mirrored=(rotate in (90, 180)) != (flip == "horizontal"),
            upended=(rotate in (180, 270)) != (flip == "vertical"),
        )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a picture of ``shape`` ``(H, W, C)`` after it was turned."""
        height, width, *channels = shape
        return (width, height, *channels) if self.transposed else (height, width, *channels)

    def turn(self, image: Image, out: Image) -> None:
        """Write ``image``, uint8 ``(H, W, C)``, turned, into ``out``, which has the turned shape."""
        import cv2

        if not self.transposed:
            cv2.flip(image, _AXES[self.mirrored, self.upended], dst=out)
        elif self.mirrored != self.upended:
            clockwise = self.mirrored
            cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE if clockwise else cv2.ROTATE_90_COUNTERCLOCKWISE, dst=out)
        else:
            cv2.transpose(image, dst=out)
            if self.mirrored:
                cv2.flip(out, -1, dst=out)


UPRIGHT = Orientation()
"""The picture as it comes."""

_AXES = {(True, False): 1, (False, True): 0, (True, True): -1}
"""OpenCV's name for exchanging columns, rows, or both."""

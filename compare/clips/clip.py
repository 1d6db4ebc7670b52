"""ComparedClip: frames in order with noisy and clean sides, read one by one and as often as needed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from quietcam.image import Image
from quietcam.sensor.filming import Mask

__all__ = ["ComparedClip", "Shot", "Watcher"]


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of a clip.

    Attributes:
        noisy, clean: uint8 ``(H, W, 3)`` RGB.
        moving: bool ``(H, W)``: which pixels show something else than in the frame before. All of the clip's first
            frame, and of one after a cut.
        cut: whether nothing of it was seen in the frame before. Not of the clip's first frame.
    """

    noisy: Image
    clean: Image
    moving: Mask
    cut: bool = False


class ComparedClip(Protocol):
    """A clip to compare on. No more than a few of its frames are in memory.

    Attributes:
        name: unique among the clips that are compared.
        length: how many frames, 2 or more.
    """

    name: str
    length: int

    @abstractmethod
    def shots(self) -> Iterator[Shot]:
        """Its frames, all of one size, from the first on. Each call gives the same ones.

        Raises:
            DataError: a frame cannot be used, or its size differs.
        """


Watcher = Callable[[ComparedClip, int, Shot, Mapping[str, Image]], None]
"""Sees every frame: the clip, the frame's number in it, its two sides, and by name what each contender made of it."""

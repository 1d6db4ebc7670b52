"""ClipContender: the protocol of everything that takes part in a comparison on clips."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

from compare.clips.clip import ComparedClip
from quietcam.image import Image

__all__ = ["ClipContender", "NoisyContender"]


class ClipContender(Protocol):
    """Denoises clips, one after the other. A subclass must implement ``denoise`` and ``time``.

    Attributes:
        name: unique among all that take part.
        title: its name for people.
        kind: ``noisy``, ``classic`` or ``model``.
    """

    name: str
    title: str
    kind: str

    def prepare(self, clip: ComparedClip) -> str | None:  # noqa: ARG002
        """Get ready for a clip. A filter chooses its best strength here; ``clip.shots`` may be read as often as needed.

        Returns:
            The strength that was chosen, as people read it; None if there is nothing to choose.
        """
        return None

    @abstractmethod
    def denoise(self, frames: Iterator[Image]) -> Iterator[Image]:
        """Denoise one clip from its first frame on, with no memory of other clips.

        It may take frames ahead of those that it gives, in the thread that takes those.

        Args:
            frames: uint8 ``(H, W, 3)``, all of one size. They are not to be changed.

        Returns:
            As many, uint8 of the same shape and in the same order. Each stays as it is when the next one is taken.
        """

    @abstractmethod
    def time(self, frames: Sequence[Image], threads: int) -> list[float]:
        """Denoise some frames that follow each other, with that many threads.

        Called repeatedly, in turns with the other contenders, always with frames of one size.

        Returns:
            Seconds a frame: of each frame, or one mean of all.
        """

    def close(self) -> None:
        """Free what is held. May be called twice."""
        return


class NoisyContender(ClipContender):
    """The noisy frames themselves."""

    name, title, kind = "noisy", "Noisy", "noisy"

    def denoise(self, frames: Iterator[Image]) -> Iterator[Image]:
        """The frames as they are."""
        return frames

    def time(self, frames: Sequence[Image], threads: int) -> list[float]:  # noqa: ARG002
        """Nothing is done, so nothing is timed."""
        return []

"""Treatment: what was done to one frame, and how much of the network is in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple

from quietcam.files.strict_json import dump_json
from quietcam.image import Image

__all__ = ["KINDS", "UNTOUCHED", "Rung", "Treated", "Treatment", "caption"]


class Rung(Enum):
    """How much work is done on a frame: the rungs of the degrade ladder, from all of it to none."""

    FULL = "full"
    SMALLER = "smaller model"
    HALF_SIZE = "fewer pixels"
    EVERY_SECOND = "every second frame"
    PASS_THROUGH = "pass-through"


UNTOUCHED = "untouched"
KINDS = (Rung.FULL.value, Rung.SMALLER.value, Rung.HALF_SIZE.value, UNTOUCHED)
"""What a frame can have got, by which frames are counted."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What was done to one frame. It goes with the frame to all that show, store or count it.

    Attributes:
        step: what the ladder allowed for this frame.
        model: name of the network that ran on it; None where none ran.
        size: the network saw the ``whole`` frame, or one of ``half`` its width and height.
        gate, strength: the shares of the network that the gate and the user let in, 0 to 1.
        sigma: the frame's noise in steps of 255, as the gate estimated it; None where nobody looked.
        why: why nothing of the network is in the picture; None where something is.
    """

    step: Rung = Rung.FULL
    model: str | None = None
    size: Literal["whole", "half"] = "whole"
    gate: float = 1.0
    strength: float = 1.0
    sigma: float | None = None
    why: str | None = None

    @property
    def share(self) -> float:
        """The network's share in the picture, 0 to 1. 0: the picture is the camera's, bit for bit."""
        return 0.0 if self.model is None else self.gate * self.strength

    @property
    def lessened(self) -> bool:
        """The ladder took work away from this frame."""
        return self.step is not Rung.FULL

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        if self.share == 0.0:
            return UNTOUCHED
        if self.size == "half":
            return Rung.HALF_SIZE.value
        return Rung.SMALLER.value if self.lessened else Rung.FULL.value

    @property
    def percent(self) -> int:
        """``share`` for people: 100 only where all of the network is there, 0 only where nothing is."""
        if self.share in (0.0, 1.0):
            return int(100 * self.share)
        return min(99, max(1, round(100 * self.share)))

    @property
    def words(self) -> str:
        """For people, in ASCII: ``denoised`` where all of the network is there, else in what way not."""
        if self.share == 0.0:
            return f"not denoised: {self.why or 'no network ran'}"
        said = "denoised" if self.percent == 100 else f"{self.percent} % denoised"
        if self.size == "half":
            return f"{said} at half the size"
        return f"{said} by a smaller model" if self.lessened else said

    def report(self) -> dict[str, Any]:
        """For JSON: what a picture file says of itself."""
        return {
            "words": self.words,
            "kind": self.kind,
            "share": round(self.share, 3),
            "model": self.model,
            "size": None if self.model is None else self.size,
            "gate": round(self.gate, 3),
            "strength": round(self.strength, 3),
            "ladder": self.step.value,
            "why": self.why,
        }


def caption(treatment: Treatment | None) -> str | None:
    """What a picture file says of itself, in one line of JSON; None where nothing is known."""
    return None if treatment is None else dump_json({"quietcam": treatment.report()})


class Treated(NamedTuple):
    """A picture, uint8 ``(H, W, C)``, and what was done to it."""

    image: Image
    treatment: Treatment

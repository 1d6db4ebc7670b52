"""Treatment: what was done to one frame, and the network's share in the picture."""

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
"""The kinds of treatment, by which frames are counted."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What was done to one frame. It travels with the frame to everything that shows, stores or counts it.

    Attributes:
        step: how much work the degrade ladder allowed for this frame.
        model: name of the network that ran on it; None if none ran.
        size: ``whole`` where the network saw the frame at its own size, ``half`` where at half its width and height.
        gate, strength: how much of the network the do-no-harm gate and the user let through, 0 to 1.
        sigma: the frame's noise in steps of 255, as the gate estimated it; None without an estimate.
        why: why the network has no share in the picture; None if it has one.
        history: how many frames a video network remembered as this one's past, 0 for none; None for a still network, or
            if none ran.
    """

    step: Rung = Rung.FULL
    model: str | None = None
    size: Literal["whole", "half"] = "whole"
    gate: float = 1.0
    strength: float = 1.0
    sigma: float | None = None
    why: str | None = None
    history: int | None = None

    @property
    def share(self) -> float:
        """The network's share in the picture, 0 to 1. At 0 the picture is the camera's, bit for bit."""
        return 0.0 if self.model is None else self.gate * self.strength

    @property
    def lessened(self) -> bool:
        """Whether the ladder reduced the work on this frame."""
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
        """``share`` in percent, rounded: 100 only for all of the network, and 0 only for none of it."""
        if self.share in (0.0, 1.0):
            return int(100 * self.share)
        return min(99, max(1, round(100 * self.share)))

    @property
    def words(self) -> str:
        """For people, in ASCII: ``denoised``, or how and why the frame got less than that."""
        if self.share == 0.0:
            return f"not denoised: {self.why or 'no network ran'}"
        said = "denoised" if self.percent == 100 else f"{self.percent} % denoised"
        if self.size == "half":
            return f"{said} at half the size"
        return f"{said} by a smaller model" if self.lessened else said

    def report(self) -> dict[str, Any]:
        """Plain values for JSON, as picture files carry them."""
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
            "history": self.history,
        }


def caption(treatment: Treatment | None) -> str | None:
    """The caption of a picture file: the treatment in one line of JSON; None if it is not known."""
    return None if treatment is None else dump_json({"quietcam": treatment.report()})


class Treated(NamedTuple):
    """A picture, uint8 ``(H, W, C)``, and what was done to it."""

    image: Image
    treatment: Treatment

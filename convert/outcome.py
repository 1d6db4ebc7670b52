"""What a conversion wrote, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convert.converter import Conversion
from convert.quantize.loss import Loss
from convert.quantize.rescue import Rescue
from convert.quantize.soundness import Fault
from quietcam.quality.gate import QualityGate
from quietcam.representative.rules import LintFinding
from quietcam.tflite.activations import Activation, Range

__all__ = ["ConvertedModel", "Outcome"]


@dataclass(frozen=True)
class ConvertedModel:
    """A model file that was written.

    Attributes:
        path: path of the ``.tflite``; the sidecar with its manifest is in the same folder.
        conversion: how it was made, and its graph.
    """

    path: Path
    conversion: Conversion = field(repr=False)

    @property
    def recipe(self) -> str:
        """The recipe's name; ``int8_mixed`` if the rescue left layers in float."""
        return self.conversion.recipe_name

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of its frames, in pixels."""
        return self.conversion.width, self.conversion.height


@dataclass
class Outcome:
    """The models that were written, in the order of sizes and recipes, and what is known about them.

    Acts as a sequence of the models: ``for model in outcome``, ``outcome[0]``, ``len(outcome)``.

    Attributes:
        gate: what int8 may lose.
        findings: the linter's findings about the representative set.
        collapsed: tensors that have too few levels in int8, with their ranges, worst first.
        fault: what is wrong with the float network. If there is a fault, the loss of int8 means nothing and is None.
        harms: on which data the network is worse than the noisy picture, and by how much.
        loss: what int8 loses to float; None if int8 was not made from ranges.
        kept: what the finished int8 file loses with its own ranges; None if there is no such file.
        rescue: what was tried against the loss; None if nothing was tried.
        holds: true if the loss is within the gate.
        advice: what to try if it is not.
    """

    gate: QualityGate
    models: list[ConvertedModel] = field(default_factory=list)
    findings: list[LintFinding] = field(default_factory=list)
    collapsed: list[tuple[Activation, Range]] = field(default_factory=list)
    fault: Fault | None = None
    harms: list[str] = field(default_factory=list)
    loss: Loss | None = None
    kept: Loss | None = None
    rescue: Rescue | None = None
    holds: bool = True
    advice: str = ""

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[ConvertedModel]:
        return iter(self.models)

    def __getitem__(self, index: int) -> ConvertedModel:
        return self.models[index]

    @property
    def missed(self) -> str | None:
        """How the loss exceeds the gate, in words; None if it does not, or if the loss is unknown."""
        if self.loss is None or self.holds:
            return None
        limits = f"{self.gate.limit:g} dB, {self.gate.bucket_limit:g} in the worst ISO bucket"
        return f"int8 loses {self.loss}; the limits are {limits}"

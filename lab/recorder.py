"""Recorder: what a scenario asserts and notes, and the result that comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Assertion", "Recorder", "Result"]


@dataclass(frozen=True)
class Assertion:
    """One thing that a user would see.

    Attributes:
        claim: what must hold, as a sentence.
        holds: whether it did.
        found: what was there instead, or the number that was measured.
    """

    claim: str
    holds: bool
    found: str = ""


@dataclass
class Result:
    """How a scenario went.

    Attributes:
        scenario: its name.
        asserts: its one line for the table.
        assertions: in order.
        notes: what the table says besides: figures, and where something ends.
        broken: why the scenario itself ended early; empty if it came to its end.
        seconds: how long it took, with its boots.
        accelerator: KVM or emulation.
    """

    scenario: str
    asserts: str
    assertions: list[Assertion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: str = ""
    seconds: float = 0.0
    accelerator: str = ""

    @property
    def good(self) -> bool:
        """It came to its end, asserted something, and all of that held."""
        return not self.broken and bool(self.assertions) and all(each.holds for each in self.assertions)

    @property
    def failed(self) -> list[Assertion]:
        """The assertions that did not hold."""
        return [each for each in self.assertions if not each.holds]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps({**asdict(self), "good": self.good}, indent=1) + "\n")


class Recorder:
    """Handed to a scenario. A claim that does not hold ends nothing: the next ones are looked at, too."""

    def __init__(self, result: Result, say: Callable[[str], None]) -> None:
        self._result = result
        self._say = say

    def that(self, claim: str, holds: bool, found: object = "") -> bool:
        """Assert a claim; returns whether it holds.

        Args:
            claim: a whole sentence, which holds for the user: "A camera that is pulled out is noticed within 4 s".
            holds: whether it does.
            found: what was found, for the log, and for the table where it does not hold.
        """
        assertion = Assertion(claim, bool(holds), str(found))
        self._result.assertions.append(assertion)
        ending = f" ({assertion.found})" if assertion.found else ""
        self._say(f"{'good  ' if holds else 'FAILED'} {claim}{ending}")
        return assertion.holds

    def at_most(self, claim: str, value: float, most: float, unit: str) -> bool:
        """Assert that a figure is at most ``most``."""
        return self.that(claim, value <= most, f"{value:.4g} {unit}, at most {most:g}")

    def equal(self, claim: str, value: Any, wanted: Any) -> bool:
        """Assert that a value is the one that is wanted."""
        return self.that(claim, value == wanted, f"{value!r}" if value == wanted else f"{value!r}, not {wanted!r}")

    def note(self, text: str) -> None:
        """Say a figure or a limit of the scenario that is no claim: it stands in the table."""
        self._result.notes.append(text)
        self._say(f"note   {text}")

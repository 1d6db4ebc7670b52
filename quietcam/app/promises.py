"""The quality that the demo promises, and whether a comparison keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["PROMISES", "Promise", "check_promises"]

PROMISES = {"gain": 6.0, "over_classic": 1.0, "drop": 0.3}
"""PSNR in dB: int8 minus the noisy frames, int8 minus the best classical filter, float minus int8."""


@dataclass(frozen=True)
class Promise:
    """A figure that the default demo must reach, in dB."""

    text: str
    value: float
    bound: float
    at_least: bool

    @property
    def holds(self) -> bool:
        """Whether the value keeps its bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return f"{'holds ' if self.holds else 'MISSED'}  {self.text}: {self.value:.2f} dB ({sign} {self.bound:g})"


def check_promises(comparison: dict[str, Any]) -> list[Promise]:
    """The promises with the values of a comparison: the report that ``quietcam compare … --json FILE`` writes."""
    psnr = {row["name"]: float(row["psnr"]) for row in comparison["rows"]}
    kinds = {row["name"]: row["kind"] for row in comparison["rows"]}
    noisy = next(psnr[name] for name in psnr if kinds[name] == "noisy")
    floating = next(psnr[name] for name in psnr if name.endswith("float32"))
    quantized = next(psnr[name] for name in psnr if name.endswith("int8"))
    classic = max(psnr[name] for name in psnr if kinds[name] == "classic")
    return [
        Promise("int8 over the noisy frames", quantized - noisy, PROMISES["gain"], True),
        Promise(
            "int8 over the best classical filter at its best strength",
            quantized - classic,
            PROMISES["over_classic"],
            True,
        ),
        Promise("lost from float to int8", floating - quantized, PROMISES["drop"], False),
    ]

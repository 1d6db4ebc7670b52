"""A finding: what was checked, how bad it is, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity = Literal["error", "warning", "note", "ok"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note", "ok")
"""Worst first.

error: it does not work, or it ruins a model. warning: it works, but slower, worse or untested. note: worth knowing,
and next to harmless. ok: nothing is wrong.
"""


@dataclass(frozen=True)
class Finding:
    """What a check of ``quietcam doctor`` found. The linter's findings have the same severities.

    Attributes:
        subject: what was checked, such as ``numpy``.
        severity: one of ``SEVERITIES``.
        text: what was found, without a full stop at its end.
        remedy: what to do about it, if possible a command that can be pasted; None if there is nothing to do.

    Example:
        >>> from quietcam.finding import Finding
        >>> print(Finding("disk", "warning", "0.4 GB free", "sudo apt clean"))
        disk: 0.4 GB free. Remedy: sudo apt clean.
    """

    subject: str
    severity: Severity
    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        said = f"{self.subject}: {self.text}."
        return said if self.remedy is None else f"{said} Remedy: {self.remedy}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``subject``, ``severity``, ``text`` and ``remedy``."""
        return asdict(self)

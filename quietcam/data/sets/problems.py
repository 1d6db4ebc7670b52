"""Problems: what is wrong with a data set, and how it is reported."""

from __future__ import annotations

from dataclasses import dataclass

from quietcam.terminal.log import log

__all__ = ["Problem", "list_problems", "log_problems"]

_SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set.

    Attributes:
        kind: "missing twin", "ambiguous", "unreadable", "not read" or "size"; ``quietcam.data.sets.index`` has further
            kinds.
        name: of the pair, the picture or the folder.
        detail: what is wrong.
    """

    kind: str
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


def log_problems(problems: list[str], where: str) -> None:
    """Log in one record how many pictures were skipped, and the first few; nothing if there are none."""
    if problems:
        log.warning("Skipped %d %s:", len(problems), where)
        for problem in problems[:_SHOWN]:
            log.warning("- %s", problem)
        if len(problems) > _SHOWN:
            log.warning("- and %d more", len(problems) - _SHOWN)


def list_problems(problems: list[str]) -> str:
    """The first few problems, for one line of an error."""
    first = "; ".join(problem.rstrip(".") for problem in problems[:3])
    return first + (f" (and {len(problems) - 3} more)" if len(problems) > 3 else "")

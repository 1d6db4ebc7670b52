"""The lab's table: for a terminal, and as Markdown for docs/measurements."""

from __future__ import annotations

from collections.abc import Sequence

from lab.recorder import Result

__all__ = ["markdown", "plain", "verdict"]


def verdict(result: Result) -> str:
    """The result in a word or two."""
    if result.broken:
        return "broken off"
    if result.failed:
        return f"{len(result.failed)} of {len(result.assertions)} failed"
    return f"{len(result.assertions)} hold" if result.assertions else "asserts nothing"


def plain(results: Sequence[Result]) -> str:
    """A table for a terminal; below it what failed."""
    rows = [("scenario", "what it asserts", "result", "seconds")]
    rows += [(each.scenario, each.asserts, verdict(each), f"{each.seconds:.0f}") for each in results]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3].rjust(7)]) for row in rows]
    for result in results:
        lines += [f"{result.scenario}: {each.claim}: FAILED ({each.found})" for each in result.failed]
        lines += [f"{result.scenario}: broken off: {result.broken}"] if result.broken else []
        lines += [f"{result.scenario}: {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def markdown(results: Sequence[Result], where: str) -> str:
    """A table in Markdown, then all claims with what was found.

    Args:
        where: machine, commit and command, in a sentence.
    """
    lines = [where, "", "| scenario | what it asserts | result | seconds |", "| --- | --- | --- | ---: |"]
    for each in results:
        row = (f"`{each.scenario}`", each.asserts, verdict(each), f"{each.seconds:.0f}")
        lines.append(f"| {' | '.join(_cell(cell) for cell in row)} |")
    for result in results:
        lines += ["", f"**{result.scenario}** (by {result.accelerator})", ""]
        for claim in result.assertions:
            found = f": {claim.found}" if claim.found else ""
            lines.append(f"- {'' if claim.holds else '**does not hold**: '}{claim.claim}{found}")
        lines += [f"- **broken off**: {result.broken}"] if result.broken else []
        lines += [f"- {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

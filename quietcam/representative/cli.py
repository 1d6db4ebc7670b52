"""The command of the linter: lint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.terminal.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from quietcam.representative.audit import Audit
    from quietcam.representative.lint_file import LintReport
    from quietcam.representative.rules import LintFinding

__all__ = ["mount", "show_findings"]

_MOST_ROWS = 20
_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("lint")(lint_command)


def lint_command(
    file: Annotated[
        Path, typer.Argument(help="A representative set, or any .npz or .npy file with pictures, also as floats.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Audit the set, too: cut every sample again from this data set and compare its SHA-256."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="The array in an .npz file that quietcam did not write. Default: patches, else the largest."),
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="The set is for a video network: it must hold the history of each patch.")
    ] = False,
    json: Json = None,
) -> None:
    """Find what is wrong with a representative set, what it does to the model, and how to correct it.

    The exit code is 3 if a finding would ruin the model, or if a sample does not match the data.

    Example: `quietcam lint representative.npz --data SIDD_Small_sRGB_Only`
    """
    from quietcam.errors import GateError
    from quietcam.representative.lint_file import lint_file
    from quietcam.terminal.report import report_console, write_report

    report = lint_file(file, data=data, key=key, video=video)
    write_report(json, report.to_dict())
    console = report_console(json)
    found = report.array
    kind = (
        ("a set with history" if found.history is not None else "a set")
        if found.is_set
        else f"array {found.key}"
        if found.key
        else "an array"
    )
    shape = "x".join(map(str, found.array.shape))
    console.print(f"{file}: {kind}, {found.array.dtype} {shape}", soft_wrap=True)
    if found.others:
        console.print(f"not checked: {', '.join(found.others)} (--key chooses one)", soft_wrap=True)
    show_findings(report.findings, console)
    if report.audit is not None:
        _show_audit(report.audit, console)
    if not report.sound:
        raise GateError(
            f"A representative set must be sound. Received: {'; '.join(_faults(report))}. Remedy: see the lines above."
        )


def _faults(report: LintReport) -> Iterator[str]:
    if errors := report.errors:
        yield f"{len(errors)} that would ruin the model ({', '.join(finding.name for finding in errors)})"
    if report.audit is not None and (wrong := report.audit.wrong):
        yield f"{len(wrong)} of {len(report.audit.verdicts)} samples that do not match the data"


def show_findings(findings: list[LintFinding], console: Console) -> None:
    """Print each finding on its own line, or that there are none."""
    if not findings:
        console.print("no findings", style="green")
    for finding in findings:
        console.print(finding.severity, style=_COLORS[finding.severity], end=" ")
        console.print(f"{finding.name}: {finding}", soft_wrap=True)


def _show_audit(audited: Audit, console: Console) -> None:
    if not audited.wrong:
        console.print(f"all {len(audited.verdicts)} samples match the data", style="green")
        return
    for verdict in audited.wrong[:_MOST_ROWS]:
        console.print(verdict.verdict, style="red", end=" ")
        console.print(str(verdict), soft_wrap=True)
    if len(audited.wrong) > _MOST_ROWS:
        console.print(f"and {len(audited.wrong) - _MOST_ROWS} more (--json lists all)")

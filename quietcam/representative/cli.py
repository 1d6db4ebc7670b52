"""The command of the linter: lint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.terminal.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from quietcam.representative.audit import Audit
    from quietcam.representative.lint import Finding

__all__ = ["mount", "show_findings"]

_MOST_ROWS = 20
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("lint")(lint_command)


def lint_command(
    file: Annotated[
        Path, typer.Argument(help="A representative set, or any .npz or .npy file with pictures, floats included.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Audit the set too: cut every sample again from this data and compare SHA-256."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The array in a foreign .npz file. Default: patches, else the largest.")
    ] = None,
    json: Json = None,
) -> None:
    """Say what is wrong with a representative set, what it will do to the model, and what to do about it.

    Exits with 3 when a finding would ruin the model, or when a sample is not what the data holds.

    Example: `quietcam lint representative.npz --data SIDD_Small_sRGB_Only`
    """
    from quietcam.errors import GateError, UsageError
    from quietcam.representative.array_file import read_array
    from quietcam.representative.audit import audit, read_samples
    from quietcam.representative.lint import lint
    from quietcam.representative.set import load_set
    from quietcam.terminal.report import report_console, write_report

    if data is not None and key is not None:
        raise UsageError("--key is for foreign files, which cannot be audited. Received: --key and --data.")
    listed = read_samples(file) if data is not None else None
    found = read_array(file, key)
    if found.is_set and data is None:
        load_set(file)  # refuses a set whose patches are not what their hashes say
    findings = lint(found.array, origin=found.origin)
    audited = audit(listed, data) if listed is not None and data is not None else None
    report = {
        "path": str(file),
        "array": found.key,
        "shape": list(found.array.shape),
        "dtype": str(found.array.dtype),
        "findings": [finding.to_dict() for finding in findings],
        "audit": audited.to_dict() if audited else None,
    }
    write_report(json, report)
    console = report_console(json)
    kind = "a set" if found.is_set else f"array {found.key}" if found.key else "an array"
    shape = "x".join(map(str, found.array.shape))
    console.print(f"{file}: {kind}, {found.array.dtype} {shape}", soft_wrap=True)
    if found.others:
        console.print(f"passed over: {', '.join(found.others)} (--key chooses)", soft_wrap=True)
    show_findings(findings, console)
    if audited is not None:
        _show_audit(audited, console)
    missed = []
    if errors := [finding for finding in findings if finding.severity == "error"]:
        missed.append(f"{len(errors)} that would ruin the model ({', '.join(finding.name for finding in errors)})")
    if audited is not None and audited.wrong:
        missed.append(f"{len(audited.wrong)} of {len(audited.verdicts)} samples that are not what {data} holds")
    if missed:
        raise GateError(
            f"A representative set must be sound. Received: {'; '.join(missed)}. Remedy: what is said above."
        )


def show_findings(findings: list[Finding], console: Console) -> None:
    """Each finding on a line of its own, or that there is none."""
    if not findings:
        console.print("nothing doubtful found", style="green")
    for finding in findings:
        console.print(finding.severity, style=_COLOURS[finding.severity], end=" ")
        console.print(f"{finding.name}: {finding}", soft_wrap=True)


def _show_audit(audited: Audit, console: Console) -> None:
    if not audited.wrong:
        console.print(f"all {len(audited.verdicts)} samples are what the data holds", style="green")
        return
    for verdict in audited.wrong[:_MOST_ROWS]:
        console.print(verdict.verdict, style="red", end=" ")
        console.print(str(verdict), soft_wrap=True)
    if len(audited.wrong) > _MOST_ROWS:
        console.print(f"and {len(audited.wrong) - _MOST_ROWS} more (--json lists all)")

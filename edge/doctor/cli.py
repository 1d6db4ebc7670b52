"""The command `doctor`."""

from __future__ import annotations

from quietcam.terminal.options import Json

__all__ = ["doctor_command"]


def doctor_command(json: Json = None) -> None:
    """Say what is wrong with this machine, and the exact command that mends each. Exit code 1: something is broken.

    Example: `quietcam doctor`
    """
    import typer
    from rich.text import Text

    from edge.doctor.check import Finding, Machine
    from edge.doctor.examine import examine
    from quietcam.terminal.printable import printable
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.secrets import shown_values

    findings = [Finding(**shown_values(each.report())) for each in examine(Machine())]  # people paste it in public
    console = report_console(json)
    width = max(len(each.name) for each in findings)
    for each in findings:
        line = Text.assemble(
            (f"{each.level:<7}", _STYLES[each.level]), f"{each.name:<{width}}  {printable(each.found)}"
        )
        console.print(line, soft_wrap=True)
        if each.mend is not None:
            console.print(Text.assemble(" " * (9 + width), ("mend: ", "bold"), printable(each.mend)), soft_wrap=True)
    broken = sum(each.level == "broken" for each in findings)
    write_report(json, {"ok": not broken, "findings": [each.report() for each in findings]})
    if broken:
        raise typer.Exit(1)


_STYLES = {"ok": "green", "note": "dim", "warn": "yellow", "broken": "bold red"}

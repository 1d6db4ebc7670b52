"""The command `doctor`."""

from __future__ import annotations

from quietcam.terminal.options import Json

__all__ = ["doctor_command"]


def doctor_command(json: Json = None) -> None:
    """Check this machine, and print the command that repairs each fault. Exit code 1: something does not work.

    Example: `quietcam doctor`
    """
    import typer
    from rich.text import Text

    from edge.doctor.examine import examine
    from edge.doctor.machine import Machine
    from quietcam.finding import Finding
    from quietcam.terminal.printable import printable
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.secrets import shown_values

    # People paste reports in public: they must not contain secrets.
    findings = [Finding(**shown_values(each.to_dict())) for each in examine(Machine())]
    console = report_console(json)
    width = max(len(each.subject) for each in findings)
    for each in findings:
        line = Text.assemble(
            (f"{each.severity:<8}", _STYLES[each.severity]), f"{each.subject:<{width}}  {printable(each.text)}"
        )
        console.print(line, soft_wrap=True)
        if each.remedy is not None:
            console.print(
                Text.assemble(" " * (10 + width), ("remedy: ", "bold"), printable(each.remedy)), soft_wrap=True
            )
    errors = sum(each.severity == "error" for each in findings)
    write_report(json, {"ok": not errors, "findings": [each.to_dict() for each in findings]})
    if errors:
        raise typer.Exit(1)


_STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "error": "bold red"}

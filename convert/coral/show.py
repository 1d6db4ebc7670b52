"""Prints the reports: a table of operators, memory, an estimate with its assumptions, the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from convert.coral.compile import CompileReport
from convert.coral.compiled import Compiled
from convert.coral.memory import CHIP, MIB, assumptions
from convert.coral.report import CheckReport, JudgedOp
from convert.coral.rules import Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_check", "show_compiled"]


def show_check(report: CheckReport, console: Console, everything: bool = False) -> None:
    """Print ``report``; a bad verdict is left out, because the command reports it as an error.

    ``everything`` adds each operator's conditions and their sources.
    """
    if report.compiled is not None:
        for line in _describe(report.compiled):
            console.print(line)
    elif report.ops:
        _show_ops(report, console)
        if everything:
            _show_conditions(report, console)
        _show_split(report, console)
        _show_memory(report, console)
        _show_estimate(report, console)
    for text in report.faults:
        console.print(f"fault: {text}")
    for text in report.remarks:
        console.print(f"note: {text}")
    if report.holds:
        console.print(f"{report.name}: {report.verdict}.")


def show_compiled(report: CompileReport, console: Console) -> None:
    """Print the compiler's result, and where it differs from the preflight."""
    from rich.table import Table

    table = Table(title=f"{report.prediction.name} through Edge TPU Compiler {report.compiler}")
    table.add_column("op")
    table.add_column("count", justify="right")
    table.add_column("status", overflow="fold")
    for op in report.log.ops:
        table.add_row(op.kind, str(op.count), op.status)
    if report.log.ops:
        console.print(table)
    sizes = ("on the chip", report.log.used), ("free on the chip", report.log.remaining), ("sent", report.log.streamed)
    known = ", ".join(f"{word} {size / MIB:.2f} MiB" for word, size in sizes if size is not None)
    console.print(f"parameters: {known or 'not stated in the log'}")
    for line in _describe(report.compiled):
        console.print(line)
    for text in report.differences:
        console.print(f"differs from the preflight: {text}")
    if not report.differences:
        console.print("no difference from the preflight")
    log = "" if report.log_path is None else f", and the compiler's log {report.log_path.name}"
    console.print(f"written: {report.path}{log}")


def _show_ops(report: CheckReport, console: Console) -> None:
    from rich.table import Table

    letters = _letters(_reason(op) for op in report.ops)
    table = Table(title=f"{report.name}: preflight")
    for head in ("", "op", "version", "output", "runs on", "why"):
        table.add_column(head, justify="right" if head in ("", "version") else "left", no_wrap=True)
    for op in report.ops:
        table.add_row(str(op.number), op.kind, str(op.version), op.output, _place(op), letters.get(_reason(op), ""))
    console.print(table)
    for reason, letter in letters.items():
        console.print(f"  {letter}: {reason}")


def _letters(reasons: Iterable[str]) -> dict[str, str]:
    """A letter for each distinct reason, in order of appearance."""
    distinct = dict.fromkeys(reason for reason in reasons if reason)
    return {reason: f"({number})" for number, reason in enumerate(distinct, 1)}


def _place(op: JudgedOp) -> str:
    if not op.on_tpu:
        return "CPU"
    return "TPU" if op.verdict is Verdict.TPU else "TPU?"


def _reason(op: JudgedOp) -> str:
    if op.broken:
        return "; ".join(each.text for each in op.broken)
    if not op.on_tpu:
        return "would map, but needs the output of an operator that runs on the CPU"
    return "; ".join(f"{each.text}: unknown" for each in op.open)


def _show_conditions(report: CheckReport, console: Console) -> None:
    words = {True: "holds", False: "does not hold", None: "unknown"}
    lines = (
        f"{op.kind}: {each.text}: {words[each.holds]}. Source: {each.source}"
        for op in report.ops
        for each in op.findings
    )
    for line in dict.fromkeys(lines):
        console.print(f"  {line}")


def _show_split(report: CheckReport, console: Console) -> None:
    line = f"split: {report.on_tpu} on the Edge TPU, {report.on_cpu} on the CPU"
    first = report.first_on_cpu
    if first is not None:
        line += f", beginning with number {first.number} ({first.kind})"
    if report.per_channel:
        line += f"; {report.per_channel} with weights scaled per channel"
    console.print(line)


def _show_memory(report: CheckReport, console: Console) -> None:
    memory = report.memory
    if memory is None:
        return
    console.print(
        f"the chip's memory of {CHIP / MIB:.0f} MiB: parameters {memory.parameters / MIB:.2f} MiB, of which "
        f"{memory.streamed / MIB:.2f} are sent for every run; activations at most {memory.activations / MIB:.2f} MiB, "
        f"at number {memory.widest}"
    )


def _show_estimate(report: CheckReport, console: Console) -> None:
    if not report.estimates:
        return
    from rich.table import Table

    table = Table(title="one run (one tile), ms: estimated, not measured")
    for head in ("bus", "transfer", "compute", "total", "at least"):
        table.add_column(head, justify="left" if head == "bus" else "right", no_wrap=True)
    for each in report.estimates:
        numbers = (each.transfer, each.compute, each.total, each.least)
        table.add_row(each.bus, *(f"{number:.2f}" for number in numbers))
    console.print(table)
    for frame in report.frames:
        times = ", ".join(f"{each.bus} {frame.tiles * each.total:.0f} ms" for each in report.estimates)
        console.print(f"a frame of {frame.width}x{frame.height}: {frame.tiles} runs: {times}")
    for text in assumptions():
        console.print(f"  assumed: {text}")


def _describe(compiled: Compiled) -> list[str]:
    runtime = "of unknown version" if compiled.runtime is None else f"{compiled.runtime} or newer"
    lines = [
        f"compiled by {compiled.compiler or 'a compiler that does not state its version'}; programs for the chip: "
        f"{compiled.programs}, {compiled.bytes / MIB:.2f} MiB; needs runtime {runtime}"
    ]
    if compiled.on_cpu:
        lines.append(f"on the CPU: {', '.join(compiled.on_cpu)}")
    return lines

"""The commands `coral check` and `coral compile`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from quietcam.terminal.options import Json, number

__all__ = ["mount"]

_Model = Annotated[str, typer.Argument(help="A .tflite file, or the name of a model that ships.")]


def mount(app: typer.Typer) -> None:
    """Register the group ``coral``."""
    coral = typer.Typer(
        no_args_is_help=True,
        help="Prepare a model for an Edge TPU: check it without hardware, and compile it if the compiler is installed. "
        "Example: `quietcam coral check small_256x256_int8.tflite`",
    )
    coral.command("check")(check_command)
    coral.command("compile")(compile_command)
    app.add_typer(coral, name="coral")


def check_command(
    model: _Model,
    everything: Annotated[
        bool, typer.Option("--all", help="List every condition, whether it holds, and its source.")
    ] = False,
    json: Json = None,
) -> None:
    """Predict what the Edge TPU's compiler will do with a model. Needs no compiler and no Coral.

    Shows for each operator whether it maps, maps under a condition, or runs on the CPU; the resulting split; the memory
    it needs and the chip's memory; and an estimate of the time over USB 3, USB 2 and PCIe. Exits with 3 if an operator
    will run on the CPU or the model does not fit the chip.

    Example: `quietcam coral check models/coral/small_256x256_int8.tflite`
    """
    from convert.coral.check import check_model
    from convert.coral.show import show_check
    from quietcam.errors import GateError
    from quietcam.terminal.report import report_console, write_report

    path = _resolve(model)
    report = check_model(path)
    show_check(report, report_console(json), everything)
    write_report(json, report.to_dict())
    if not report.holds:
        raise GateError(
            f"All of a model must run on the Edge TPU, from its own memory. Received: {path.name}: {report.verdict}."
        )


def compile_command(
    model: _Model,
    out: Annotated[Path | None, typer.Option(help="Folder for the result. Default: the model's own folder.")] = None,
    compiler: Annotated[
        str | None,
        typer.Option(
            envvar="QUIETCAM_EDGETPU_COMPILER",
            help="Path of the compiler, or a whole command in which {folder} stands for the model's folder: "
            "'docker run --rm -v {folder}:/work -w /work IMAGE edgetpu_compiler'. Default: edgetpu_compiler on "
            "PATH.",
        ),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run no compiler: use this file, which the compiler made elsewhere, for example on Google Colab.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", parser=number(0.001, 10**6), help="Stop the compiler after this time.")
    ] = 600.0,
    json: Json = None,
) -> None:
    """Compile a model for the Edge TPU, with Google's compiler if it is installed (x86-64 only).

    Writes NAME_edgetpu.tflite with the manifest of its source, and the compiler's log. Reports where the compiler's
    result differs from what `coral check` predicted. Exits with 3 if an operator runs on the CPU.

    Example: `quietcam coral compile models/coral/small_256x256_int8.tflite --out models/coral`
    """
    from convert.coral.check import check_model
    from convert.coral.compile import adopt_model, compile_model
    from convert.coral.compiler import require_compiler
    from convert.coral.show import show_compiled
    from quietcam.errors import GateError, MissingExtraError
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    path = _resolve(model)
    prediction = check_model(path)
    say(f"The preflight of {path.name}: {prediction.expectation}.")
    folder = out or path.parent
    if result is not None:
        report = adopt_model(path, folder, result, prediction)
    else:
        try:
            found = require_compiler(compiler)
        except MissingExtraError:
            write_report(json, {"prediction": prediction.to_dict()})
            raise
        report = compile_model(path, folder, found, prediction, timeout)
    show_compiled(report, report_console(json))
    write_report(json, report.to_dict())
    if not (folder / path.name).exists():
        say(f"Put {path.name} into the folder of {report.path.name}; then the CPU takes over if the Coral is lost.")
    if not report.holds:
        left = ", ".join(f"{count} {kind}" for kind, count in Counter(report.compiled.on_cpu).items())
        raise GateError(
            f"All of a model must run on the Edge TPU. Received: {report.path.name}, of which the CPU runs "
            f"{left or 'a part'}. "
            "Remedy: `quietcam coral check` says why."
        )


def _resolve(model: str) -> Path:
    from edge.models import resolve_model

    return Path(model) if Path(model).exists() or model.endswith(".tflite") else resolve_model(model)

"""The command convert, and the mounting of the commands of this stage."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import convert.coral.cli
from quietcam.errors import GateError
from quietcam.terminal.options import Json, MaxDrop, MaxDropIso, PairsOrNone, Side

__all__ = ["mount"]

_MAX_DROP_ISO = 0.25


class Target(StrEnum):
    """The hardware that a model is made for."""

    CPU = "cpu"
    CORAL = "coral"


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("convert")(convert_command)
    convert.coral.cli.mount(app)


def convert_command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE|NAME",
            help="A run directory, a .keras or .h5 file, a SavedModel, the name of a model that ships (`quietcam "
            "models`), or a float32 or int8 .tflite that this command wrote.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the models. Models for a Coral go into its subfolder coral.")
    ] = Path("models"),
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="float32, float16, dynamic_int8, int8 or int8x16; may be given several times. "
            "Default: float32 and int8; only int8 for a .tflite or for a Coral."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Size of the frames; may be given several times. Default: the size that the file was built for, or "
            "256x256 if it was built for any size.",
        ),
    ] = None,
    tile: Annotated[
        list[str] | None, typer.Option(metavar="SIDE", help="Side of square frames; may be given several times.")
    ] = None,
    target: Annotated[
        Target,
        typer.Option(
            help="coral makes an int8 model that ends before depth-to-space, with a tile size that fits the memory."
        ),
    ] = Target.CPU,
    representative: Annotated[
        Path | None,
        typer.Option(
            help="Representative set that int8 ranges are measured on (`quietcam calibrate`); for a video network, of "
            "clips. A .tflite already has ranges; those that this set exceeds are widened."
        ),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="For a video network of which only the fusion was trained: the int8 .tflite of the still network that "
            "it was trained on. The body keeps the int8 of this file, and gives the same pictures without history.",
        ),
    ] = None,
    data: PairsOrNone = None,
    split: Side = "all",
    max_drop: MaxDrop = None,
    max_drop_iso: MaxDropIso = _MAX_DROP_ISO,
    rescue: Annotated[
        bool,
        typer.Option(
            "--rescue",
            help="When int8 loses more than --max-drop (default: 0.1), try other ranges, equalized channels, more "
            "samples, and layers in float.",
        ),
    ] = False,
    name: Annotated[str | None, typer.Option(help="First part of the models' names. Default: the run's name.")] = None,
    json: Json = None,
) -> None:
    """Convert a trained network, or a model that ships, to TFLite: NAME_WxH_RECIPE.tflite with its manifest.

    The loss of int8 is measured on --data; without it, the loss is estimated on the representative set. A video
    network remembers its own frames meanwhile, as it does live.

    Example: `quietcam convert runs/mine --recipe float32 --recipe int8 --representative rep.npz --out models`

    For frames of another size, with the same pixels as before: `quietcam convert small --size 1280x720`

    For a Coral: `quietcam convert small --target coral`

    With ranges from your own camera: `quietcam convert small --representative rep.npz --name mine`

    With a quality gate, and remedies if int8 loses too much: add `--data pairs --split validation --max-drop 0.1
    --rescue`
    """
    from convert.api import convert
    from convert.files import read_size, read_tile
    from convert.show import conversion_report, show_conversions
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    sizes = [*map(read_size, size or []), *map(read_tile, tile or [])]
    outcome = convert(
        run,
        recipe,
        sizes,
        representative,
        out,
        target=target.value,
        data=data,
        split=split,
        max_drop=max_drop,
        max_drop_iso=max_drop_iso,
        rescue=rescue,
        name=name,
        body=body,
    )
    write_report(json, conversion_report(outcome))
    show_conversions(outcome, report_console(json))
    if outcome.fault is not None and max_drop is not None:
        raise GateError(
            f"--max-drop compares int8 with a float network, which must give pictures. Received: {outcome.fault}."
        )
    if (missed := outcome.missed) is None:
        return
    if max_drop is not None:
        raise GateError(
            f"int8 may lose no more than --max-drop to its float twin. Received: {missed}. Remedy: {outcome.advice}."
        )
    say(f"warning: {missed}. {outcome.advice}.")

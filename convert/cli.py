"""The command convert; what else this stage mounts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import convert.coral.cli
from quietcam.errors import GateError, UsageError
from quietcam.terminal.options import Json, Side, number

if TYPE_CHECKING:
    from convert.recipes import Recipe
    from convert.sources.loaded_model import LoadedModel

__all__ = ["mount"]

_MAX_DROP, _MAX_DROP_ISO = 0.1, 0.25


class Target(StrEnum):
    """What a graph is made for."""

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
        Path, typer.Option(help="The folder for the models. Those for a Coral go into its subfolder coral.")
    ] = Path("models"),
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="float32, float16, dynamic_int8, int8 or int8x16; may be given several times. "
            "Default: float32 and int8; for a .tflite and for a Coral, int8 alone."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Size of the frames; may be given several times. Default: the size that the file was built for, else "
            "256x256.",
        ),
    ] = None,
    tile: Annotated[
        list[str] | None, typer.Option(metavar="SIDE", help="The same for a square; may be given several times.")
    ] = None,
    target: Annotated[
        Target, typer.Option(help="coral: int8 throughout, ends before depth-to-space, tile size chosen by memory.")
    ] = Target.CPU,
    representative: Annotated[
        Path | None,
        typer.Option(
            help="The set that int8 ranges are measured on (`quietcam calibrate`). A .tflite has ranges already: "
            "those that this set exceeds are widened."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Pairs to measure on what int8 loses. Without them it is estimated.")
    ] = None,
    split: Side = "all",
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="DB", parser=number(0, 100), help="Exit with 3 when int8 loses more to its float twin."),
    ] = None,
    max_drop_iso: Annotated[
        float,
        typer.Option(
            metavar="DB", parser=number(0, 100), help="The same for the worst ISO bucket of at least 3 pictures."
        ),
    ] = _MAX_DROP_ISO,
    rescue: Annotated[
        bool,
        typer.Option("--rescue", help="When int8 loses more than --max-drop (0.1 where not given), try what may help."),
    ] = False,
    name: Annotated[str | None, typer.Option(help="Front of the models' names. Default: the run's name.")] = None,
    json: Json = None,
) -> None:
    """Convert a trained network, or a model that ships, to TFLite: NAME_WxH_RECIPE.tflite with its manifest.

    Example: `quietcam convert runs/mine --recipe float32 --recipe int8 --representative rep.npz --out models`

    A model that ships for frames of another size, with the same pixels: `quietcam convert small --size 1280x720`

    The same for a Coral: `quietcam convert small --target coral`

    With ranges from your own camera: `quietcam convert small --representative rep.npz --name mine`

    With a gate, and what helps if it does not hold: add `--data pairs --split validation --max-drop 0.1 --rescue`
    """
    from convert.converter import check_ranges
    from convert.files import check_name, read_size, read_tile
    from convert.orders import Order, convert_run
    from convert.show import conversion_report, show_conversions
    from convert.sources.finished import find_source, load_finished
    from quietcam.quality_gate import QualityGate
    from quietcam.representative.set import load_set
    from quietcam.terminal.progress import say
    from quietcam.terminal.report import report_console, write_report

    # Everything that can be wrong about the words, before TensorFlow takes its seconds.
    is_coral = target is Target.CORAL
    source = find_source(run)
    is_finished = source.suffix == ".tflite"
    recipes = _recipes(recipe, is_coral, is_finished)
    sizes = [*map(read_size, size or []), *map(read_tile, tile or [])]
    if name is not None:
        check_name(name)
    chosen = load_set(representative) if representative else None
    pairs = None
    if data is not None:
        from quietcam.data.load import load_pairs

        pairs = load_pairs(data, split=split).pairs
    if is_finished:
        loaded = load_finished(source)
    else:
        from convert.sources.keras_model import load_keras

        loaded = load_keras(source)
    for each in recipes:
        check_ranges(loaded, each, chosen)
    has_ranges = loaded.carries_ranges or (bool(loaded.finished) and chosen is None)
    if max_drop is not None and (has_ranges or not any(each.is_full_int8 for each in recipes)):
        raise UsageError(
            "--max-drop compares int8 with the float network that it is made of. Received: "
            + ("a network that has its ranges already." if has_ranges else "no --recipe int8.")
            + " Remedy: quietcam compare FLOAT.tflite INT8.tflite --data DIR --max-drop DB"
        )
    order = Order(
        recipes,
        list(dict.fromkeys(sizes or [_default_size(loaded, is_coral)])),
        check_name(name or loaded.name),
        is_coral=is_coral,
        gate=QualityGate(_MAX_DROP if max_drop is None else max_drop, max_drop_iso),
        rescue=rescue,
    )
    done = convert_run(loaded, order, out / "coral" if is_coral else out, chosen, pairs)
    write_report(json, conversion_report(done))
    show_conversions(done, report_console(json))
    if done.fault is not None and max_drop is not None:
        raise GateError(
            f"--max-drop compares int8 with a float network, which must give pictures. Received: {done.fault}."
        )
    if done.loss is not None and not done.holds:
        limits = f"{order.gate.limit:g} dB, {order.gate.bucket_limit:g} in the worst ISO bucket"
        missed = f"int8 loses {done.loss}; allowed are {limits}"
        if max_drop is not None:
            raise GateError(
                f"int8 may lose no more than --max-drop to its float twin. Received: {missed}. Remedy: {done.advice}."
            )
        say(f"warning: {missed}. {done.advice}.")


def _recipes(names: list[str] | None, is_coral: bool, is_finished: bool) -> list[Recipe]:
    from convert.recipes import get_recipe

    usual = ["int8"] if is_coral or is_finished else ["float32", "int8"]
    recipes = [get_recipe(each) for each in dict.fromkeys(names or usual)]
    if is_coral and any(not each.is_full_int8 for each in recipes):
        raise UsageError(
            "--target coral makes int8 models alone: nothing else maps to an Edge TPU. Received: "
            f"{', '.join(each.name for each in recipes)}. Remedy: --recipe int8, or --target cpu for the others."
        )
    return recipes


def _default_size(loaded: LoadedModel, is_coral: bool) -> tuple[int, int]:
    finished = next(iter(loaded.finished.values()), None)
    if finished is not None and not is_coral:
        return finished.manifest.width, finished.manifest.height
    if not is_coral or all(loaded.fixed):
        return loaded.fit(256, 256)
    from convert.coral.tile import coral_tile

    if loaded.architecture is None:
        return loaded.fit(128, 128)
    side = coral_tile(loaded.architecture)
    return side, side

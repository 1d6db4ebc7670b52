"""The command convert; what else this stage mounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import convert.compare_cli
import convert.coral.cli
from quietcam.options import Json

if TYPE_CHECKING:
    from convert.converter import Conversion

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("convert")(convert_command)
    convert.compare_cli.mount(app)
    convert.coral.cli.mount(app)


def convert_command(
    run: Annotated[Path, typer.Argument(help="A run directory, or a .keras file that tf_keras wrote.")],
    out: Annotated[Path, typer.Option(help="The folder for the models.")],
    recipe: Annotated[
        list[str] | None, typer.Option(help="float32 or int8; may be given several times. Default: both.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Of the frames; may be given several times. Default: 256x256."),
    ] = None,
    representative: Annotated[
        Path | None, typer.Option(help="The set that int8 ranges are taken from (`quietcam calibrate`).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Front of the models' names. Default: the run's name.")] = None,
    json: Json = None,
) -> None:
    """Convert a trained network to TFLite: NAME_WxH_RECIPE.tflite with its manifest, read back and checked.

    Example: `quietcam convert runs/mine --recipe float32 --recipe int8 --representative rep.npz --out models`
    """
    from datetime import UTC, datetime

    from convert.converter import check_ranges, convert_model, describe
    from convert.files import check_name, read_size, write_model
    from convert.keras_model import load_keras
    from convert.recipes import RECIPES, get_recipe
    from quietcam.atomic import make_folder
    from quietcam.lint import lint
    from quietcam.progress import progress, say
    from quietcam.report import write_report
    from quietcam.representative import load_set

    # Everything that can be wrong about the words, before TensorFlow takes its seconds.
    recipes = [get_recipe(each) for each in dict.fromkeys(recipe or RECIPES)]
    sizes = list(dict.fromkeys(read_size(each) for each in size or ["256x256"]))
    if name is not None:
        check_name(name)
    chosen = load_set(representative) if representative else None
    created = datetime.now(UTC).isoformat(timespec="seconds")
    with progress("Converting", 1 + len(recipes) * len(sizes)) as bar:
        loaded = load_keras(run)
        title = check_name(name or loaded.name)
        for each in recipes:
            check_ranges(loaded, each, chosen)
        for finding in lint(chosen, channels=loaded.channels) if chosen else ():
            say(f"{finding.severity}: {finding}")
        make_folder(out)
        bar.advance()
        written: list[tuple[Path, Conversion]] = []
        for width, height in sizes:
            for each in recipes:
                conversion = convert_model(loaded, each, width=width, height=height, representative=chosen)
                manifest = describe(conversion, loaded, title, chosen)
                written.append((write_model(out, conversion.content, manifest, created), conversion))
                bar.advance(note=written[-1][0].name)
    write_report(json, {"models": [_conversion_report(*each) for each in written]})
    _show_conversions(written, json)


def _conversion_report(path: Path, conversion: Conversion) -> dict[str, Any]:
    graph = conversion.graph
    return {
        "path": str(path),
        "recipe": conversion.recipe.name,
        "width": conversion.width,
        "height": conversion.height,
        "bytes": path.stat().st_size,
        "int8_share": round(graph.int8_share, 4),
        "parameters": graph.parameters,
        "gmacs": graph.gmacs,
        "gmacs_256": graph.gmacs_256,
        "stride": graph.stride,
        "sparsity": graph.sparsity,
        "removed": list(conversion.removed),
        "ops": graph.table(),
    }


def _show_conversions(written: list[tuple[Path, Conversion]], json: str | None) -> None:
    from rich.table import Table

    from quietcam.report import report_console

    table = Table()
    for index, head in enumerate(("model", "kB", "ops", "int8", "GMACs", "zeros", "ends")):
        table.add_column(head, justify="right" if 0 < index < 6 else "left", no_wrap=True)
    for path, conversion in written:
        graph = conversion.graph
        end = graph.outputs[0]
        table.add_row(
            path.name,
            f"{path.stat().st_size / 1000:.1f}",
            str(len(graph.ops)),
            f"{graph.int8_share:.0%}",
            f"{graph.gmacs:.3f}",
            f"{graph.sparsity:.0%}",
            "int8, 1/255" if conversion.recipe.is_full_int8 else end.dtype,
        )
    console = report_console(json)
    console.print(table)
    removed = sorted({kind for _, conversion in written for kind in conversion.removed})
    if removed:
        console.print(f"Taken out of int8, since they change no value: {', '.join(removed)}")

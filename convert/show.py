"""Shows the models that a conversion wrote, as tables and as JSON, from what was read back from the files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.converter import Conversion
from convert.coral.check import check_content
from convert.coral.memory import measure
from convert.outcome import ConvertedModel, Outcome
from convert.quantize.rescue import Rescue
from quietcam.tflite.graph import Graph, Op
from quietcam.tflite.receptive_field import receptive_field

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["conversion_report", "show_conversions"]


def conversion_report(outcome: Outcome) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "models": [_model(each) for each in outcome],
        "findings": [] if outcome.fault is None else [str(outcome.fault)],
        "harms": outcome.harms,
        "loss": None if outcome.loss is None else outcome.loss.to_dict() | {"holds": outcome.holds},
        "kept": None if outcome.kept is None else outcome.kept.to_dict(),
        "rescue": None if outcome.rescue is None else outcome.rescue.to_dict(),
        "collapsed": [each.to_dict(span) | {"cause": each.cause(span)} for each, span in outcome.collapsed],
        "representative": [each.to_dict() for each in outcome.findings],
    }


def _model(model: ConvertedModel) -> dict[str, Any]:
    path, conversion = model.path, model.conversion
    graph = conversion.graph
    return {
        "path": str(path),
        "recipe": conversion.recipe_name,
        "width": conversion.width,
        "height": conversion.height,
        "bytes": path.stat().st_size,
        "int8_share": round(graph.int8_share, 4),
        "parameters": graph.parameters,
        "activation_bytes": measure(graph.ops).activations,
        "gmacs": graph.gmacs,
        "gmacs_256": graph.gmacs_256,
        "receptive_field": receptive_field(graph),
        "stride": graph.stride,
        "static": graph.is_static,
        "sparsity": graph.sparsity,
        "scheme": None if conversion.scheme is None else str(conversion.scheme),
        "tail": "depth_to_space" if conversion.block else None,
        "block": conversion.block or None,
        "removed": list(conversion.removed),
        "ops": graph.table(),
    }


def show_conversions(outcome: Outcome, console: Console) -> None:
    """Print tables of the models, of each recipe's operators and of the rescue's steps, and the loss of int8."""
    from rich.table import Table

    table = Table()
    heads = ("model", "kB", "ops", "int8", "parameters", "activations kB", "GMACs", "sees px", "zeros", "ends")
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if 0 < index < 9 else "left", no_wrap=True)
    for path, conversion in _pairs(outcome):
        graph = conversion.graph
        reach = receptive_field(graph)
        table.add_row(
            path.name,
            f"{path.stat().st_size / 1000:.1f}",
            str(len(graph.ops)),
            f"{graph.int8_share:.0%}",
            f"{graph.parameters:,}",
            f"{measure(graph.ops).activations / 1000:,.0f}",
            f"{graph.gmacs:.3f}",
            "?" if reach is None else str(reach),
            f"{graph.sparsity:.0%}",
            "int8, 1/255" if conversion.recipe.is_full_int8 else graph.outputs[0].dtype,
        )
    console.print(table)
    seen: set[str] = set()
    for _, conversion in _pairs(outcome):
        if conversion.recipe_name not in seen:
            seen.add(conversion.recipe_name)
            console.print(_operators(conversion.recipe_name, conversion.graph))
    removed = sorted({kind for _, conversion in _pairs(outcome) for kind in conversion.removed})
    if removed:
        console.print(f"Removed from int8, since they change no value:  {', '.join(removed)}")
    if any(conversion.block for _, conversion in _pairs(outcome)):
        console.print(
            "The model ends before DEPTH_TO_SPACE; the runtime does that step on the host. The pixels are the same."
        )
    for path, conversion in _pairs(outcome):
        if conversion.block:
            preflight = check_content(conversion.content, path.name)
            console.print(f"{path.name}: {preflight.verdict} (details: `quietcam coral check`).")
    if outcome.rescue is not None:
        _show_rescue(outcome.rescue, console)
    if outcome.fault is not None:
        console.print(
            "The loss of int8 is not reported, because the float network itself does not output pictures (see above)."
        )
    if outcome.loss is not None:
        how = "measured on the pairs" if outcome.loss.is_measured else "estimated on the representative set"
        if outcome.loss.frames > 1:
            how += f" over {outcome.loss.frames} frames in a row, of which each network remembers its own"
        console.print(f"int8 loses {outcome.loss} to the float network, {how}.")
    if outcome.kept is not None:
        console.print(f"With its previous ranges, the model loses {outcome.kept}.")
    made = [each for each in _pairs(outcome) if each[1].recipe.is_full_int8]
    if made and outcome.fault is None:
        path, conversion = made[-1]
        word, step = ("Compile it", ["coral", "compile"]) if conversion.block else ("Run it", ["run", "--model"])
        console.print(f"{word}: {shlex.join(['quietcam', *step, str(path)])}", soft_wrap=True)


def _pairs(outcome: Outcome) -> list[tuple[Path, Conversion]]:
    return [(each.path, each.conversion) for each in outcome]


def _operators(recipe: str, graph: Graph) -> Any:
    from rich.table import Table

    table = Table(title=f"operators of {recipe}", title_justify="left")
    for head in ("op", "version", "count", "activations", "constants"):
        table.add_column(head, justify="right" if head in ("version", "count") else "left", no_wrap=True)
    rows: dict[tuple[str, int, str, str], int] = {}
    for op in graph.ops:
        row = (op.kind, op.version, _types(op, False), _types(op, True))
        rows[row] = rows.get(row, 0) + 1
    for (kind, number, activations, constants), count in rows.items():
        table.add_row(kind, str(number), str(count), activations, constants)
    return table


def _types(op: Op, constant: bool) -> str:
    if not constant:
        return ", ".join(dict.fromkeys(each.dtype for each in op.activations))
    words = [
        f"{each.dtype} per channel" if len(each.scales) > 1 and each.dtype == "int8" else each.dtype
        for each in op.inputs
        if each.is_constant
    ]
    return ", ".join(dict.fromkeys(words))


def _show_rescue(rescue: Rescue, console: Console) -> None:
    from rich.table import Table

    table = Table(title="rescue: what each step brought", title_justify="left")
    for head in ("step", "int8 loses", "kept"):
        table.add_column(head, no_wrap=head != "step")
    for step in rescue.steps:
        table.add_row(step.title, str(step.loss), "yes" if step.kept else "")
    console.print(table)
    if rescue.scheme.excluded:
        from quietcam.tflite.activations import layer_name

        names = ", ".join(layer_name(each) for each in rescue.scheme.excluded)
        console.print(
            f"This model is no longer full int8: {names} and the layers that read it stay in float. The file is called "
            "int8_mixed. It runs on a CPU, but not on an Edge TPU."
        )

"""The command compare."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from quietcam.errors import UsageError
from quietcam.options import Json, Side

__all__ = ["mount"]


class Classic(StrEnum):
    """Filters that need no training, to compare with."""

    BLUR = "blur"
    NLM = "nlm"


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare")(compare_command)


def compare_command(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Models: .tflite files, .keras files or run directories, names of models that ship. A quantized one "
            "is measured against the float one of its name, else the first float one."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Pairs: SIDD as it is downloaded, or a folder with noisy/ and clean/.")],
    split: Side = "all",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pairs, evenly spread.")] = None,
    classic: Annotated[
        list[Classic] | None,
        typer.Option(help="Add a filter, each picture at its best strength; may be given several times."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="That times are measured with.")] = 1,
    blame: Annotated[bool, typer.Option(help="Find the layer that int8 hurts most.")] = True,
    json: Json = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures there, one file.")] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            help="Exit with 3 when a quantized model loses more to its float twin, over all pictures or in an ISO "
            "bucket of at least 3.",
        ),
    ] = None,
    max_drop_iso: Annotated[
        float | None, typer.Option(metavar="DB", help="Another limit for the ISO buckets. Default: --max-drop.")
    ] = None,
) -> None:
    """Compare float and quantized models on the same pairs: quality, size, cost, layers, pictures.

    Example: `quietcam compare m_float32.tflite m_int8.tflite --data pairs/ --classic nlm --html report.html`

    The .tflite files need the extra `edge` alone, so this runs on the device, too.
    """
    from convert.compare import compare
    from convert.table import show_comparison
    from edge.models import resolve_model
    from quietcam.atomic import make_folder
    from quietcam.data.pairs import find_pairs
    from quietcam.data.split import pairs_of_side
    from quietcam.errors import GateError
    from quietcam.report import report_console, write_report

    for option, value in (("--max-drop", max_drop), ("--max-drop-iso", max_drop_iso)):
        if value is not None and not value >= 0:
            raise UsageError(f"{option} is in dB and not negative. Received: {value}. Remedy: for example {option} 0.1")
    if max_drop_iso is not None and max_drop is None:
        raise UsageError("--max-drop-iso goes with --max-drop. Received: it alone. Remedy: add --max-drop DB.")
    for target in (html, json):
        if target is not None and str(target) != "-":
            make_folder(Path(target).parent)  # before a long comparison, not after it
    paths = [each if each.exists() else resolve_model(str(each)) for each in models]
    pairs = pairs_of_side(find_pairs(data).pairs, split)
    compared = compare(
        paths,
        pairs,
        data=data.resolve().name if split == "all" else f"{data.resolve().name} ({split} scenes)",
        classic=[each.value for each in dict.fromkeys(classic or [])],
        limit=limit,
        max_drop=max_drop,
        max_drop_iso=max_drop_iso,
        threads=threads,
        with_blame=blame,
    )
    show_comparison(compared.scores, report_console(json))
    write_report(json, compared.scores.to_dict())
    if html is not None:
        from convert.report import write_html

        write_html(html, compared, pairs)
    missed = [check for check in compared.scores.gate if not check.holds]
    if missed:
        culprits = {each.model: each.verdict for each in compared.scores.blame if each.culprit}
        raise GateError(
            "A quantized model may lose no more to its float twin than --max-drop allows. Received: "
            + "; ".join(f"{c.model} loses {c.drop:.3f} dB ({c.where}, at most {c.limit:g})" for c in missed)
            + ". "
            + "".join(f"{culprits[name]} " for name in dict.fromkeys(c.model for c in missed) if name in culprits)
            + "Remedy: convert with a representative set closer to the data, or train with quantization: "
            "quietcam train RUN --qat --data DIR"
        )

"""The command compare."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_COUNT, MOST_THREADS
from quietcam.terminal.options import Json, Side, number, whole, writable

if TYPE_CHECKING:
    from compare.scores import Comparison

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
            help="Models: .tflite files, .keras files, run directories or names of models that ship. The report is "
            "about the first. A quantized model is compared with the float model of the same weights."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Pairs: SIDD as it is downloaded, or a folder with noisy/ and clean/.")],
    split: Side = "all",
    limit: Annotated[
        int | None, typer.Option(parser=whole(1, MOST_COUNT), help="At most so many pairs, evenly spread.")
    ] = None,
    twin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INT8=FLOAT",
            help="The float model that a quantized one was made of, if their manifests do not tell; may be given "
            "several times.",
        ),
    ] = None,
    classic: Annotated[
        list[Classic] | None,
        typer.Option(help="Add a filter, each picture at its best strength; may be given several times."),
    ] = None,
    threads: Annotated[int, typer.Option(parser=whole(1, MOST_THREADS), help="That times are measured with.")] = 1,
    blame: Annotated[bool, typer.Option(help="Find the layer that int8 hurts most.")] = True,
    json: Json = None,
    html: Annotated[
        Path | None, typer.Option(callback=writable, help="Write a report with pictures there, one file.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            parser=number(0, 100),
            help="Exit with 3 when a quantized model loses more to its float twin, over all pictures or in an ISO "
            "bucket of at least 3.",
        ),
    ] = None,
    max_drop_iso: Annotated[
        float | None,
        typer.Option(
            metavar="DB", parser=number(0, 100), help="Another limit for the ISO buckets. Default: --max-drop."
        ),
    ] = None,
) -> None:
    """Compare float and quantized models on the same pairs: quality, size, cost, layers, pictures.

    Example: `quietcam compare m_float32.tflite m_int8.tflite --data pairs/ --classic nlm --html report.html`

    The .tflite files need the extra `edge` alone, so this runs on the device, too.
    """
    from compare.comparison import compare
    from compare.table import show_comparison
    from quietcam.data.load import load_pairs
    from quietcam.errors import GateError
    from quietcam.files.atomic import make_folder
    from quietcam.terminal.report import report_console, write_report

    if max_drop_iso is not None and max_drop is None:
        raise UsageError("--max-drop-iso goes with --max-drop. Received: it alone. Remedy: add --max-drop DB.")
    for target in (html, json):
        if target is not None and str(target) != "-":
            make_folder(Path(target).parent)  # before a long comparison, not after it
    paths = [_path(each) for each in models]
    twins = _twins(twin or [], dict(zip(map(str, models), paths, strict=True)))
    pairs = load_pairs(data, split=split).pairs
    compared = compare(
        paths,
        pairs,
        data=data.resolve().name if split == "all" else f"{data.resolve().name} ({split} scenes)",
        twins=twins,
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
        from compare.page.report import write_html

        write_html(html, compared, pairs)
    missed = [check for check in compared.scores.gate if not check.holds]
    if missed:
        culprits = {each.model: each.verdict for each in compared.scores.blame if each.culprit}
        raise GateError(
            "A quantized model may lose no more to its float twin than --max-drop allows. Received: "
            + "; ".join(f"{c.model} loses {c.drop:.3f} dB ({c.where}, at most {c.limit:g})" for c in missed)
            + ". "
            + "".join(f"{culprits[name]} " for name in dict.fromkeys(c.model for c in missed) if name in culprits)
            + "Remedy: convert with a representative set closer to the data, or "
            + _qat(compared.scores, missed[0].model)
        )


def _qat(scores: Comparison, name: str) -> str:
    """How the model of that row is trained with quantization: by us, where it is of our family."""
    from quietcam.tflite.twins import FOREIGN_QAT

    if (scores.row(name).manifest or {}).get("architecture"):
        return "train with quantization: quietcam train RUN --qat --data DIR"
    return FOREIGN_QAT


def _path(model: Path) -> Path:
    """The file or folder; of a name, the model that ships."""
    from edge.models import resolve_model

    return model if model.exists() else resolve_model(str(model))


def _twins(told: list[str], models: dict[str, Path]) -> dict[Path, Path]:
    """What ``--twin`` says, as paths; the quantized model as it was given, or by its file's name or stem."""
    from quietcam.tflite.twins import parse_twin

    found = {}
    for text in told:
        name, floating = parse_twin(text)
        fits = {path for given, path in models.items() if name in (given, str(path), path.name, path.stem)}
        if len(fits) != 1:
            raise UsageError(
                f"--twin names one of the models that are compared. Received: {text!r}, and {len(fits) or 'none'} of "
                f"{', '.join(models)} is called {name}. Remedy: write the model as it stands in the command."
            )
        found[fits.pop()] = _path(Path(floating))
    return found

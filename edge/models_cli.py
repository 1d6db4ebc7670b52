"""The command `models`: what ships, and with `--measure` what of it is worth its time on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from edge.options import Threads, frame_size
from quietcam.errors import UsageError
from quietcam.terminal.options import Json

__all__ = ["models_command"]

_SIZE = (640, 480)
_WIDTH = 78  # of the plot, in characters


def models_command(
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Time the models on this machine, and show which are worth their time: dB against ms. Takes seconds.",
        ),
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="With --measure: size of the frames. Default: {}x{}.".format(*_SIZE)),
    ] = None,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """List the models that ship: their size, cost, quality, and the license of their training data.

    Example: `quietcam models --measure --size 640x480 --threads 2`
    """
    if measure:
        _measure(frame_size(size) or _SIZE, threads, json)
        return
    for name, value in (("size", size), ("threads", threads)):
        if value is not None:
            raise UsageError(f"`{name}` needs `measure`. Received: `{name}` alone. Remedy: add `measure`.")
    _list(json)


def _list(json: str | None) -> None:
    from edge.models import default_model, describe, resolve_model, shipped_models
    from edge.table import show_table

    models = [describe(path) for path in shipped_models()]
    rows = [
        [
            each["name"],
            f"{each['width']}x{each['height']}",
            "video" if each["history"] else "still",
            f"{each['bytes'] / 1000:.0f}",
            *("" if each[key] is None else f"{each[key]:.2f}" for key in ("gmacs_256", "psnr")),
            each["licence"] or "",
        ]
        for each in models
    ]
    notes = [_NONE_SHIPS]
    if models:
        notes = [
            f"{default_model()} is the default and stands for {resolve_model().stem}. PSNR is the network's before it "
            "was converted, on validation crops: of SIDD for still networks, of generated scenes for demo, of clips, "
            "with history, for video networks.",
            "`quietcam models --measure` times them here, and shows which are worth their time.",
            f"The files, and a card of each model: {resolve_model().parent}",
        ]
    head = ["name", "frame", "network", "kB", "GMACs at 256x256", "PSNR dB", "license of its data"]
    show_table(json, models, "Models that ship", head, rows, notes)


_NONE_SHIPS = "no model ships with this installation"


def _measure(size: tuple[int, int], threads: int | None, json: str | None) -> None:
    from edge.models.frontier import measure_models, shipped_names
    from edge.table import show_table
    from quietcam.terminal.progress import progress
    from quietcam.terminal.report import report_console

    names = shipped_names()
    if not names:
        raise UsageError(
            f"Only models that ship are measured. Received: {_NONE_SHIPS}. Remedy: install quietcam again."
        )
    with progress("Measuring", len(names)) as bar:
        report = measure_models(size, threads, on_run=bar.advance)
    head = ["model", "network", "ms", "frames/s", "gain dB", "PSNR dB", "frontier"]
    models = [*_in_order(report["models"])]
    title = "{width}x{height}, threads: {threads}, {runtime}".format(**report)
    show_table(json, report, title, head, map(_row, models), _notes(report))
    console = report_console(json)
    for kind, title in (("still", "still networks"), ("video", "video networks")):
        for line in _plot([each for each in models if each["history"] is (kind == "video")], title, console.width):
            console.print(line)


def _in_order(models: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The fastest first, and each video network after its still network."""
    for each in sorted(models, key=lambda model: float(model["ms"])):
        if each.get("still") is None:
            yield each
            yield from (other for other in models if other.get("still") == each["model"])


def _row(model: dict[str, Any]) -> list[str]:
    if model["frontier"] is None:
        place = "not compared"
    else:
        place = "yes" if model["frontier"] else f"behind {model['beaten_by']}"
    return [
        model["model"],
        "video" if model["history"] else "still",
        f"{model['ms']:.3g}" if model["ms"] < 100 else f"{model['ms']:.0f}",
        f"{model['fps']:.1f}",
        *("" if model[key] is None else f"{model[key]:.2f}" for key in ("gain", "denoised_psnr")),
        place,
    ]


def _notes(report: dict[str, Any]) -> Iterator[str]:
    models, sets = report["models"], report["sets"]
    yield (
        "ms: median of the bare network for one frame. `quietcam bench` measures what the runtime adds. "
        "CPU kernels use {name}.".format(**report["instructions"])
    )
    for kind in ("still", "video"):
        if sets[kind]:
            history = ", with history" if kind == "video" else ""
            yield (
                f"gain of {kind} networks: dB above the noisy pictures, before the conversion to int8, mean over "
                f"{', '.join(sets[kind])}{history}."
            )
    others = [each["model"] for each in models if each["frontier"] is None]
    if others:
        yield f"not compared, since measured on other pictures or not at all: {', '.join(others)}."
    yield "frontier: no other network of its kind is as fast and as good, and faster or better."
    for each in models:
        if each["history"]:
            yield f"{each['model']}: {'; '.join(_of_video(each))}"


def _of_video(model: dict[str, Any]) -> Iterator[str]:
    """What a video network costs and gives, from its manifest."""
    if model.get("still"):
        yield f"{model['times_of_still']:.2f} times the time of {model['still']}"
    clips = {name: each for name, each in (model["by_set"] or {}).items() if each.get("without_history") is not None}
    for name, each in clips.items():
        yield f"{each['psnr']:.2f} dB on {name}, {each['without_history']:.2f} without history"
    if not clips:
        yield "its manifest has no scores on clips"


def _plot(models: list[dict[str, Any]], title: str, width: int) -> list[str]:
    """The gain over the time, as text; nothing where fewer than two networks can be compared."""
    from quietcam.terminal.scatter import Dot, scatter

    known = [each for each in models if each["gain"] is not None]
    if len(known) < 2:
        return []
    dots = [Dot(each["model"], each["ms"], each["gain"], "*" if each["frontier"] else "o") for each in known]
    return ["", *scatter(dots, "ms", f"dB gained, {title} (* on the frontier, o behind)", min(_WIDTH, width))]

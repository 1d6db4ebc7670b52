"""The command compare."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_COUNT, MOST_SEED, MOST_THREADS
from quietcam.terminal.options import Json, MaxDrop, MaxDropIsoOrNone, PairsOrNone, Side, number, whole, writable

if TYPE_CHECKING:
    from compare.clips.scores import ClipComparison
    from compare.scores import Comparison

__all__ = ["mount"]


class Classic(StrEnum):
    """Filters that need no training, to compare with. Those from ``NLM_MULTI`` on need clips."""

    BLUR = "blur"
    MEDIAN = "median"
    BILATERAL = "bilateral"
    NLM = "nlm"
    NLM_MULTI = "nlm_multi"
    HQDN3D = "hqdn3d"
    ATADENOISE = "atadenoise"
    NLMEANS = "nlmeans"


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare")(compare_command)


def compare_command(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Models: .tflite files, .keras files, run directories or names of models that ship. The report is "
            "about the first. A quantized model is compared with its float twin, the float model of the same weights."
        ),
    ],
    data: PairsOrNone = None,
    clips: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|VIDEO",
            help="Compare on clips instead of pairs: a data set of clips, a clean video, or a folder of clean videos. "
            "Video networks also run without history.",
        ),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="Noise of this sensor for clean videos: imx219, imx477, imx708 or ov5647. Needed with them."),
    ] = None,
    gain: Annotated[
        float | None, typer.Option(parser=number(1, 64), help="Analog gain of the sensor, 1 to 64. Default: 1.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            parser=whole(2, MOST_COUNT),
            help="Use at most this many frames of a clip. Default: all of a data set's clip, 60 of a video.",
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=number(0, 10**6), help="Leave out so much of each video. Default: 0."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            parser=whole(0, MOST_SEED),
            help="Seed of the simulated camera, which films all videos, and of its noise.",
        ),
    ] = 0,
    split: Side = "all",
    limit: Annotated[
        int | None,
        typer.Option(parser=whole(1, MOST_COUNT), help="Use at most this many pairs or clips, evenly spread."),
    ] = None,
    twins: Annotated[
        list[str] | None,
        typer.Option(
            "--twin",
            metavar="INT8=FLOAT",
            help="The float twin of a quantized model, if the manifests do not name it. Repeat it for more models.",
        ),
    ] = None,
    classic: Annotated[
        list[Classic] | None,
        typer.Option(
            help="Add a filter, at its best strength for each picture or clip. Repeat it for more filters. Pairs "
            "take blur, median, bilateral and nlm, clips all of them. hqdn3d, atadenoise and nlmeans are ffmpeg's."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(parser=whole(1, MOST_THREADS), help="How many threads the timed runs use.")
    ] = 1,
    blame: Annotated[bool, typer.Option(help="Find the layer that int8 hurts most.")] = True,
    json: Json = None,
    html: Annotated[
        Path | None,
        typer.Option(callback=writable, help="Write a report with pictures to this file. Clips play in it."),
    ] = None,
    max_drop: MaxDrop = None,
    max_drop_iso: MaxDropIsoOrNone = None,
) -> None:
    """Compare models on the same pairs: quality, size, time, layers, pictures. Or on clips: flicker, ghosts, cuts.

    Example: `quietcam compare m_float32.tflite m_int8.tflite --data pairs/ --classic nlm --html report.html`

    Example: `quietcam compare video.tflite still.tflite --clips videos/ --sensor imx219 --gain 24`

    Without --max-drop-iso, --max-drop is also the limit for each ISO bucket.

    For .tflite files the extra `edge` is enough, so this runs on the device too.
    """
    from compare.api import check_choice, compare_folder, compare_on_clips
    from compare.clips.table import show_clips
    from compare.page.report import write_html
    from compare.table import show_comparison
    from quietcam.files.atomic import make_folder
    from quietcam.terminal.report import report_console, write_report

    check_choice(data, clips, max_drop_iso, {"frames": frames, "start": start, "sensor": sensor, "gain": gain})
    for target in (html, json):
        if target is not None and str(target) != "-":
            make_folder(Path(target).parent)  # before a long comparison, not after it
    filters, named = [each.value for each in classic or []], dict(map(_twin, twins or []))
    if clips is not None:
        on_clips = compare_on_clips(
            models,
            clips,
            split=split,
            limit=limit,
            frames=frames,
            start=start,
            sensor=sensor,
            gain=gain,
            seed=seed,
            classic=filters,
            twins=named,
            max_drop=max_drop,
            threads=threads,
            html=html,
        )
        show_clips(on_clips, report_console(json))
        write_report(json, on_clips.to_dict())
        _check_gate(on_clips, {})
        return
    assert data is not None
    compared, pairs = compare_folder(
        models,
        data,
        split=split,
        limit=limit,
        classic=filters,
        twins=named,
        max_drop=max_drop,
        max_drop_iso=max_drop_iso,
        threads=threads,
        blame=blame,
    )
    show_comparison(compared.scores, report_console(json))
    write_report(json, compared.scores.to_dict())
    if html is not None:
        write_html(html, compared, pairs)
    _check_gate(compared.scores, {each.model: each.verdict for each in compared.scores.blame if each.culprit})


def _check_gate(scores: Comparison | ClipComparison, culprits: Mapping[str, str]) -> None:
    """Raise if a limit is not kept. ``culprits``: by the model, the words about the layer that loses most."""
    from quietcam.errors import GateError

    missed = [check for check in scores.gate if not check.holds]
    if missed:
        raise GateError(
            "A quantized model may lose at most --max-drop to its float twin. Received: "
            + "; ".join(f"{c.model} loses {c.drop:.3f} dB ({c.where}, at most {c.limit:g})" for c in missed)
            + ". "
            + "".join(f"{culprits[name]} " for name in dict.fromkeys(c.model for c in missed) if name in culprits)
            + "Remedy: convert with a representative set that is closer to the data, or "
            + _qat(scores, missed[0].model)
        )


def _qat(scores: Comparison | ClipComparison, name: str) -> str:
    """How to train the model of that row with quantization: by quietcam, if quietcam built its network."""
    from quietcam.tflite.twins import FOREIGN_QAT

    if (scores.row(name).manifest or {}).get("architecture"):
        return "train with quantization: quietcam train RUN --qat --data DIR"
    return FOREIGN_QAT


def _twin(text: str) -> tuple[str, str]:
    """INT8=FLOAT as the two names."""
    quantized, _, floating = text.partition("=")
    if not quantized or not floating:
        raise UsageError(
            "--twin must name a quantized model and its float twin. Received: "
            f"{text!r}. Remedy: --twin m_int8.tflite=m_float32.tflite"
        )
    return quantized, floating

"""The command evaluate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quietcam.errors import GateError, UsageError
from quietcam.limits import MOST_COUNT
from quietcam.terminal.options import Json, number, whole

if TYPE_CHECKING:
    from quietcam.data.clips.clip import Clip
    from quietcam.data.sets.pairs import Pair
    from train.evaluation.page import PageTable, Strip

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    run: Annotated[Path, typer.Argument(help="A run directory that train or prune wrote.")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Pairs: SIDD as downloaded, or a folder with noisy/ and clean/; or clips. May be given several times."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE[:RULE]",
            help="train, validation, test or all. Default: for data that the run was trained on, the test scenes by "
            "the run's split; for other data, all.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, MOST_COUNT), help="Use at most this many pairs, and clips, of each data set, evenly spread."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(parser=whole(0, 10_000), help="How many pictures of each kind to show; 0 for none.")
    ] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures and index.html. Default: RUN/evaluation.")
    ] = None,
    json: Json = None,
    min_gain: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            parser=number(-100, 100),
            help="Exit with 3 if the network improves PSNR by less than this on a data set.",
        ),
    ] = None,
) -> None:
    """Measure a run's network on pairs: PSNR and SSIM by set, phone, ISO and brightness, next to the noisy pictures'
    values. A video network is measured on every frame of clips, and beside it the same network without history.

    The folder shows the worst pictures, those with the least gain, and typical ones, as noisy | denoised | clean. To
    measure TFLite models and filters, use `quietcam compare`.

    Example: `quietcam evaluate runs/mine --data pairs/ --data sidd_native/valid --json mine.json`
    """
    from quietcam.data.load import load_pairs
    from quietcam.files.atomic import make_folder
    from quietcam.process.native_output import native_output_caught
    from quietcam.quality.worse import worse_than_noisy
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    with native_output_caught():
        from train.evaluation.clip_page import clip_page_table, clip_strips, clip_table
        from train.evaluation.clips import evaluate_clips, treat_clip
        from train.evaluation.evaluate import evaluate, whole_pictures
        from train.evaluation.page import page_table, strips, table, write_pictures
        from train.evaluation.validation import VideoDenoise, inference
        from train.patches.kinds import kinds_of
        from train.run_directory.origin import unseen_side
        from train.run_directory.read import read_run

    trained = read_run(run)
    config, model, evaluation = trained.config, trained.load_saved_model(), trained.evaluation
    sets: dict[str, list[Pair]] = {}
    clips: dict[str, list[Clip]] = {}
    sides: dict[str, str] = {}
    for folder in data:
        name = "/".join(folder.resolve().parts[-2:]).lstrip("/")
        if name in sides:
            raise UsageError(
                f"The last two parts of a path name a data set, and the names must differ. Received: {name} twice."
            )
        sides[name] = split or unseen_side(name, evaluation.data, config.training.split)
        pairs, in_clips = kinds_of(load_pairs(folder, split=sides[name]).pairs, config.model)
        if in_clips:
            clips[name] = in_clips
        if pairs or not in_clips:
            sets[name] = list(pairs)
    folder = out or run / "evaluation"
    if pictures:
        make_folder(folder)  # fail before the work, not after it
    told: dict[str, Any] = {}
    scores: dict[str, tuple[float, float]] = {}
    tables: list[PageTable] = []
    shown: list[Strip] = []
    problems: list[str] = []
    stride, channels = config.model.stride, config.model.channels
    if sets:
        found = evaluate(model, sets, stride=stride, limit=limit)
        report_console(json).print(table(found))
        scores |= {name: (score.psnr, score.noisy_psnr) for name in sets for score in [found.score(name)]}
        told |= found.to_dict()
        tables.append(page_table(found))
        problems += found.problems
        denoise = whole_pictures(inference(model), stride)
        shown += strips(found, denoise, channels, pictures)
    if clips:
        network = VideoDenoise(model)
        measured = evaluate_clips(network, clips, stride=stride, channels=channels, limit=limit)
        report_console(json).print(clip_table(measured))
        for name in measured.sets():
            means = measured.mean(name)
            scores[f"{name} (clips)" if name in sets else name] = (means["denoised"].psnr, means["noisy"].psnr)
        told["clips"] = measured.to_dict()
        tables.append(clip_page_table(measured))
        problems += measured.problems
        shown += clip_strips(measured, partial(treat_clip, network, stride=stride, channels=channels), pictures)
    for each in worse_than_noisy(scores):
        say(f"warning: {each}")
    facts = {
        "widths": " ".join(map(str, config.model.widths)),
        "GMACs at 256x256": round(config.model.gmacs(), 4),
        "parameters": config.model.parameters,
        "sparsity": evaluation.sparsity,
        "data": ", ".join(f"{name} ({side})" for name, side in sides.items()),
    }
    if pictures:
        write_pictures(folder, run.resolve().name, tables, shown, facts, problems)
        say(f"pictures: {folder / 'index.html'}")
    write_report(json, {"run": str(run), "sides": sides, "model": facts, **told})
    gains = {name: psnr - noisy for name, (psnr, noisy) in scores.items()}
    if min_gain is not None and (short := {name: gain for name, gain in gains.items() if gain < min_gain}):
        raise GateError(
            f"The network must gain at least {min_gain:g} dB on every data set. Received: "
            f"{', '.join(f'{gain:.2f} on {name}' for name, gain in short.items())}. "
            "Remedy: train longer, or on data closer to these."
        )

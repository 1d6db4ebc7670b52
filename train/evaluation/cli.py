"""The command evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.errors import GateError, UsageError
from quietcam.limits import MOST_COUNT
from quietcam.terminal.options import Json, number, whole

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    run: Annotated[Path, typer.Argument(help="A run directory that train or prune wrote.")],
    data: Annotated[
        list[Path],
        typer.Option(help="Pairs: SIDD as downloaded, or a folder with noisy/ and clean/. May be given several times."),
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
        typer.Option(parser=whole(1, MOST_COUNT), help="Use at most this many pairs of each data set, evenly spread."),
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
    values.

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
        from train.evaluation.evaluate import evaluate, whole_pictures
        from train.evaluation.page import strips, table, write_pictures
        from train.evaluation.validation import inference
        from train.run_directory.origin import unseen_side
        from train.run_directory.read import read_run

    trained = read_run(run)
    config, model, evaluation = trained.config, trained.load_saved_model(), trained.evaluation
    sets, sides = {}, {}
    for folder in data:
        name = "/".join(folder.resolve().parts[-2:]).lstrip("/")
        if name in sets:
            raise UsageError(
                f"The last two parts of a path name a data set, and the names must differ. Received: {name} twice."
            )
        sides[name] = split or unseen_side(name, evaluation.data, config.training.split)
        sets[name] = load_pairs(folder, split=sides[name]).pairs
    folder = out or run / "evaluation"
    if pictures:
        make_folder(folder)  # fail before the work, not after it
    found = evaluate(model, sets, stride=config.model.stride, limit=limit)
    report_console(json).print(table(found))
    scores = {name: found.score(name) for name in sets}
    for each in worse_than_noisy({name: (score.psnr, score.noisy_psnr) for name, score in scores.items()}):
        say(f"warning: {each}")
    facts = {
        "widths": " ".join(map(str, config.model.widths)),
        "GMACs at 256x256": round(config.model.gmacs(), 4),
        "parameters": config.model.parameters,
        "sparsity": evaluation.sparsity,
        "data": ", ".join(f"{name} ({side})" for name, side in sides.items()),
    }
    if pictures:
        denoise = whole_pictures(inference(model), config.model.stride)
        write_pictures(
            folder, run.resolve().name, found, strips(found, denoise, config.model.channels, pictures), facts
        )
        say(f"pictures: {folder / 'index.html'}")
    write_report(json, {"run": str(run), "sides": sides, "model": facts, **found.to_dict()})
    gains = {name: score.gain for name, score in scores.items()}
    if min_gain is not None and (short := {name: gain for name, gain in gains.items() if gain < min_gain}):
        raise GateError(
            f"The network must gain at least {min_gain:g} dB on every data set. Received: "
            f"{', '.join(f'{gain:.2f} on {name}' for name, gain in short.items())}. "
            "Remedy: train longer, or on data closer to these."
        )

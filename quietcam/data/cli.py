"""The commands of data sets: data index, data pack, data generate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_SEED
from quietcam.terminal.options import Json, number, whole


def mount(app: typer.Typer) -> None:
    """Register this package's commands."""
    data = typer.Typer(no_args_is_help=True, help=_group.__doc__)
    data.command("index")(index_command)
    data.command("generate")(generate)
    data.command("pack")(pack_command)
    data.callback()(_group)
    app.add_typer(data, name="data")


def _group() -> None:
    """Data sets: what is in them and what is broken, packed patches, generated pairs."""


def index_command(
    data: Annotated[
        Path,
        typer.Argument(
            help="SIDD as it is downloaded: a folder, .zip or .mat; or a folder with noisy/ and clean/, or lq/ and gt/."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test=SCENES,validation=SCENES",
            help="Show this split: scenes joined by +, or a share. Default: test=0.15,validation=0.15,seed=0.",
        ),
    ] = None,
    max_shift: Annotated[
        float,
        typer.Option(parser=number(0, 1000), metavar="PIXELS", help="Pairs shifted by more are called misregistered."),
    ] = 0.5,
    noisy: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|PATTERN",
            help="The folder of the noisy pictures, or a pattern such as '*_5000.JPG', where * stands for what both "
            "files of a pair share. It is kept with the data, and every command uses it. Default: the usual names.",
        ),
    ] = None,
    clean: Annotated[
        str | None, typer.Option(metavar="FOLDER|PATTERN", help="The same for the clean pictures.")
    ] = None,
    json: Json = None,
) -> None:
    """Open every picture of a data set: say what is there, how noisy it is, and everything that is wrong.

    Example: `quietcam data index SIDD_Small_sRGB_Only.zip --split test=004,validation=001`
    """
    from quietcam.data.sets.index import index_data
    from quietcam.data.sets.layout import Layout, inside, write_layout
    from quietcam.data.sets.split import SplitRule
    from quietcam.data.sets.table import show_index
    from quietcam.errors import DataError
    from quietcam.terminal.progress import say
    from quietcam.terminal.report import report_console, write_report

    if (noisy is None) != (clean is None):
        given = f"--noisy {noisy}" if clean is None else f"--clean {clean}"
        raise UsageError(
            f"--noisy and --clean must be given together. Received: {given} alone. "
            f"Remedy: add {'--clean' if clean is None else '--noisy'}."
        )
    layout = None if noisy is None or clean is None else Layout(inside(data, noisy), inside(data, clean))
    index = index_data(data, rule=SplitRule.parse(split), max_shift=max_shift, layout=layout)
    write_report(json, index.to_dict())
    show_index(index, report_console(json))
    if layout is not None and index.facts:
        kept = write_layout(data, layout)
        say(
            f"The names are kept in {kept}: every command that reads {data} uses them. Remove that file to forget them."
        )
    if not (index.facts or index.noisy_only):
        raise DataError(
            f"A data set must hold at least one pair that can be used. Received: {data}, where nothing can. "
            "Remedy: mend what is listed above."
        )


def generate(
    out: Annotated[Path, typer.Option(help="The folder; takes noisy/ and clean/.")],
    count: Annotated[int, typer.Option(parser=whole(1, 200_000), help="How many pairs.")] = 400,
    size: Annotated[int, typer.Option(parser=whole(32, 4096), help="Side of a picture in pixels.")] = 256,
    seed: Annotated[
        int, typer.Option(parser=whole(0, MOST_SEED), help="Of the first pair; each further pair takes the next.")
    ] = 0,
    band: Annotated[
        str | None,
        typer.Option(help="Lowest and highest PSNR of the noisy side, LOW:HIGH in dB. Default: as drawn."),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="The noise of this sensor: imx219, imx477, imx708 or ov5647. Default: levels as SIDD's."),
    ] = None,
    gain: Annotated[
        float | None, typer.Option(parser=number(1, 64), help="The sensor's analogue gain, 1 to 64. Default: 1.")
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(metavar="DIR|VIDEO", help="Take scenes from these pictures or frames. Default: generated ones."),
    ] = None,
    aliased: Annotated[
        bool,
        typer.Option("--aliased", help="As of frames shrunk without a filter: white grain, jagged edges."),
    ] = False,
    world: Annotated[
        bool,
        typer.Option(
            "--world",
            help="Draw each pair's camera from every kind: phones, phones at night, Raspberry Pi and machine cameras. "
            "Some scale and compress their frames.",
        ),
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also draw the first 24 pairs into this .png or .jpg, each with what made it."
        ),
    ] = None,
) -> None:
    """Take clean scenes, generated or your own, through a random camera's sensor noise.

    Example: `quietcam data generate --out pairs/ --sensor imx219 --gain 8 --clean clip.mp4`
    """
    from quietcam.data.generated import read_band, write_pairs
    from quietcam.data.pictures.files import written_suffix
    from quietcam.sensor.noise import sensor as sensor_noise

    limits = read_band(band)
    if gain is not None and sensor is None:
        raise UsageError(f"--gain belongs to a sensor. Received: {gain:g}. Remedy: add --sensor imx219, for example.")
    if sensor is not None and limits is not None:
        raise UsageError(
            f"--sensor sets the noise, and so does --band. Received: {sensor} and {band}. Remedy: choose one of them."
        )
    if aliased and limits is not None:
        raise UsageError(
            f"--aliased takes noise as it is drawn. Received: --band {band}. Remedy: leave one of them out."
        )
    chosen = {"--band": band, "--sensor": sensor, "--aliased": aliased}
    if world and (others := [name for name, value in chosen.items() if value]):
        raise UsageError(
            f"--world draws the noise and the camera. Received: {' and '.join(others)} beside it. "
            "Remedy: leave one of them out."
        )
    if sheet is not None:
        written_suffix(sheet)  # now, not behind hours of work
    noise = None if sensor is None else sensor_noise(sensor, 1.0 if gain is None else gain)
    write_pairs(
        out, count=count, size=size, seed=seed, band=limits, noise=noise, clean=clean, aliased=aliased, world=world
    )
    from quietcam.terminal.report import report_console

    console = report_console(None)
    console.print(f"{out}: {count} pairs", soft_wrap=True)
    if sheet is not None:
        from quietcam.data.sheet import SHOWN, write_sheet

        write_sheet(sheet, out, range(seed, seed + count), world=world)
        console.print(f"{sheet}: the first {min(count, SHOWN)} of them, noisy beside clean", soft_wrap=True)


def pack_command(
    data: Annotated[Path, typer.Argument(help="Pairs: SIDD as it is downloaded, or a folder with noisy/ and clean/.")],
    out: Annotated[Path, typer.Option(help="The folder that takes the packed set.")],
    patch: Annotated[int, typer.Option(parser=whole(16, 4096), help="Side of a patch in pixels.")] = 256,
    per_picture: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, 10**6),
            help="At most so many patches of a picture, at random places. Default: a dense grid.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(parser=whole(0, MOST_SEED), help="Of the random places; another seed, others.")
    ] = 0,
    split: Annotated[
        str,
        typer.Option(
            metavar="SIDE|RULE",
            help="Only train, validation or test; or all, split by a rule as in data index. Training wants all.",
        ),
    ] = "all",
    gray: Annotated[
        bool, typer.Option("--gray", help="One channel, for networks of one; colour gives its luma.")
    ] = False,
    json: Json = None,
) -> None:
    """Decode each picture once and pack its patches for training, as raw pixels that are mapped into memory.

    Run it again after an interruption and it goes on; run it again on a finished set and it checks every patch.

    Example: `quietcam data pack SIDD_Small_sRGB_Only --out packed/ --per-picture 100`
    """
    from quietcam.data.packed.pack import pack
    from quietcam.terminal.report import report_console, write_report

    report = pack(data, out, patch=patch, per_picture=per_picture, seed=seed, split=split, channels=1 if gray else 3)
    write_report(json, report.to_dict())
    sides = ", ".join(f"{count} {side}" for side, count in report.sides.items())
    report_console(json).print(
        f"{out}: {report.patches} patches of {patch}x{patch} from {report.pictures} pictures"
        f"{f' ({sides})' if sides else ''}, {report.pixel_bytes / 1e9:.2f} GB"
        f"{f', {report.kept} of them from before' if report.kept else ''}"
        f"{f', {len(report.skipped)} pictures skipped' if report.skipped else ''}",
        soft_wrap=True,
    )

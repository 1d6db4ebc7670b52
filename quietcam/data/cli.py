"""The commands of data sets: data index (in ``index_cli``), data pack, data generate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.data.index_cli import index_command
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
    """Data sets: list what is in them and what is broken, pack patches, generate pairs and clips."""


def generate(
    out: Annotated[Path, typer.Option(help="Write the pairs to this folder, in noisy/ and clean/.")],
    count: Annotated[int, typer.Option(parser=whole(1, 200_000), help="How many pairs, or clips.")] = 400,
    size: Annotated[int, typer.Option(parser=whole(32, 4096), help="Side of a picture in pixels.")] = 256,
    seed: Annotated[
        int,
        typer.Option(
            parser=whole(0, MOST_SEED), help="Seed of the first pair. Each further pair takes the next number."
        ),
    ] = 0,
    band: Annotated[
        str | None,
        typer.Option(help="Lowest and highest PSNR of the noisy pictures, LOW:HIGH in dB. Default: no limits."),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="Noise of this sensor: imx219, imx477, imx708 or ov5647. Default: noise levels as in SIDD."),
    ] = None,
    gain: Annotated[
        float | None, typer.Option(parser=number(1, 64), help="Analog gain of the sensor, 1 to 64. Default: 1.")
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|VIDEO",
            help="Take clean scenes from these pictures or this video. With --clips, the folder may also hold videos. "
            "Default: generated scenes.",
        ),
    ] = None,
    aliased: Annotated[
        bool,
        typer.Option(
            "--aliased", help="Pairs as from frames that were shrunk without a filter: white grain, jagged edges."
        ),
    ] = False,
    all_cameras: Annotated[
        bool,
        typer.Option(
            "--all-cameras",
            help="Draw the camera of each pair from all kinds: phones, phones at night, Raspberry Pi and machine "
            "cameras. Some of them scale and compress their frames.",
        ),
    ] = False,
    clips: Annotated[
        bool,
        typer.Option(
            "--clips",
            help="Make clips instead of pairs: the camera and things move, light changes. Each clip has one camera.",
        ),
    ] = False,
    frames: Annotated[
        int | None, typer.Option(parser=whole(2, 10_000), help="Frames of a clip, with --clips. Default: 16.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also draw the first 24 pairs or clips into this .png or .jpg file, each with its camera.",
        ),
    ] = None,
) -> None:
    """Add the sensor noise of random cameras to clean scenes, generated ones or your own.

    Example: `quietcam data generate --out pairs/ --sensor imx219 --gain 8 --clean clip.mp4`
    """
    from quietcam.data.generated import read_band, write_pairs
    from quietcam.data.pictures.files import written_suffix
    from quietcam.sensor.noise import sensor as sensor_noise

    limits = read_band(band)
    if gain is not None and sensor is None:
        raise UsageError(
            f"--gain needs --sensor. Received: --gain {gain:g} alone. Remedy: for example, add --sensor imx219."
        )
    if sensor is not None and limits is not None:
        raise UsageError(
            f"--sensor and --band both set the noise. Received: {sensor} and {band}. Remedy: leave one of them out."
        )
    if aliased and limits is not None:
        raise UsageError(f"--aliased cannot limit the noise. Received: --band {band}. Remedy: leave one of them out.")
    chosen = {"--band": band, "--sensor": sensor, "--aliased": aliased}
    if all_cameras and (others := [name for name, value in chosen.items() if value]):
        raise UsageError(
            f"--all-cameras draws both the noise and the camera. Received: also {' and '.join(others)}. "
            "Remedy: leave one of them out."
        )
    if frames is not None and not clips:
        raise UsageError(f"--frames needs --clips. Received: --frames {frames} alone. Remedy: add --clips.")
    unfit = [name for name, value in (("--band", band), ("--aliased", aliased)) if value]
    if clips and unfit:
        raise UsageError(f"--clips cannot be combined with {' and '.join(unfit)}. Remedy: leave one of them out.")
    if sheet is not None:
        written_suffix(sheet)  # now, not after hours of work
    noise = None if sensor is None else sensor_noise(sensor, 1.0 if gain is None else gain)
    if clips:
        from quietcam.data.clips_cli import write_and_show

        write_and_show(out, sheet, count, frames or 16, size, seed, noise, clean, all_cameras)
        return
    write_pairs(
        out,
        count=count,
        size=size,
        seed=seed,
        band=limits,
        noise=noise,
        clean=clean,
        aliased=aliased,
        all_cameras=all_cameras,
    )
    from quietcam.terminal.report import report_console

    console = report_console(None)
    console.print(f"{out}: {count} pairs", soft_wrap=True)
    if sheet is not None:
        from quietcam.data.contact_sheet import SHOWN, write_sheet

        write_sheet(sheet, out, range(seed, seed + count), all_cameras=all_cameras)
        console.print(f"{sheet}: the first {min(count, SHOWN)} of them, noisy beside clean", soft_wrap=True)


def pack_command(
    data: Annotated[Path, typer.Argument(help="Pairs: SIDD as downloaded, or a folder with noisy/ and clean/.")],
    out: Annotated[Path, typer.Option(help="Write the packed set to this folder.")],
    patch: Annotated[int, typer.Option(parser=whole(16, 4096), help="Side of a patch in pixels.")] = 256,
    per_picture: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, 10**6),
            help="Take at most this many patches from a picture, at random places. Default: all of a dense grid.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole(0, MOST_SEED), help="Another seed gives other random places.")] = 0,
    split: Annotated[
        str,
        typer.Option(
            metavar="SIDE|RULE",
            help="Pack only train, validation or test. Or pack all, split by a rule as in data index; train needs all.",
        ),
    ] = "all",
    gray: Annotated[
        bool,
        typer.Option("--gray", help="Pack patches of one channel, the luma of color pictures: for grayscale networks."),
    ] = False,
    json: Json = None,
) -> None:
    """Decode each picture once and pack its patches for training, as raw pixels that are mapped into memory.

    Run the command again to continue after an interruption, or to check every patch of a finished set.

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

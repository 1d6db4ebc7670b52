"""The command `capture` of the edge stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.options import Flip, Rotate
from quietcam.errors import UsageError
from quietcam.files.paths import exists, resolved
from quietcam.terminal.options import Json, number, whole

if TYPE_CHECKING:
    from edge.capture import CaptureReport

__all__ = ["capture_command"]

_QUIET = 1.4  # of 255


def capture_command(
    out: Annotated[Path, typer.Option(help="Folder for the frames. It must be empty or new.")],
    source: Annotated[
        str | None,
        typer.Option(help="A camera, a video or pictures, as in `quietcam run`. Default: the connected camera."),
    ] = None,
    count: Annotated[int, typer.Option(parser=whole(1, 100_000), help="Number of frames.")] = 256,
    every: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 10**7),
            metavar="SECONDS",
            help="Seconds between two frames. Default: 0.5 for a live camera; for a file, spread over all of it.",
        ),
    ] = None,
    clip: Annotated[
        bool,
        typer.Option("--clip", help="Take every frame, so that the frames form a clip: to calibrate a video network."),
    ] = False,
    rotate: Rotate = 0,
    flip: Flip = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier capture in that folder.")] = False,
    json: Json = None,
) -> None:
    """Save noisy frames of this camera, to be used on the desktop: `quietcam calibrate --data DIR --out rep.npz`.

    Let the scene change during the capture: day and night, near and far. Of equal frames only one is saved.
    For a video network capture several clips, each with --clip and a folder of its own below one folder.

    Example: `quietcam capture --source synthetic --count 64 --every 0.1 --out frames`
    """
    from edge.cameras import open_camera
    from edge.cameras.discover import find_camera
    from edge.capture import capture, prepare_folder
    from quietcam.process.native_output import divert_native_output
    from quietcam.terminal.progress import progress
    from quietcam.terminal.report import write_report

    divert_native_output()
    source = source or find_camera()
    camera = open_camera(source, rotate=rotate, flip=flip)
    if exists(Path(source)) and resolved(Path(source)) == resolved(out):
        raise UsageError(
            f"Frames cannot be saved where they are read from. Received: {out}. Remedy: choose another `out`."
        )
    prepare_folder(out, overwrite)
    with camera, progress("Capturing", count) as bar:
        done = capture(camera, out, count=count, every=every, clip=clip, on_frame=lambda _: bar.advance())
    write_report(json, done.to_dict())
    _tell(done, out, count)


def _tell(done: CaptureReport, out: Path, count: int) -> None:
    from quietcam.terminal.say import say

    told = done.to_dict()
    noise = told["noise_sigma"]
    say(
        f"{done.frames} frames ({', '.join(told['sizes'])}, {done.bytes / 1e6:.1f} MB) over {done.seconds:.1f} s"
        + (f", noise about {noise['median']:.1f} of 255" if noise else "")
        + f", values {done.low} to {done.high}"
    )
    if done.lost:
        say(f"{done.lost} frames are missing in between: the camera or this machine was too slow, or frames were equal")
    if done.frames < count:
        why = "the source repeats itself" if done.repeated else "the source has no more frames"
        say(f"{done.frames} of {count}: {why}")
    elif done.repeated:
        say(f"{done.repeated} frames equal saved ones and were skipped")
    say(
        {
            False: "the camera's own denoiser is off",
            True: "warning: the camera's own denoiser is on, so these frames have less noise than its sensor. "
            "Remedy: turn it off and capture again.",
            None: "it is not known whether the camera denoises by itself; if it does, do not calibrate with its frames",
        }[done.isp_denoise]
    )
    if noise and noise["median"] < _QUIET:
        say(
            f"warning: hardly any noise in these frames ({noise['median']:.1f} of 255): the camera or the recorder "
            "has removed it, or the light is very good. A representative set of them does not represent noisy frames."
        )
    network = "--model FLOAT.tflite " if done.clip else ""
    say(f"next: quietcam calibrate --data {out.parent if done.clip else out} {network}--out representative.npz")

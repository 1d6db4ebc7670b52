"""The command `run` of the edge stage: the wording of its options."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge.options import Device, Flip, History, Rotate, RunModel, Threads, frame_size
from edge.service.settings import Settings, use_config
from quietcam.terminal.options import Json, number, whole

__all__ = ["run_command"]

_heat = partial(typer.Option, rich_help_panel="When the device is hot or frames come late")
_tell = partial(typer.Option, rich_help_panel="Alarms and home automation")
_page = partial(typer.Option, rich_help_panel="The live page (--sink web)")

_Wait = Annotated[
    bool | None,
    typer.Option(
        "--wait/--no-wait",
        help="Wait for a camera that is not connected yet, and serve the page meanwhile. Default: only as a "
        "systemd service.",
    ),
]
_MqttPassword = Annotated[
    str | None,
    _tell(
        metavar="PASSWORD|@FILE",
        envvar="QUIETCAM_MQTT_PASSWORD",
        show_envvar=True,
        help="Password for --sink mqtt://USER@HOST. @FILE reads it from a file.",
    ),
]
_OnEvent = Annotated[
    list[str] | None,
    _tell(
        metavar="COMMAND|URL|@FILE",
        help="Tell this program (run without a shell) or https:// webhook that a camera is lost or back, frames pass "
        "untouched, a disk is full … Repeat the option for several.",
    ),
]
_Events = Annotated[
    str | None,
    _tell(metavar="EVENT,EVENT…", help="Tell only of these events, such as camera_lost,too_hot. Default: all."),
]


def run_command(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            help="Where noisy frames come from: picamera2, a video device (/dev/video0 or 0), a URL (rtsp://, "
            "http://), a folder of pictures, a picture, a video file, or synthetic. Settings follow a colon, as in "
            "picamera2:KEY=VALUE,… Default: the camera that is connected. picamera2:denoise=temporal has not run on "
            "hardware yet."
        ),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="Where denoised frames go: web (a live page), spool:FOLDER[,KEY=VALUE…], record:FOLDER[,KEY=VALUE…], "
            "a folder, a video file (.mp4, .mkv, .webm, .avi), a server (rtsp://, rtmp://, srt://), a virtual camera "
            "(/dev/video10), - (raw RGB to standard output), window, null; state and events: mqtt://. Repeat it for "
            "several. For a camera: web."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Frame size to ask a camera for.")] = None,
    fps: Annotated[
        float | None, typer.Option(parser=number(0.001, 1000), help="Frames per second to ask a camera for.")
    ] = None,
    rotate: Rotate = 0,
    flip: Flip = None,
    model: RunModel = None,
    threads: Threads = None,
    device: Device = "cpu",
    strength: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            parser=number(0, 1),
            help="How much of the network is in the picture: 0 shows noisy frames, 1 denoised ones.",
        ),
    ] = 1.0,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate/--no-gate",
            help="The do-no-harm gate leaves clean frames alone, and frames that the network would harm.",
        ),
    ] = True,
    history: History = True,
    clip: Annotated[
        bool, typer.Option("--clip", help="A folder's pictures are frames of a clip, in the order of their numbers.")
    ] = False,
    frames: Annotated[int | None, typer.Option(parser=whole(1, 10**15), help="Stop after this many frames.")] = None,
    before_after: Annotated[
        bool, typer.Option("--before-after", help="Put the noisy frame on the left of the denoised one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    allow_still: Annotated[
        bool,
        typer.Option(
            "--allow-still", help="Accept a camera whose picture never changes, such as a test pattern, as live."
        ),
    ] = False,
    wait: _Wait = None,
    ladder: Annotated[
        bool, _heat("--ladder/--no-ladder", help="Do less work per frame, step by step. For cameras only.")
    ] = True,
    hot: Annotated[
        float | None,
        _heat(
            metavar="CELSIUS",
            parser=number(30, 120),
            help="From this temperature on the device is too hot. Default: 80 on ARM, 95 elsewhere.",
        ),
    ] = None,
    deadline: Annotated[
        float,
        _heat(metavar="MS", parser=number(0, 10**7), help="A frame that is older is late. 0: no frame is ever late."),
    ] = 500.0,
    smaller: Annotated[
        str | None,
        _heat(
            metavar="MODEL",
            help="A smaller model that takes over. Default: one that ships; where none fits, frames at half the size.",
        ),
    ] = None,
    listen: Annotated[
        str, _page(metavar="HOST[:PORT]", help="Address of the page. With 0.0.0.0 other machines can open it.")
    ] = "127.0.0.1:8080",
    token: Annotated[
        str | None,
        _page(
            metavar="TOKEN|auto|@FILE",
            envvar="QUIETCAM_TOKEN",
            show_envvar=True,
            help="Token that viewers must enter to open the page. auto makes one and prints it.",
        ),
    ] = None,
    open_to_all: Annotated[
        bool, _page("--open-to-all", help="Let other machines open the page without a token.")
    ] = False,
    host_name: Annotated[
        list[str] | None,
        _page(help="Another host name under which browsers open the page. Repeat the option for several names."),
    ] = None,
    viewers: Annotated[int, _page(parser=whole(1, 1000), help="How many browsers may watch at the same time.")] = 8,
    jpeg_quality: Annotated[int, _page(parser=whole(1, 100), help="JPEG quality of the live stream, 1 to 100.")] = 80,
    mqtt_password: _MqttPassword = None,
    on_event: _OnEvent = None,
    events: _Events = None,
    config: Annotated[
        Path | None,
        typer.Option(
            is_eager=True,
            callback=use_config,
            help="TOML file with these options. On SIGHUP, its model and strength are read again.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Denoise the frames of a camera, a video or a folder of pictures.

    Example: `quietcam run --source noisy.mp4 --sink clean.webm --before-after`

    Into another program: `quietcam run --source /dev/video0 --size 640x480 --sink - | ffmpeg -f rawvideo
    -pix_fmt rgb24 -s 640x480 -r 30 -i - clip.mp4`, or `… | gst-launch-1.0 fdsrc ! rawvideoparse format=rgb width=640
    height=480 framerate=30/1 ! videoconvert ! autovideosink`
    """
    from edge.run.options import RunOptions
    from edge.service.run_process import run_in_process
    from quietcam.terminal.say import say

    options = RunOptions(
        source=source,
        sink=tuple(sink or ()),
        size=frame_size(size),
        fps=fps,
        rotate=rotate,
        flip=flip,
        model=model,
        threads=threads,
        device=device,
        strength=strength,
        gate=gate,
        history=history,
        clip=clip,
        frames=frames,
        before_after=before_after,
        overwrite=overwrite,
        allow_still=allow_still,
        wait=wait,
        ladder=ladder,
        hot=hot,
        deadline=deadline,
        smaller=smaller,
        listen=listen,
        token=token,
        open_to_all=open_to_all,
        host_name=tuple(host_name or ()),
        viewers=viewers,
        jpeg_quality=jpeg_quality,
        mqtt_password=mqtt_password,
        on_event=tuple(on_event or ()),
        events=events,
    )
    announce = partial(say, as_it_is=True)  # the page's address, with a token that was made for it
    run_in_process(options, Settings(context, config), json, announce)

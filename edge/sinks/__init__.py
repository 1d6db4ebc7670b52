"""Sinks: where denoised frames go, one file a kind."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from edge.sinks.base import Sink
from edge.sinks.folder import FolderSink
from edge.sinks.mqtt.options import MQTT_MEANS
from edge.sinks.null import NullSink
from edge.sinks.publish.server import PUBLISH_MEANS, Server, is_server
from edge.sinks.publish.sink import PublishSink
from edge.sinks.record.options import RECORD_MEANS, RecordOptions
from edge.sinks.record.sink import RecordSink
from edge.sinks.spool.options import SPOOL_MEANS, SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.sinks.stdout import StdoutSink
from edge.sinks.video.h264_clip import H264Clip
from edge.sinks.video.opencv_clip import CODECS, OpenCVClip
from edge.sinks.video.part import FORMATS
from edge.sinks.virtual_camera.sink import VIRTUAL_CAMERA_MEANS, VirtualCameraSink, is_device
from edge.sinks.window import WindowSink
from quietcam.errors import UsageError
from quietcam.extras import has_av
from quietcam.files.paths import is_dir
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["KINDS", "Sink", "open_sink"]

_SUFFIXES = tuple(dict.fromkeys((*FORMATS, *CODECS)))

KINDS = (
    "a folder (a name without suffix, or one that ends in a slash)",
    f"a video file ({', '.join(_SUFFIXES)})",
    "web (a live page)",
    "- (raw RGB frames on the standard output)",
    "window",
    SPOOL_MEANS,
    RECORD_MEANS,
    MQTT_MEANS,
    PUBLISH_MEANS,
    VIRTUAL_CAMERA_MEANS,
    "null",
)


def open_sink(
    target: str,
    fps: float | None = None,
    before_after: bool = False,
    overwrite: bool = False,
    size: tuple[int, int] | None = None,
    web: Callable[[], Sink] | None = None,
    live: bool = False,
) -> Sink:
    """The sink that ``target`` names. ``with`` opens and closes it.

    Args:
        target: one of ``KINDS``.
        fps: the source's frames a second, for a clip. Defaults to 25.
        before_after: put the noisy frame on the left of the denoised one.
        overwrite: replace an existing file, or write into a folder that is not empty.
        size: ``(width, height)`` of the source's frames; None if it is unknown.
        live: the source is a camera whose frames may change their size, so clips have parts. The caller must then call
            ``Sink.check`` when it opens the sink, because the check may wait for a disk that hangs.
        web: makes the sink ``web``, which needs to know the run; None: ``web`` is not offered.

    Raises:
        UsageError: ``target`` names no sink (the message lists the kinds), or it exists already.
    """
    sink = _made(target, fps, before_after, overwrite, size, web, live)
    if not live:
        sink.check()
    return sink


def _made(
    target: str,
    fps: float | None,
    before_after: bool,
    overwrite: bool,
    size: tuple[int, int] | None,
    web: Callable[[], Sink] | None,
    live: bool,
) -> Sink:
    if target == "null":
        return NullSink()
    if target == "-":
        return StdoutSink(fps or 25.0, before_after)
    if target == "window":
        return WindowSink(before_after)
    if target == "web" and web is not None:
        return web()
    if target.startswith("spool:"):
        return SpoolSink(SpoolOptions.parse(target.removeprefix("spool:")), size)
    if target.startswith("record:"):
        return RecordSink(RecordOptions.parse(target.removeprefix("record:")), fps or 25.0, before_after)
    if is_server(target):
        return PublishSink(Server.parse(target), fps or 25.0, before_after, live)
    path = Path(target)
    if is_device(target):
        return VirtualCameraSink(path, fps or 25.0, before_after, live)
    if path.suffix.lower() in _SUFFIXES and not target.endswith("/"):
        return _clip(path)(path, fps or 25.0, before_after, overwrite, parts=live)
    remedy = "choose one of these"
    if target and "://" not in target and (not path.suffix or target.endswith("/") or is_dir(path)):
        if not _is_slip(target):
            return FolderSink(path, before_after, overwrite)
        remedy += f", or ./{shown(target, whole=True)} for a folder of that name"
    raise UsageError(
        f"A sink is {'; '.join(KINDS)}. Received: {shown(target, whole=True) or '(nothing)'}. Remedy: {remedy}."
    )


def _clip(path: Path) -> type[H264Clip | OpenCVClip]:
    suffix = path.suffix.lower()
    if suffix in FORMATS and (has_av() or suffix not in CODECS):
        return H264Clip
    if suffix in FORMATS:
        log.warning(
            f"{path} becomes MPEG-4 by OpenCV, which few browsers play. For H.264, which plays after a power cut, too: "
            "pip install 'quietcam[video]'"
        )
    return OpenCVClip


def _is_slip(target: str) -> bool:
    """Whether a name that is not a folder yet looks like a misspelled kind, such as ``webb`` or ``spol:frames``."""
    if "/" in target.partition(":")[0] or is_dir(Path(target)):
        return False
    return ":" in target or bool(difflib.get_close_matches(target.lower(), _WORDS, cutoff=0.8))


_WORDS = ("web", "window", "spool", "record", "null")

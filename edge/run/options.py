"""RunOptions: all options of a run, as plain values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from quietcam.terminal.secret_names import HIDDEN, is_secret
from quietcam.terminal.secrets import shown

__all__ = ["RunOptions", "several"]


_Given = TypeVar("_Given", bound=str | Path)


@dataclass(frozen=True, repr=False)
class RunOptions:
    """The options of ``quietcam run``, with the same names and defaults. ``repr`` shows the values that differ from
    the defaults, and never a token, a password or an alarm's address.

    Example:
        >>> import quietcam
        >>> quietcam.RunOptions(source="/dev/video0", token="let-me-in-please")
        RunOptions(source='/dev/video0', token='***')

    Attributes:
        source: a camera, a video, pictures or a URL, one of :data:`edge.cameras.KINDS`. Defaults to the camera that is
            connected.
        sink: where denoised frames go, one or several of :data:`edge.sinks.KINDS`. Defaults to the live page for a
            camera, where the caller brings no sink of its own.
        size: ``(width, height)`` in pixels that a camera is asked for.
        fps: frames a second that a camera is asked for.
        rotate: 0, 90, 180 or 270: degrees by which each frame is rotated, clockwise.
        flip: ``horizontal`` or ``vertical``: exchange left and right, or top and bottom, after the rotation.
        model: a ``.tflite`` file, or the name of a model that ships. Defaults to the best of these. ``slot``, or
            ``slot:FOLDER``, is the model that ``quietcam update`` installed, or else the best that ships.
        threads: CPU threads of the network. Defaults to one per core, up to 4.
        device: ``cpu``, ``usb[:N]``, ``pci[:N]``, or several with commas between them.
        strength: the network's share in what is shown, 0 to 1.
        gate: the do-no-harm gate leaves clean frames unchanged, and those that the network would harm.
        history: a video network remembers the frames before.
        clip: the pictures of a folder are frames of a clip, in order. A folder with ``clip.json`` is one by itself.
        frames: stop after this many frames.
        before_after: put the noisy frame on the left of the denoised one.
        overwrite: replace files that exist.
        allow_still: a picture that never changes counts as live, for example a test pattern.
        wait: wait for a camera that is not connected yet. Defaults to no, and to yes in a systemd service.
        ladder: do less work per frame while a camera's device is too hot, or frames come late.
        hot: °C from which on the device is too hot. Defaults to 80 on ARM and 95 elsewhere.
        deadline: milliseconds; an older frame is late. 0: no frame is late.
        smaller: the ladder's smaller model. Defaults to one that ships, or else to frames of half the size.
        listen: ``HOST[:PORT]`` on which the live page is served.
        token: token that viewers must enter to open the page; ``auto`` makes one, ``@FILE`` reads it.
        open_to_all: serve the page to other machines without a token.
        host_name: one or several names, besides this machine's own, under which browsers open the page.
        viewers: most viewers at the same time.
        jpeg_quality: JPEG quality of the live stream, 1 to 100.
        mqtt_password: password of the sink ``mqtt://USER@HOST``; ``@FILE`` reads it.
        on_event: one or several commands or webhooks that are told of events of a camera; ``@FILE`` reads one.
        events: names of the events that ``on_event`` is told of, with commas between them. Defaults to all.
    """

    source: str | Path | None = None
    sink: str | Path | Sequence[str | Path] = ()
    size: tuple[int, int] | None = None
    fps: float | None = None
    rotate: int = 0
    flip: str | None = None
    model: str | Path | None = None
    threads: int | None = None
    device: str = "cpu"
    strength: float = 1.0
    gate: bool = True
    history: bool = True
    clip: bool = False
    frames: int | None = None
    before_after: bool = False
    overwrite: bool = False
    allow_still: bool = False
    wait: bool | None = None
    ladder: bool = True
    hot: float | None = None
    deadline: float = 500.0
    smaller: str | Path | None = None
    listen: str = "127.0.0.1:8080"
    token: str | None = field(default=None, repr=False)
    open_to_all: bool = False
    host_name: str | Sequence[str] = ()
    viewers: int = 8
    jpeg_quality: int = 80
    mqtt_password: str | None = field(default=None, repr=False)
    on_event: str | Sequence[str] = field(default=(), repr=False)
    events: str | None = None

    def __repr__(self) -> str:
        told = [
            f"{each.name}={HIDDEN if is_secret(each.name) or not each.repr else _shown(value)!r}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        ]
        return f"{type(self).__name__}({', '.join(told)})"


def several(given: _Given | Sequence[_Given]) -> Sequence[_Given]:
    """An option that may be given once or several times, as a sequence."""
    return [given] if isinstance(given, str | Path) else given


def _shown(value: Any) -> Any:
    """An option's value without the secrets of URLs in it."""
    if isinstance(value, str | os.PathLike):
        return shown(os.fspath(value), whole=True)
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return value

"""Command-line options that several commands of the edge share, each worded once."""

from __future__ import annotations

from typing import Annotated

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_THREADS
from quietcam.terminal.options import whole

__all__ = ["Device", "Flip", "History", "Model", "Rotate", "RunModel", "Threads", "frame_size"]

Model = Annotated[
    str | None,
    typer.Option(
        help="A .tflite file, or the name of a model that ships (see `quietcam models`). Default: the best one, in the "
        "size of the frames if it exists."
    ),
]

RunModel = Annotated[
    str | None,
    typer.Option(
        help="A .tflite file, the name of a model that ships (see `quietcam models`), or slot: what `quietcam update` "
        "installed. Default: the best that ships, in the size of the frames if it exists."
    ),
]

Device = Annotated[
    str,
    typer.Option(
        metavar="cpu|usb[:N]|pci[:N]",
        help="Where the network runs: on the CPU or on an Edge TPU. Devices that are separated by commas share the "
        "tiles of a frame.",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(parser=whole(1, MOST_THREADS), help="CPU threads of the network. Default: one per core, up to 4."),
]

History = Annotated[
    bool,
    typer.Option(
        help="Let a video network remember the frames before. Without history it denoises each frame by itself.",
    ),
]

Rotate = Annotated[
    int,
    typer.Option(
        metavar="DEGREES",
        parser=whole(0, 270),
        help="Rotate each frame clockwise: 90, 180 or 270. 180 is for a camera that hangs upside down.",
    ),
]

Flip = Annotated[
    str | None,
    typer.Option(
        metavar="horizontal|vertical",
        help="Exchange left and right, or top and bottom, after the rotation.",
    ),
]


def frame_size(text: str | None) -> tuple[int, int] | None:
    """``WIDTHxHEIGHT`` as ``(width, height)`` in pixels; None if it is not given.

    Raises:
        UsageError: it is not a size.
    """
    from edge.cameras.options import SIZE_MEANS, read_size

    if text is None:
        return None
    try:
        return read_size(text)
    except ValueError:
        raise UsageError(f"`size` is {SIZE_MEANS}. Received: {text}. Remedy: for example `size=640x480`") from None

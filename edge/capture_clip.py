"""Consecutive frames of a camera: what a clip is made of, to calibrate a video network with.

Writing a frame takes longer than a live camera takes to make one. So the frames of a live camera are held in memory and
written afterwards, and their number is bounded by that memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from edge.run.frame import Frame
from quietcam.errors import UsageError

__all__ = ["MOST_BYTES", "frames_in_a_row"]

MOST_BYTES = 512 << 20
"""Memory for the frames of a live camera: 582 of 640x480, or 86 of 1920x1080."""

_GIVE_UP = 120  # equal frames in a row: the camera is frozen


def frames_in_a_row(frames: Iterable[Frame], count: int, live: bool) -> Iterator[Frame]:
    """The first ``count`` frames that differ from the one before them; fewer where the camera ends or is frozen.

    Args:
        frames: each is valid until the next one is taken.
        live: take all of them before the first one is given out.

    Raises:
        UsageError: ``count`` frames of a live camera do not fit into memory (known after the first one).
    """
    taken = _different(frames, count, live)
    yield from list(taken) if live else taken


def _different(frames: Iterable[Frame], count: int, live: bool) -> Iterator[Frame]:
    before: Frame | None = None
    number = repeated = 0
    for frame in frames:
        if live and before is None and frame.image.nbytes * count > MOST_BYTES:
            height, width = frame.image.shape[:2]
            most = MOST_BYTES // frame.image.nbytes
            raise UsageError(
                f"The frames of a live clip must fit into {MOST_BYTES >> 20} MiB of memory until they are written. "
                f"Received: {count} of {width}x{height}. Remedy: `count={most}`, or smaller frames."
            )
        if before is not None and np.array_equal(frame.image, before.image):
            repeated += 1
            if repeated == _GIVE_UP:
                return
            continue
        before, repeated, number = replace(frame, image=frame.image.copy(), release=None), 0, number + 1
        yield before
        if number == count:
            return

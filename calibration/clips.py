"""Surveys clips for candidates: patches of first frames and of later ones, still and moving, and of frames after a cut.

The network is not run here: the history of the patches that are chosen is made afterwards (``calibration.history``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.survey import Gathered, Survey
from quietcam.data.clips.noisy import NoisyClip
from quietcam.data.pictures.files import read_picture
from quietcam.data.sets.noisy_pictures import NoisyPicture
from quietcam.errors import DataError, UsageError
from quietcam.estimation import estimate_blind
from quietcam.image import Image, as_channels, to_gray
from quietcam.terminal.progress import progress

__all__ = ["MOST_FRAMES", "STRETCH", "motion_of", "moving_share", "past_of", "survey_clips"]

MOST_FRAMES = 2400
"""Most frames that are read of all clips together."""

STRETCH = 48
"""Frames of a stretch. A long clip is cut into stretches, and the network remembers nothing at the start of each. At
the end of one, an average of noisy frames has long settled."""

_PASTS = (0, 1, 2, 4, 8, 15, 24, 36, 47)
_LEAST, _MOST = 2, 32  # boxes of a frame, but for the two that hold its ends
_MEMORY = 256 << 20
_CELL = 8
_STEP = 1.5  # of 255: a change of a cell's mean that counts, above the changes by noise
_CUT = 0.7  # share of a frame's cells that change; a moving camera seldom changes so many by so much


def survey_clips(clips: Sequence[NoisyClip], *, size: int, count: int, seed: int = 0, channels: int = 3) -> Survey:
    """Read the beginnings of the clips. The same arguments give the same candidates, whatever the order of ``clips``.

    What follows in a stretch on a frame that cannot be used is skipped, and logged.

    Raises:
        DataError: no frame can be used.
    """
    stretches = [clip.frames[first : first + STRETCH] for clip in clips for first in range(0, len(clip), STRETCH)]
    order = sorted(stretches, key=lambda frames: _drawn(seed, frames[0].name))
    lengths = np.cumsum([len(frames) for frames in order])
    order = order[: max(1, int(np.searchsorted(lengths, MOST_FRAMES, side="right")))]
    pasts = frozenset(_PASTS)
    if sum(len(pasts & set(range(len(frames)))) for frames in order) * _MOST < 2 * count:
        pasts = frozenset(range(STRETCH))
    looked_at = sum(len(pasts & set(range(len(frames)))) for frames in order)
    each = max(_LEAST, min(_MOST, -(-2 * count // looked_at), _MEMORY // (size * size * channels * looked_at)))
    gathered = Gathered(size)
    past: list[int] = []
    moving: list[float] = []
    with progress("Looking at clips", len(order)) as bar:
        for frames in order:
            for number, share in _look_at(frames, pasts, gathered, each=each, seed=seed, channels=channels):
                past.append(number)
                moving.append(share)
            bar.advance()
    unseen = sum(map(len, clips)) - sum(map(len, order))
    return replace(gathered.measure(unseen), past=np.array(past, np.intp), moving=np.array(moving))


def _drawn(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).digest()


def _look_at(
    frames: Sequence[NoisyPicture], pasts: frozenset[int], gathered: Gathered, *, each: int, seed: int, channels: int
) -> Iterator[tuple[int, float]]:
    """Cut patches of a stretch; yields past and moving share of each."""
    before: Image | None = None
    for number, frame in enumerate(frames):
        try:
            pixels = as_channels(read_picture(frame.place), channels)
            if before is not None and pixels.shape != before.shape:
                raise DataError(
                    f"The frames of a clip must have one size. Received: {pixels.shape[1]}x{pixels.shape[0]} after "
                    f"{before.shape[1]}x{before.shape[0]}. Remedy: crop them to one size, or make two clips."
                )
        except (DataError, UsageError) as error:
            gathered.problems.append(f"{frame.name}: {error}")
            return
        sigma = estimate_blind(pixels).sigma
        if number in pasts or (before is not None and moving_share(before, pixels, sigma) > _CUT):
            for x0, y0, x1, y1 in gathered.cut(frame, pixels, each, seed):
                here = np.s_[y0:y1, x0:x1]
                yield number, 0.0 if before is None else moving_share(before[here], pixels[here], sigma)
        before = pixels


def past_of(frames: int) -> str:
    """The kind of a sample by the number of frames before it."""
    if frames == 0:
        return "none"
    return "1 to 3 frames" if frames < 4 else "4 to 11 frames" if frames < 12 else "12 frames and more"


def motion_of(share: float) -> str:
    """The kind of a sample by the share of it that moves, as ``moving_share`` measures it."""
    return "still" if share < 0.05 else "partly" if share < 0.5 else "moving"


def moving_share(before: Image, now: Image, sigma: float) -> float:
    """The share of cells of 8x8 pixels that show something else than the frame before, 0 to 1.

    Args:
        before, now: uint8 ``(H, W, C)`` of one shape, 8x8 or larger.
        sigma: noise of the frames, in steps of 255.
    """
    # Grain is wider than a pixel: a cell's mean keeps up to twice the deviation that white noise would leave.
    least = _STEP + 3.0 * sigma * 2.0 * 2.0**0.5 / _CELL
    return float((np.abs(_cells(now) - _cells(before)) > least).mean())


def _cells(frame: Image) -> NDArray[np.float32]:
    height, width = (max(1, side // _CELL) for side in frame.shape[:2])
    gray = to_gray(frame)[: height * _CELL, : width * _CELL, 0].astype(np.float32)
    cells: NDArray[np.float32] = gray.reshape(height, _CELL, width, _CELL).mean(axis=(1, 3))
    return cells

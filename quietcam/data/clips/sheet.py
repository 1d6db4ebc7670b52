"""A contact sheet of clips: frames side by side, noisy above clean above what moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quietcam.data.clips.clip import Clip, load_clips
from quietcam.data.clips.mark import MARK
from quietcam.data.contact_sheet import brighter
from quietcam.data.pictures.files import write_picture
from quietcam.errors import JsonError
from quietcam.files.strict_json import read_object
from quietcam.image import Image
from quietcam.metrics import psnr

__all__ = ["SHOWN", "write_clip_sheet"]

SHOWN = 24
_SIDE, _LABEL = 96, 32  # pixels of a frame, and of the words below
_FRAMES, _ACROSS = 8, 2  # frames of a clip, and clips in a row


def write_clip_sheet(path: Path, folder: Path, names: Sequence[str] | None = None) -> None:
    """Draw the first ``SHOWN`` clips of a data set, as PNG or JPEG by ``path``'s suffix: of each up to eight frames.

    Args:
        names: of clips of ``folder``, to draw only these.

    Raises:
        StorageError: the picture cannot be written.
        DataError: there are no clips, or one cannot be read.
    """
    clips = [clip for clip in load_clips(folder) if names is None or clip.name in names][:SHOWN]
    cells = [_cell(clip, folder) for clip in clips]
    across = min(_ACROSS, len(cells))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % across)
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    write_picture(path, np.vstack(rows))


def _cell(clip: Clip, folder: Path) -> Image:
    import cv2

    read = clip.read()
    chosen = np.linspace(0, len(clip) - 1, min(_FRAMES, len(clip))).round().astype(int)
    masks = np.repeat(read.moving[..., np.newaxis].astype(np.uint8) * np.uint8(255), 3, axis=3)
    sides, more = brighter(read.noisy, read.clean)
    strips = []
    for side in (*sides, masks):
        small = [cv2.resize(side[index], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for index in chosen]
        strips.append(np.hstack([*small, *[np.full_like(small[0], 255)] * (_FRAMES - len(small))]))
    cell = np.full((3 * _SIDE + _LABEL, _FRAMES * _SIDE, 3), 255, np.uint8)
    cell[: 3 * _SIDE] = np.vstack(strips)
    words = f"{clip.name}: {len(clip)} frames, {psnr(read.noisy[0], read.clean[0]):.1f} dB{more}"
    for index, line in enumerate((words, _told(folder / clip.name / MARK))):
        place = (4, 3 * _SIDE + 12 + 14 * index)
        cv2.putText(cell, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def _told(mark: Path) -> str:
    """What moves, and the camera, in one line; empty where it is not told."""
    try:
        told = read_object(mark)
    except (OSError, JsonError):
        return ""
    motion = told.get("motion")
    words = [f"{key} {value}" for key, value in motion.items()] if isinstance(motion, dict) else []
    return ", ".join([*words, str(told.get("camera", ""))]).replace("'", "")

"""A contact sheet of generated pairs: noisy beside clean, with their camera below them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of

__all__ = ["SHOWN", "told_of", "write_sheet"]

SHOWN = 24
_SIDE, _LABEL, _ACROSS = 192, 30, 4  # pixels of a picture and of the words below it; pairs in a row


def write_sheet(path: Path, folder: Path, numbers: Sequence[int], *, all_cameras: bool = False) -> None:
    """Draw the first ``SHOWN`` pairs of a folder that ``write_pairs`` wrote, as PNG or JPEG by ``path``'s suffix.

    Args:
        numbers: the seeds of its pairs.
        all_cameras: whether ``quietcam.sensor.camera_kinds`` drew their cameras; the sheet then names them.

    Raises:
        StorageError: the picture cannot be written.
    """
    cells = []
    for number in numbers[:SHOWN]:
        name = f"scene_{number:06d}"
        noisy, clean = (read_picture(folder / side / f"{name}.png") for side in ("noisy", "clean"))
        told = told_of(camera_of(number)) if all_cameras else ""
        cells.append(_cell(noisy, clean, f"{number}: {psnr(noisy, clean):.1f} dB", told))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % min(_ACROSS, len(cells)))
    across = min(_ACROSS, len(cells))
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    write_picture(path, np.vstack(rows))


def told_of(camera: DrawnCamera) -> str:
    """Describe a camera in a few words."""
    way, traits = camera.postprocessing, camera.traits
    words = [camera.kind, f"shot {camera.noise.shot:.2g}"]
    words += ["gray"] if camera.gray else []
    words += [f"dim {max(camera.tint):.2f}"] if max(camera.tint) < 1 else []
    words += [f"scaled {1 / way.scale:.2f}"] if way.scale != 1 else []
    words += [name for name, on in (("chroma", way.chroma), ("smooth", way.smooth), ("sharp", way.sharpen)) if on]
    words += [f"{way.codec} {way.quality}"] if way.codec else []
    words += [name for name in ("row", "column", "uneven", "lamps", "hot") if getattr(traits, name)]
    return ", ".join(words)


def _cell(noisy: Image, clean: Image, *lines: str) -> Image:
    import cv2

    side = min(_SIDE, *noisy.shape[:2])
    top, left = ((length - side) // 2 for length in noisy.shape[:2])
    pair = np.hstack([picture[top : top + side, left : left + side] for picture in (noisy, clean)])
    cell = np.full((side + _LABEL, 2 * _SIDE, 3), 255, np.uint8)
    cell[:side, : pair.shape[1]] = pair
    for index, line in enumerate(lines):
        place = (4, side + 12 + 14 * index)
        cv2.putText(cell, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return cell

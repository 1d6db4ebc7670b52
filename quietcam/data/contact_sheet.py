"""A contact sheet of generated pairs: noisy beside clean, with their camera below them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of

__all__ = ["SHOWN", "brighter", "told_of", "write_sheet"]

SHOWN = 24
_FONT = 0.36
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
        words = f"{number}: {psnr(noisy, clean):.1f} dB"
        (noisy, clean), more = brighter(noisy, clean)
        words += more
        cells.append(_cell(noisy, clean, words, told))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % min(_ACROSS, len(cells)))
    across = min(_ACROSS, len(cells))
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    write_picture(path, np.vstack(rows))


def told_of(camera: DrawnCamera) -> str:
    """Describe a camera in a few words."""
    way, traits = camera.postprocessing, camera.traits
    words = [camera.kind, f"shot {camera.noise.shot:.2g}"]
    words += ["gray"] if camera.gray or way.colorless else []
    words += [f"dim {max(camera.tint):.2f}"] if max(camera.tint) < 1 else []
    words += ["cast"] if min(camera.tint) < max(camera.tint) else []
    words += ["binned"] if traits.binning > 1 else []
    words += [f"scaled {1 / way.scale:.2f}"] if way.scale != 1 else []
    done = (("chroma", way.chroma), ("smooth", way.smooth), ("cored", way.cored), ("sharp", way.sharpen))
    words += [name for name, on in done if on]
    words += [f"jpeg {way.jpeg or traits.jpeg}"] if way.jpeg or traits.jpeg else []
    words += [f"h264 crf {way.h264.crf} frame {way.h264.position}"] if way.h264 else []
    words += [f"zoom {way.zoom:.2f}"] if way.zoom != 1 else []
    words += [name for name in ("row", "column", "uneven", "offset", "lamps", "hot") if getattr(traits, name)]
    return ", ".join(words)


def brighter(noisy: Image, clean: Image) -> tuple[tuple[Image, Image], str]:
    """A dark pair, made 2, 4 or 8 times as bright, and words that say so; another pair as it is, and no words.

    The brightest hundredth of the clean side stays below 128.
    """
    bright = float(np.percentile(clean, 99))
    times = next((times for times in (8, 4, 2) if bright * times < 128), 1)
    if times == 1:
        return (noisy, clean), ""
    more = [np.minimum(side.astype(np.uint16) * times, 255).astype(np.uint8) for side in (noisy, clean)]
    return (more[0], more[1]), f", shown {times} times as bright"


def _cell(noisy: Image, clean: Image, *lines: str) -> Image:
    import cv2

    side = min(_SIDE, *noisy.shape[:2])
    top, left = ((length - side) // 2 for length in noisy.shape[:2])
    pair = np.hstack([picture[top : top + side, left : left + side] for picture in (noisy, clean)])
    cell = np.full((side + _LABEL, 2 * _SIDE, 3), 255, np.uint8)
    cell[:side, : pair.shape[1]] = pair
    for index, line in enumerate(lines):
        place = (4, side + 12 + 14 * index)
        (width, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, _FONT, 1)
        scale = _FONT * min(1.0, (cell.shape[1] - 8) / max(1, width))  # many words become smaller, so that all fit
        cv2.putText(cell, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
    return cell

"""Pictures for a report: the worst, the median and the best sample, each with its most detailed crop and error maps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compare.contenders import open_contender
from compare.scores import Comparison
from quietcam.data.crops import Box
from quietcam.data.samples import SampleSet
from quietcam.data.sets.pairs import Pair
from quietcam.image import Image, swap_red_blue, to_rgb

__all__ = ["DIFFERENCE_GAIN", "ERROR_GAIN", "Exhibit", "choose_exhibits", "error_map", "most_detailed", "steepest_box"]

CROP = 96
FRAME = 384
DIFFERENCE_GAIN = 32
"""Amplifies the map of quantized against float: 8 steps of 255 are full scale."""
ERROR_GAIN = 8
"""Amplifies the map of denoised against clean: 32 steps of 255 are full scale."""


@dataclass(frozen=True)
class Exhibit:
    """One sample that the report shows.

    Attributes:
        rank: ``worst``, ``median`` or ``best``, by the PSNR of the comparison's subject.
        noisy, denoised: up to 384x384 of the picture, uint8 RGB.
        box: position of the crop in these, as shares of their width and height.
        crops: by column: up to 96x96, uint8 RGB.
        difference: map of subject against reference; None without a reference. error: of subject against clean.
    """

    rank: str
    name: str
    psnr: dict[str, float]
    noisy: Image
    denoised: Image
    box: tuple[float, float, float, float]
    crops: dict[str, Image]
    difference: Image | None
    error: Image


def choose_exhibits(comparison: Comparison, pairs: Sequence[Pair]) -> list[Exhibit]:
    """Run the models once more on the worst, the median and the best sample; fewer if there are fewer samples."""
    subject = comparison.subject
    ranked = sorted(comparison.pairs, key=lambda pair: pair.psnr[subject.name])
    places = {"worst": 0, "median": len(ranked) // 2, "best": len(ranked) - 1}
    samples = SampleSet(pairs)
    shown: dict[str, str] = {}
    for rank, place in places.items():
        shown.setdefault(ranked[place].name, rank)
    exhibits = []
    with ExitStack() as stack:
        models = [row for row in comparison.models if row.name in (comparison.reference, subject.name)]
        size = comparison.width, comparison.height
        opened = {row.name: open_contender(Path(str(row.path)), size).open() for row in models}
        denoisers = {name: stack.enter_context(each) for name, each in opened.items()}
        for score in ranked:
            if score.name not in shown:
                continue
            sample = samples.find(score.name)
            denoised = {name: to_rgb(denoiser.denoise(sample.noisy)) for name, denoiser in denoisers.items()}
            pictures = {"noisy": sample.noisy} | denoised | {"clean": sample.clean}
            crop = most_detailed(sample.clean, CROP)
            frame = _around(crop, sample.clean.shape, FRAME)
            subject_picture, reference = denoised[subject.name], denoised.get(comparison.reference or "")
            exhibits.append(
                Exhibit(
                    rank=shown[score.name],
                    name=score.name,
                    psnr=score.psnr,
                    noisy=_cut(sample.noisy, frame),
                    denoised=_cut(subject_picture, frame),
                    box=_shares(crop, frame),
                    crops={name: _cut(picture, crop) for name, picture in pictures.items()},
                    difference=_cut(error_map(subject_picture, reference, DIFFERENCE_GAIN), crop)
                    if subject.is_quantized and reference is not None
                    else None,
                    error=_cut(error_map(subject_picture, sample.clean, ERROR_GAIN), crop),
                )
            )
    return exhibits


def error_map(one: Image, other: Image, gain: int) -> Image:
    """Greatest absolute difference over the channels times ``gain``, from black through red to pale yellow."""
    import cv2

    steps = np.abs(one.astype(np.int16) - other).max(axis=2)
    scaled = np.minimum(steps * gain, 255).astype(np.uint8)
    return swap_red_blue(np.asarray(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), np.uint8))


def most_detailed(picture: Image, size: int) -> Box:
    """The box of ``size`` pixels a side, or a whole smaller side, with the steepest edges on average."""
    light = picture.mean(axis=2)
    slope = np.abs(np.diff(light, axis=0, append=light[-1:])) + np.abs(np.diff(light, axis=1, append=light[:, -1:]))
    return steepest_box(slope, size, size)


def steepest_box(values: NDArray[np.float64], width: int, height: int) -> Box:
    """The box of that size, or a whole smaller side, with the highest mean of ``values``, ``(H, W)``."""
    width, height = min(width, values.shape[1]), min(height, values.shape[0])
    sums: NDArray[np.float64] = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    boxes = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(x), int(y), int(x) + width, int(y) + height


def _around(box: Box, shape: tuple[int, ...], size: int) -> Box:
    """A box of ``size`` pixels a side, or a whole smaller side, centered as nearly as possible on ``box``."""

    def span(low: int, high: int, side: int) -> tuple[int, int]:
        length = min(size, side)
        first = min(max(0, (low + high - length) // 2), side - length)
        return first, first + length

    (x0, x1), (y0, y1) = span(box[0], box[2], shape[1]), span(box[1], box[3], shape[0])
    return x0, y0, x1, y1


def _shares(box: Box, frame: Box) -> tuple[float, float, float, float]:
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    return (
        (box[0] - frame[0]) / width,
        (box[1] - frame[1]) / height,
        (box[2] - box[0]) / width,
        (box[3] - box[1]) / height,
    )


def _cut(picture: Image, box: Box) -> Image:
    x0, y0, x1, y1 = box
    return np.ascontiguousarray(picture[y0:y1, x0:x1])

"""The picture of a model card: the worst generated scenes, and their worst dark flat patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.network.card_figures import SIDE
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile
from quietcam.files.atomic import atomic_path
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.scenes import make_pair

SCENES, FIRST_SCENE, SHOWN = 48, 9_000_000, 3
PATCH, DARK, FLAT, BLOTCH = 64, 64.0, 5.0, 8  # pixels of a side, mean and deviation of the clean side, pixels
SCENE_BAND = (17, 30)  # dB of the noisy side


@dataclass
class Worst:
    """A generated scene, or a dark flat patch of one: PSNR before and after; as noisy | denoised | clean."""

    seed: int
    before: float
    after: float
    badness: float
    strip: Image


@dataclass
class Scenes:
    """The results on the generated scenes.

    Attributes:
        worst: the scenes with the worst results. dark: their worst dark flat patches. border: how much larger the error
            of a frame's outermost two pixels is than that of the rest.
    """

    worst: list[Worst]
    dark: list[Worst]
    border: float


def generated_scenes(file: ModelFile, path: Path) -> Scenes:
    """Every scene once; the worst of them, and the worst dark flat patches, drawn below each other."""
    scenes, patches, outer, inner = [], [], [], []
    with Denoiser(file, 2) as denoiser:
        for seed in range(FIRST_SCENE, FIRST_SCENE + SCENES):
            noisy, clean = make_pair(seed, SIDE, band=SCENE_BAND)
            pictures = (noisy, denoiser.denoise(noisy).copy(), clean)
            before, after = psnr(noisy, clean), psnr(pictures[1], clean)
            scenes.append(Worst(seed, before, after, -after, np.hstack(pictures)))
            squared = np.square(pictures[1].astype(np.float64) - clean)
            rest = squared[2:-2, 2:-2]
            inner.append(rest.mean())
            outer.append((squared.sum() - rest.sum()) / (squared.size - rest.size))
            flats = [Worst(seed, *each) for each in dark_flats(pictures)]
            patches += sorted(flats, key=lambda each: -each.badness)[:1]
    worst, dark = (sorted(each, key=lambda worst: -worst.badness)[:SHOWN] for each in (scenes, patches))
    sheet = np.vstack([each.strip for each in (*worst, *dark)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        done, content = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        assert done
        temporary.write_bytes(content.tobytes())
    return Scenes(worst, dark, round(float(np.sqrt(np.mean(outer) / np.mean(inner))), 1))


def dark_flats(pictures: tuple[Image, Image, Image]) -> Any:
    """Dark flat patches: PSNR before and after, how strong what stays is as blotches, and the three, magnified and
    twice as bright."""
    for y in range(0, SIDE, PATCH):
        for x in range(0, SIDE, PATCH):
            noisy, denoised, clean = (picture[y : y + PATCH, x : x + PATCH] for picture in pictures)
            if clean.mean() >= DARK or clean.std((0, 1)).max() >= FLAT:
                continue
            error = denoised.astype(np.float32) - clean
            blotches = cv2.resize(error, (PATCH // BLOTCH, PATCH // BLOTCH), interpolation=cv2.INTER_AREA)
            strip = np.repeat(np.repeat(np.hstack([noisy, denoised, clean]), SIDE // PATCH, 0), SIDE // PATCH, 1)
            bright = np.minimum(strip.astype(np.uint16) * 2, 255).astype(np.uint8)
            yield psnr(noisy, clean), psnr(denoised, clean), float(np.sqrt(np.mean(blotches**2))), bright

"""The four sets of pictures that models are judged on, and the bucket of each picture."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.network.card_figures import SETS, middle
from benchmarks.network.quality.drawn import BANDS, frames_of, kept, photographed
from quietcam.data.sets.groups import group_order
from quietcam.data.sets.pairs import find_pairs
from quietcam.image import Image
from quietcam.quality.gate import iso_of

__all__ = ["PHONES", "Picture", "bucket_order", "fingerprint", "noise_bucket", "read_sets"]

PHONES = dict(zip(("native", "squeezed"), SETS, strict=True))
"""The sets of phones, and their folders in the data."""
CLASSES = ("noise to 6", "noise 6 to 12", "noise over 12")
"""Classes of noise by its root mean square, steps of 255."""
EDGES = (6.0, 12.0)


@dataclass(frozen=True)
class Picture:
    """One pair of 256x256, uint8 ``(256, 256, 3)``. ``bucket`` is its ISO bucket, or else its class of noise."""

    name: str
    noisy: Image
    clean: Image
    bucket: str


def read_sets(data: Path, clips: Path, drawn: Path | None = None) -> dict[str, list[Picture]]:
    """``native`` and ``squeezed`` from ``data``; ``machine`` and ``pi``, which are drawn from the videos in ``clips``,
    and kept in the folder ``drawn``. If they are there already, ``clips`` is not read.

    Raises:
        UsageError: a folder that is read is missing or holds nothing of the kind.
    """
    sets = {}
    for name, folder in PHONES.items():
        pictures = []
        for pair in find_pairs(data / folder).pairs:
            noisy, clean = middle(*pair.read())
            iso = iso_of(pair)
            pictures.append(Picture(pair.name, noisy, clean, f"ISO {iso}" if iso else noise_bucket(noisy, clean)))
        sets[name] = pictures
    frames = functools.cache(functools.partial(frames_of, clips))
    for kind in BANDS:
        pairs = kept(drawn, kind, photographed(frames, kind))
        sets[kind] = [Picture(name, a, b, f"{kind}, {noise_bucket(a, b)}") for name, a, b in pairs]
    return sets


def fingerprint(images: Iterable[Image]) -> str:
    """Eight hexadecimal digits that tell whether two figures are of the same pictures."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.shape}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()[:8]


def noise_bucket(noisy: Image, clean: Image) -> str:
    """The class of a picture's noise, one of ``CLASSES``."""
    error = float(np.sqrt(np.mean(np.square(noisy.astype(np.float64) - clean))))
    return CLASSES[sum(error > edge for edge in EDGES)]


def bucket_order(bucket: str) -> tuple[int, object]:
    """Sort key: ISO buckets come first, then classes of noise by kind of camera; both ascending."""
    kind, _, noise = bucket.rpartition(", ")
    return (1, (kind, CLASSES.index(noise))) if noise in CLASSES else (0, group_order(("iso", bucket[len("ISO ") :])))

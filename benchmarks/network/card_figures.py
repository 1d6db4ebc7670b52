"""The figures of a model card, measured with every picture and every model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile
from quietcam.data.sets.groups import group_order, iso_bucket
from quietcam.data.sets.pairs import find_pairs
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.quality.gate import mean_drops
from quietcam.sensor.noise import gaussian, salt_and_pepper

SETS = ("sidd_native/valid", "sidd_small_256/valid")
SIDE = 256
CAP = 80.0  # dB: value used for an untouched picture


@dataclass
class Found:
    """PSNR in dB of one picture with every model."""

    name: str
    noisy: float
    by_model: dict[str, float]
    clean_bare: float
    clean_gated: float
    gaussian: float
    salt: float
    salt_gated: float
    cast: list[float] = field(default_factory=list)
    noisy_cast: list[float] = field(default_factory=list)


def crops(folder: Path) -> Any:
    """Name, noisy and clean side of the middle of every pair."""
    for pair in find_pairs(folder).pairs:
        yield pair.name, *middle(*pair.read())


def middle(noisy: Image, clean: Image) -> tuple[Image, Image]:
    """The central 256x256 of both sides of a pair."""
    y, x = ((side - SIDE) // 2 for side in noisy.shape[:2])
    central = np.s_[y : y + SIDE, x : x + SIDE]
    return np.ascontiguousarray(noisy[central]), np.ascontiguousarray(clean[central])


def measure(files: dict[str, ModelFile], pictures: list[tuple[str, Image, Image]]) -> list[Found]:
    """Run every model on every picture, in one run. The first one also runs on clean sides and on plain noise."""
    rng, found, first = np.random.default_rng(0), [], next(iter(files))
    bare = {name: Denoiser(file, 2) for name, file in files.items()}
    with Denoiser(files[first], 2, gate=True) as gated:
        for name, noisy, clean in pictures:
            white, salted = gaussian(clean, 25.0, rng), salt_and_pepper(clean, 0.05, rng)
            denoised = {each: denoiser.denoise(noisy).copy() for each, denoiser in bare.items()}

            def gain(denoiser: Denoiser, worse: Image, clean: Image = clean) -> float:
                return psnr(denoiser.denoise(worse), clean) - psnr(worse, clean)

            found.append(
                Found(
                    name,
                    psnr(noisy, clean),
                    {each: psnr(image, clean) for each, image in denoised.items()},
                    min(CAP, psnr(bare[first].denoise(clean), clean)),
                    min(CAP, psnr(gated.denoise(clean), clean)),
                    gain(bare[first], white),
                    gain(bare[first], salted),
                    gain(gated, salted),
                    (denoised[first].astype(float) - clean).mean((0, 1)).round(1).tolist(),
                    (noisy.astype(float) - clean).mean((0, 1)).round(1).tolist(),
                )
            )
    for denoiser in bare.values():
        denoiser.close()
    return found


def summary(found: dict[str, list[Found]], times: dict[str, float]) -> dict[str, float]:
    """The figures of the whole model; by data set if they depend on it."""
    figures: dict[str, float] = {}
    for each, short in zip(SETS, ("native", "small"), strict=True):
        rows = found[each]
        for model in ("int8", "float32", "peer"):
            figures[f"{short}_{model}"] = mean(row.by_model[model] for row in rows)
        figures[f"{short}_drop"] = round(figures[f"{short}_float32"] - figures[f"{short}_int8"], 3)
        figures[f"{short}_gaussian"] = mean(row.gaussian for row in rows)
        figures[f"{short}_salt"] = mean(row.salt for row in rows)
        figures[f"{short}_salt_gated"] = mean(row.salt_gated for row in rows)
        figures[f"{short}_clean_bare"] = round(min(row.clean_bare for row in rows), 2)
        figures[f"{short}_clean_gated"] = round(min(row.clean_gated for row in rows), 2)
    figures["iso_drop"] = max(iso_drops(found).values())
    return figures | {"ms": times["int8"], "faster": round(times["peer"] / times["int8"], 1)}


def iso_drops(found: dict[str, list[Found]]) -> dict[str, float]:
    """What int8 loses in each ISO bucket that counts for the quality gate, over both sets."""
    rows = [row for each in SETS for row in found[each]]
    drops = mean_drops(
        (iso_bucket(int(row.name.split("_")[3])), row.by_model["float32"] - row.by_model["int8"]) for row in rows
    )
    ordered = sorted(drops.items(), key=lambda item: group_order(("iso", item[0])))
    return {name: round(group.drop, 2) for name, group in ordered if group.counts}


def mean(values: Any) -> float:
    """Round to the digits that a PSNR justifies."""
    return round(float(np.mean([*values])), 2)

"""Sums over the samples of a comparison, in a fixed amount of memory for any number of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.regions import LIGHTS, REGIONS, classify, contours, lights
from compare.scores import Difference, GroupScore, PairScore, RegionScore
from quietcam.data.sets.groups import group_order, groups_of
from quietcam.data.sets.pairs import Pair
from quietcam.image import Image
from quietcam.metrics import MOST_DB, finite_psnr, ssim

__all__ = ["KEPT_PAIRS", "Tally"]

KEPT_PAIRS = 2048
"""Most samples that are listed one by one; they are evenly chosen."""

_DECIMALS = 8


@dataclass
class _Mean:
    """Sums of PSNR and SSIM."""

    count: int = 0
    psnr: float = 0.0
    ssim: float = 0.0

    def add(self, psnr_db: float, ssim_value: float) -> None:
        self.count += 1
        self.psnr += psnr_db
        self.ssim += ssim_value


@dataclass
class _Sums:
    """The sums of one row."""

    whole: _Mean = field(default_factory=_Mean)
    groups: dict[tuple[str, str], _Mean] = field(default_factory=dict)
    squares: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(REGIONS), len(LIGHTS)), np.int64))
    bias: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(REGIONS), len(LIGHTS), 3), np.int64))
    contours: int = 0


class Tally:
    """Takes samples one by one, and then returns the figures of each row.

    Args:
        references: for each row, the row that ``Difference`` compares its values with.
    """

    def __init__(self, references: Mapping[str, str]) -> None:
        self.samples = 0
        self.pairs: list[PairScore] = []
        self._references = references
        self._rows: dict[str, _Sums] = {}
        self._differences = {name: np.zeros(511, np.int64) for name in references}
        self._pixels = np.zeros((len(REGIONS), len(LIGHTS)), np.int64)
        self._clean_contours = 0
        self._rng = np.random.default_rng(0)

    def add(self, name: str, pair: Pair, clean: Image, pictures: Mapping[str, Image]) -> PairScore:
        """Add one sample: by row, the picture that it made, uint8 of the shape of ``clean``."""
        score = PairScore(
            name,
            pair.scene,
            {row: round(finite_psnr(clean, picture), _DECIMALS) for row, picture in pictures.items()},
            {row: round(ssim(clean, picture), _DECIMALS) for row, picture in pictures.items()},
        )
        # One number for each pixel's region and light, so that one count is enough for both.
        regions = classify(clean)
        cells = (regions * len(LIGHTS) + lights(clean)).reshape(-1)
        flat = regions == REGIONS.index("flat")
        cell_count = self._pixels.size
        self._pixels += np.bincount(cells, minlength=cell_count).reshape(self._pixels.shape)
        self._clean_contours += contours(clean, flat)
        groups = groups_of(pair, clean)
        for row, picture in pictures.items():
            sums = self._rows.setdefault(row, _Sums())
            for mean in (sums.whole, *(sums.groups.setdefault(group, _Mean()) for group in groups)):
                mean.add(score.psnr[row], score.ssim[row])
            error = (picture.astype(np.int16) - clean).reshape(len(cells), -1)
            for channel in range(error.shape[1]):
                steps = error[:, channel].astype(np.float64)
                counted = np.rint(np.bincount(cells, steps, cell_count)).astype(np.int64)
                sums.bias[..., channel] += counted.reshape(self._pixels.shape)
                squared = np.rint(np.bincount(cells, steps * steps, cell_count)).astype(np.int64)
                sums.squares += squared.reshape(self._pixels.shape)
            sums.contours += contours(picture, flat)
        for row, other in self._references.items():
            apart = pictures[row].astype(np.int16) - pictures[other] + 255
            self._differences[row] += np.bincount(apart.ravel(), minlength=511)
        self._keep(score)
        return score

    def quality(self, row: str, reference: str | None) -> dict[str, Any]:
        """The fields of a row that depend on its pictures. The drop is measured against the row ``reference``."""
        sums = self._rows[row]
        noisy = self._rows[next(iter(self._rows))]
        other = self._rows[reference] if reference else None
        whole = _group(sums.whole, noisy.whole, other.whole if other else None)
        groups: dict[str, dict[str, GroupScore]] = {}
        for kind, value in sorted(sums.groups, key=group_order):
            key = (kind, value)
            groups.setdefault(kind, {})[value] = _group(
                sums.groups[key], noisy.groups[key], other.groups[key] if other else None
            )
        flat = int(self._pixels[REGIONS.index("flat")].sum())
        return {
            "psnr": whole.psnr,
            "ssim": whole.ssim,
            "gain": whole.gain,
            "drop": whole.drop,
            "bias": _bias(sums.bias.sum(axis=(0, 1)), int(self._pixels.sum())),
            "banding": round(1000 * sums.contours / flat, 4) if flat else None,
            "groups": groups,
            "regions": {each: self._region(sums, other, np.s_[index, :]) for index, each in enumerate(REGIONS)},
            "lights": {each: self._region(sums, other, np.s_[:, index]) for index, each in enumerate(LIGHTS)},
        }

    def difference(self, row: str) -> Difference | None:
        """How the row's values differ from those of the row that ``references`` names."""
        counts = self._differences.get(row)
        if counts is None:
            return None
        steps, total = np.arange(-255, 256), int(counts.sum())

        def within(most: int) -> float:
            return round(int(counts[255 - most : 256 + most].sum()) / total, 7)

        return Difference(
            against=self._references[row],
            equal=within(0),
            within_1=within(1),
            within_2=within(2),
            largest=int(np.abs(steps[counts > 0]).max()),
            mean=round(float((counts * steps).sum() / total), 5),
            deviation=round(math.sqrt(float((counts * steps**2).sum() / total)), 5),
            histogram={str(step): int(counts[step + 255]) for step in steps if counts[step + 255]},
        )

    @property
    def clean_banding(self) -> float | None:
        """False contours in each 1000 flat pixels of the clean pictures."""
        flat = int(self._pixels[REGIONS.index("flat")].sum())
        return round(1000 * self._clean_contours / flat, 4) if flat else None

    def _region(self, sums: _Sums, other: _Sums | None, where: Any) -> RegionScore:
        pixels = int(self._pixels[where].sum())
        ours = _pooled(int(sums.squares[where].sum()), pixels)
        theirs = _pooled(int(other.squares[where].sum()), pixels) if other else None
        return RegionScore(
            share=round(pixels / max(1, int(self._pixels.sum())), 6),
            psnr=ours,
            drop=None if ours is None or theirs is None else round(theirs - ours, 6),
            bias=_bias(sums.bias[where].reshape(-1, 3).sum(axis=0), pixels),
        )

    def _keep(self, score: PairScore) -> None:
        """Evenly chosen samples of all so far (Vitter's algorithm R), in their order."""
        self.samples += 1
        if len(self.pairs) < KEPT_PAIRS:
            self.pairs.append(score)
            return
        place = int(self._rng.integers(self.samples))
        if place < KEPT_PAIRS:
            del self.pairs[place]
            self.pairs.append(score)


def _group(ours: _Mean, noisy: _Mean, other: _Mean | None) -> GroupScore:
    mean = ours.psnr / ours.count
    return GroupScore(
        pictures=ours.count,
        psnr=round(mean, _DECIMALS),
        ssim=round(ours.ssim / ours.count, _DECIMALS),
        gain=round(mean - noisy.psnr / noisy.count, _DECIMALS),
        drop=None if other is None else round(other.psnr / other.count - mean, _DECIMALS),
    )


def _pooled(squares: int, pixels: int) -> float | None:
    """PSNR in dB of a sum of squared errors over three channels."""
    if pixels == 0:
        return None
    return MOST_DB if squares == 0 else round(min(MOST_DB, 10 * math.log10(255.0**2 * 3 * pixels / squares)), 6)


def _bias(sums: NDArray[np.int64], pixels: int) -> list[float]:
    return [round(int(each) / pixels, 5) if pixels else 0.0 for each in sums]

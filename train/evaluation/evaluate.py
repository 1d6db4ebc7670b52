"""Measures a run's network on pairs: PSNR and SSIM by set, phone, ISO and brightness, compared with noisy pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.data.samples import Sample, SampleSet
from quietcam.data.sets.groups import Group, group_order, groups_of
from quietcam.data.sets.pairs import Pair
from quietcam.image import Image, as_channels, to_float, to_uint8
from quietcam.metrics import finite_psnr, ssim
from quietcam.terminal.progress import progress
from train.evaluation.validation import Denoise, inference

__all__ = ["PairScores", "PictureScore", "Score", "evaluate", "whole_pictures"]

"""Replaces the infinite PSNR of equal pictures, which neither a mean nor JSON can hold."""

_ALL = ("all", "all")


@dataclass(frozen=True)
class PictureScore:
    """One picture, or crop of a large one: PSNR in dB and SSIM on uint8, denoised and noisy."""

    set: str
    name: str
    psnr: float
    noisy_psnr: float
    ssim: float
    noisy_ssim: float

    @property
    def gain(self) -> float:
        """PSNR minus that of the noisy picture, dB."""
        return self.psnr - self.noisy_psnr


@dataclass(frozen=True)
class Score:
    """Means over the pictures of a group; ``gain`` is PSNR minus that of the noisy pictures, dB."""

    pictures: int
    psnr: float
    noisy_psnr: float
    gain: float
    ssim: float
    noisy_ssim: float

    @classmethod
    def of(cls, pictures: Sequence[PictureScore]) -> Score:
        """The means of at least one picture."""

        def mean(name: str) -> float:
            return round(float(np.mean([getattr(each, name) for each in pictures])), 6)

        return cls(len(pictures), *map(mean, ("psnr", "noisy_psnr", "gain", "ssim", "noisy_ssim")))


@dataclass(frozen=True)
class PairScores:
    """The scores of all pictures.

    Attributes:
        pictures: the scores one by one, in the order of the sets.
        groups: for each of ``pictures``, the groups that it belongs to.
        samples: by the name of the set, to read a picture again.
        problems: pairs that were left out, one line each.
    """

    pictures: list[PictureScore]
    groups: list[list[Group]]
    samples: Mapping[str, SampleSet] = field(repr=False)
    problems: list[str] = field(default_factory=list)

    def score(self, of_set: str | None = None, group: Group = _ALL) -> Score:
        """The score of one set or all sets, and of one group or all groups."""
        return Score.of(
            [
                picture
                for picture, groups in zip(self.pictures, self.groups, strict=True)
                if of_set in (None, picture.set) and group in (_ALL, *groups)
            ]
        )

    def groups_in(self, of_set: str | None = None) -> list[Group]:
        """The groups of one set or all sets, in order."""
        found = {
            group
            for picture, groups in zip(self.pictures, self.groups, strict=True)
            if of_set in (None, picture.set)
            for group in groups
        }
        return sorted(found, key=group_order)

    def chosen(self, count: int) -> dict[str, list[PictureScore]]:
        """Pictures to show, up to ``count`` of each kind, none twice: lowest PSNR, least gain, median."""
        taken: list[PictureScore] = []
        middle = float(np.median([each.psnr for each in self.pictures]))
        kinds: dict[str, list[PictureScore]] = {}
        for kind, ordered in (
            ("worst", sorted(self.pictures, key=lambda each: each.psnr)),
            ("least gain", sorted(self.pictures, key=lambda each: each.gain)),
            ("typical", sorted(self.pictures, key=lambda each: abs(each.psnr - middle))),
        ):
            kinds[kind] = [each for each in ordered if each not in taken][:count]
            taken += kinds[kind]
        return kinds

    def to_dict(self) -> dict[str, Any]:
        """The JSON report."""

        def scores_of(of_set: str | None) -> dict[str, Any]:
            groups: dict[str, dict[str, Any]] = {}
            for kind, value in self.groups_in(of_set):
                groups.setdefault(kind, {})[value] = asdict(self.score(of_set, (kind, value)))
            return {**asdict(self.score(of_set)), "groups": groups}

        return {
            **scores_of(None),
            "sets": {name: scores_of(name) for name in self.samples},
            "pairs": [{**asdict(each), "gain": round(each.gain, 6)} for each in self.pictures],
            "problems": self.problems,
        }


def evaluate(
    model: keras.Model, sets: Mapping[str, Sequence[Pair]], *, stride: int, limit: int | None = None
) -> PairScores:
    """Denoise every picture of ``sets`` and compare it with its clean twin.

    Args:
        model: float32 ``(batch, H, W, C)`` in [0, 1] on both ends, of any size in multiples of ``stride``.
        sets: pairs by the name of their data set. Pictures of more than a megapixel are measured on crops.
        limit: most pairs of each set, evenly spread. Defaults to all.

    Raises:
        DataError: a set has no pairs, or none that can be read.
    """
    denoise, channels = whole_pictures(inference(model), stride), int(model.inputs[0].shape[-1])
    samples = {name: SampleSet(pairs, limit) for name, pairs in sets.items()}
    pictures: list[PictureScore] = []
    groups: list[list[Group]] = []
    with progress("Evaluating", sum(map(len, samples.values()))) as bar:
        for name, sample, is_new in _all(samples):
            noisy, clean = as_channels(sample.noisy, channels), as_channels(sample.clean, channels)
            denoised = denoise(noisy)
            pictures.append(
                PictureScore(
                    name,
                    sample.name,
                    _psnr(clean, denoised),
                    _psnr(clean, noisy),
                    round(ssim(clean, denoised), 6),
                    round(ssim(clean, noisy), 6),
                )
            )
            groups.append(groups_of(sample.pair, clean))
            bar.advance(is_new)
    problems = [problem for each in samples.values() for problem in each.problems]
    return PairScores(pictures, groups, samples, problems)


def whole_pictures(denoise: Denoise, stride: int) -> Any:
    """``denoise`` for uint8 ``(H, W, C)`` of any size: the edges are repeated up to a multiple of ``stride``."""

    def whole(noisy: Image) -> Image:
        height, width = noisy.shape[:2]
        padded = np.pad(noisy, ((0, -height % stride), (0, -width % stride), (0, 0)), "edge")
        denoised = denoise(tf.constant(to_float(padded)[np.newaxis])).numpy()[0]
        return to_uint8(denoised[:height, :width])

    return whole


def _all(samples: Mapping[str, SampleSet]) -> Iterator[tuple[str, Sample, bool]]:
    """Every sample with the name of its set, and whether it is the first of its pair."""
    for name, each in samples.items():
        last = None
        for sample in each:
            yield name, sample, sample.pair is not last
            last = sample.pair


def _psnr(clean: Image, picture: Image) -> float:
    return round(finite_psnr(clean, picture), 6)

"""Chooses the patches that represent the camera, balanced over phone, ISO, brightness, content, luminance and noise.

Of clips, also over how many frames came before and how much moves.

The rule is minimization (Pocock and Simon, Biometrics 31, 1975), by which clinical trials balance groups: the next
patch is the candidate whose kinds have been chosen least often so far. So the first patches of a set are balanced, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.clips import motion_of, past_of
from calibration.survey import CONTENTS, Survey
from quietcam.errors import UsageError
from quietcam.representative.set import RepresentativeSet, patch_sha256
from quietcam.terminal.log import log

__all__ = ["choose", "sample"]

_LUMINANCE_BINS, _NOISE_BINS = 16, 4  # of equal shares of the data set
_WEIGHTS = {
    "phone": 2.0, "iso": 2.0, "brightness": 2.0, "content": 1.0, "noise": 1.0, "luminance": 0.5,
    "picture": 0.6, "scene": 0.5, "past": 1.0, "motion": 1.0,
}  # fmt: skip
_OVERLAP = 1.0


@dataclass(frozen=True)
class _Kind:
    """One attribute of every candidate: codes 0 to ``values - 1``."""

    codes: NDArray[np.intp]
    values: int
    weight: float


def sample(
    found: Survey, *, count: int, seed: int = 0, data: str = "", told: dict[str, Any] | None = None
) -> RepresentativeSet:
    """Choose ``count`` of the candidates. The same survey gives the same set.

    Args:
        seed: the one that the survey was made with.
        data: the name of the data set, for the set's origin.
        told: further entries of the origin.

    Raises:
        UsageError: ``count`` under 1.
    """
    if count < 1:
        raise UsageError(f"count must be at least 1. Received: count={count}.")
    chosen = choose(found, count)
    if len(chosen) < count:
        log.warning("Only %d of %d patches: the pictures have no more that differ.", len(chosen), count)
    owners = [found.pictures[int(index)] for index in found.picture[chosen]]
    patches = found.patches[chosen]
    return RepresentativeSet(
        patches=patches,
        source=tuple(owner.name for owner in owners),
        instance=tuple(owner.instance.name if owner.instance else "" for owner in owners),
        box=found.box[chosen],
        sha256=tuple(patch_sha256(patch) for patch in patches),
        origin={
            "data": data,
            "pictures": len(found.pictures) + len(found.problems) + found.unseen,
            "skipped": len(found.problems),
            "count": count,
            "size": int(patches.shape[1]),
            "seed": seed,
            "quietcam": version("quietcam"),
            **(told or {}),
        },
    )


def choose(found: Survey, count: int) -> NDArray[np.intp]:
    """Indices of up to ``count`` candidates, in the order of choice. Equal patches are chosen once."""
    kinds = _kinds(found)
    taken_of = [np.zeros(kind.values) for kind in kinds]
    free = _first_of_equals(found)
    overlap = np.zeros(len(free))
    pictures = len(found.pictures)
    # The first ones contain the ends of the range; the others are balanced around them.
    ends = _holders(found) if count > 2 else []
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        score = overlap * (_OVERLAP * pictures)
        for kind, taken in zip(kinds, taken_of, strict=True):
            # Multiplied by the number of values: in balance, each kind has progressed as far as the whole set.
            score += kind.weight * kind.values * taken[kind.codes]
        score[~free] = np.inf
        ends = [holds for holds in ends if not holds[chosen].any()]
        if ends and (free & ends[0]).any():
            score[~ends[0]] = np.inf
        best = int(np.argmin(score))
        chosen.append(best)
        free[best] = False
        for kind, taken in zip(kinds, taken_of, strict=True):
            taken[kind.codes[best]] += 1
        same = np.flatnonzero(found.picture == found.picture[best])
        overlap[same] = np.maximum(overlap[same], _shared(found.box[same], found.box[best]))
    return np.array(chosen, np.intp)


def _kinds(found: Survey) -> list[_Kind]:
    instances = [found.pictures[int(index)].instance for index in found.picture]
    kinds = [
        _Kind(_quantiles(found.luminance, _LUMINANCE_BINS), _LUMINANCE_BINS, _WEIGHTS["luminance"]),
        _Kind(_quantiles(found.sigma, _NOISE_BINS), _NOISE_BINS, _WEIGHTS["noise"]),
        _Kind(found.content, len(CONTENTS), _WEIGHTS["content"]),
        _Kind(found.picture, len(found.pictures), _WEIGHTS["picture"]),
        _coded([found.pictures[int(index)].scene for index in found.picture], "scene"),
    ]
    if found.past is not None and found.moving is not None:
        kinds.append(_coded([past_of(int(each)) for each in found.past], "past"))
        kinds.append(_coded([motion_of(float(each)) for each in found.moving], "motion"))
    if any(instances):
        names = ("phone", "iso", "brightness")
        kinds += [_coded([str(getattr(instance, name, "")) for instance in instances], name) for name in names]
    return kinds


def _coded(values: list[str], name: str) -> _Kind:
    different, codes = np.unique(values, return_inverse=True)
    return _Kind(codes, len(different), _WEIGHTS[name])


def _quantiles(values: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    ranks = np.empty(len(values), np.intp)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks * bins // len(values)


def _first_of_equals(found: Survey) -> NDArray[np.bool_]:
    """Marks the candidates that are not equal to an earlier one."""
    seen: set[str] = set()
    free = np.zeros(len(found.patches), bool)
    for index, patch in enumerate(found.patches):
        digest = patch_sha256(patch)
        free[index] = digest not in seen
        seen.add(digest)
    return free


def _shared(boxes: NDArray[np.int32], box: NDArray[np.int32]) -> NDArray[np.float64]:
    """The share of the area of ``box`` that each of ``boxes`` covers; all are of one size."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shares: NDArray[np.float64] = sides.clip(min=0).prod(axis=1) / float((box[2:] - box[:2]).prod())
    return shares


def _holders(found: Survey) -> list[NDArray[np.bool_]]:
    """Marks the candidates that contain the least value of the data, and those that contain the greatest."""
    flat = found.patches.reshape(len(found.patches), -1)
    ends = flat.min(axis=1) == found.low, flat.max(axis=1) == found.high
    return [holds for holds in ends if holds.any()]

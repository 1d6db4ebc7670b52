"""Coverage: compares the content of a representative set with the data that it was chosen from.

The report as JSON (``quietcam calibrate … --json FILE``)::

    format      1
    path        of the set, and its sha256: the digest of all patches
    origin      what made the set: data, seed, count, size, versions; for captured frames also "capture"
    patches     their number, and their width, height and channels
    pictures    number of pictures that the patches come from, and number of pictures in the data
    history     share of the patches that have a past: a history that differs from them; null without history
    range       least and greatest pixel value of the set, and of the data
    groups      {"phone": {"S6": {patches, share, pictures, data_share}, …}, "iso", "brightness", "scene", "content"};
                the first four only if names contain them; for content, "pictures" counts candidate patches. Of clips
                also "past" (how many frames came before) and "motion", both of candidate patches
    missing     kinds that are in the data but not in the set, such as "iso 10000"
    luminance   {edges, set, data, overlap}: shares of pixels by brightness, 0 to 255; the data's are of whole pictures
    noise       likewise: shares of patches by estimated noise, in steps of 255; the last bin is open
    findings    of the linter: [{name, severity, rule, received, effect, remedy}, …], worst first
    samples     [{source, instance, box: [x0, y0, x1, y1], sha256}, …]: enough to rebuild the set; with
                history_sha256 if the set has history, and then "origin" tells in "history" which network made it
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.clips import motion_of, past_of
from calibration.survey import CONTENTS, Survey, judge_content
from quietcam.data.sets.noisy_pictures import NoisyPicture
from quietcam.data.sets.sidd import Instance
from quietcam.estimation import estimate_blind
from quietcam.image import to_gray
from quietcam.representative.lint import lint
from quietcam.representative.rules import LintFinding
from quietcam.representative.set import RepresentativeSet

__all__ = ["Coverage", "Group", "Spread", "cover"]

_LUMINANCE_EDGES = tuple(range(0, 257, 8))
_NOISE_EDGES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40)


@dataclass(frozen=True)
class Group:
    """Number of patches in the set and of pictures in the data that are of one kind; each also as a share, 0 to 1."""

    patches: int
    share: float
    pictures: int
    data_share: float


@dataclass(frozen=True)
class Spread:
    """Two histograms over the same bins, each with the sum 1.

    Attributes:
        edges: of the bins. If there are as many edges as bins, the last bin has no upper edge.
        set, data: the share of each bin.
        overlap: how much the two histograms have in common, 0 to 1.
    """

    edges: tuple[int, ...]
    set: tuple[float, ...]
    data: tuple[float, ...]
    overlap: float


@dataclass(frozen=True)
class Coverage:
    """The report without the samples; see the module's docstring."""

    patches: int
    width: int
    height: int
    channels: int
    pictures: int
    data_pictures: int
    unseen: int
    history: float | None
    range: tuple[int, int]
    data_range: tuple[int, int]
    groups: dict[str, dict[str, Group]]
    missing: tuple[str, ...]
    luminance: Spread
    noise: Spread
    findings: tuple[LintFinding, ...]

    def to_dict(self, path: Path, representative: RepresentativeSet) -> dict[str, Any]:
        """The report as the module's docstring describes it."""
        samples = zip(
            representative.source,
            representative.instance,
            representative.box.tolist(),
            representative.sha256,
            representative.history_sha256 or ("",) * len(representative),
            strict=True,
        )
        return {
            "format": 1,
            "path": str(path),
            "sha256": representative.digest,
            "origin": representative.origin,
            **asdict(self),
            "findings": [finding.to_dict() for finding in self.findings],
            "samples": [
                {"source": source, "instance": instance, "box": box, "sha256": sha256}
                | ({"history_sha256": remembered} if remembered else {})
                for source, instance, box, sha256, remembered in samples
            ],
        }


def cover(representative: RepresentativeSet, found: Survey) -> Coverage:
    """Compare a set with the survey that it was chosen from."""
    patches = representative.patches
    sigma = np.array([estimate_blind(patch).sigma for patch in patches])
    groups = _groups(representative, found, judge_content(patches, sigma))
    gray = np.concatenate([np.bincount(to_gray(patch).reshape(-1), minlength=256)[np.newaxis] for patch in patches])
    return Coverage(
        patches=len(patches),
        width=patches.shape[2],
        height=patches.shape[1],
        channels=representative.channels,
        pictures=len(set(representative.source)),
        data_pictures=len(found.pictures),
        unseen=found.unseen,
        history=_with_past(representative),
        range=(int(patches.min()), int(patches.max())),
        data_range=(found.low, found.high),
        groups=groups,
        missing=tuple(
            f"{kind} {value}"
            for kind, values in groups.items()
            for value, group in values.items()
            if group.pictures and not group.patches
        ),
        luminance=_spread(_LUMINANCE_EDGES, _by_eight(gray.sum(axis=0)), _by_eight(found.histogram)),
        noise=_spread(_NOISE_EDGES, _by_noise(sigma), _by_noise(found.sigma)),
        findings=tuple(lint(representative)),
    )


def _with_past(representative: RepresentativeSet) -> float | None:
    """The share of the patches whose history differs from them; None for a set without history."""
    if representative.history is None:
        return None
    later = (representative.history != representative.patches).reshape(len(representative), -1).any(axis=1)
    return round(float(later.mean()), 4)


def _groups(representative: RepresentativeSet, found: Survey, content: NDArray[np.intp]) -> dict[str, dict[str, Group]]:
    ours = [instance for name in representative.instance if (instance := Instance.parse(name))]
    theirs = [picture.instance for picture in found.pictures if picture.instance]
    groups = {}
    for kind in ("phone", "iso", "brightness"):
        if theirs:
            groups[kind] = _group([getattr(each, kind) for each in ours], [getattr(each, kind) for each in theirs])
    scenes = {picture.name: picture.scene for picture in found.pictures}
    if _tells_scenes(found.pictures):
        groups["scene"] = _group([scenes[name] for name in representative.source], list(scenes.values()))
    groups["content"] = _group([CONTENTS[i] for i in content], [CONTENTS[i] for i in found.content])
    if found.past is not None and found.moving is not None:
        past = [past_of(int(each)) for each in found.past]
        motion = [motion_of(float(each)) for each in found.moving]
        names = [found.pictures[int(index)].name for index in found.picture]
        place = {(name, *box): i for i, (name, box) in enumerate(zip(names, found.box.tolist(), strict=True))}
        keys = [(name, *box) for name, box in zip(representative.source, representative.box.tolist(), strict=True)]
        chosen = [place[key] for key in keys if key in place]  # a rebuilt set may hold others than this survey
        groups["past"] = _group([past[i] for i in chosen], past)
        groups["motion"] = _group([motion[i] for i in chosen], motion)
    return groups


def _tells_scenes(pictures: list[NoisyPicture]) -> bool:
    return any(picture.scene != picture.name for picture in pictures)


def _group(ours: list[Any], theirs: list[Any]) -> dict[str, Group]:
    counted, data = Counter(ours), Counter(theirs)
    return {
        str(value): Group(
            counted[value],
            round(counted[value] / max(len(ours), 1), 4),
            data[value],
            round(data[value] / max(len(theirs), 1), 4),
        )
        for value in sorted(counted | data)
    }


def _by_eight(counts: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = counts.reshape(-1, 8).sum(axis=1).astype(np.float64)
    return found


def _by_noise(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    counts, _ = np.histogram(sigma, [*_NOISE_EDGES, np.inf])
    return counts.astype(np.float64)


def _spread(edges: tuple[int, ...], ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Spread:
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    return Spread(
        edges,
        tuple(round(float(share), 5) for share in ours),
        tuple(round(float(share), 5) for share in theirs),
        round(float(np.minimum(ours, theirs).sum()), 4),
    )

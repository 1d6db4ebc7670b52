"""Reports the contents and the problems of a data set: opens every picture once, one pair at a time in memory.

The report as JSON (``quietcam data index DATA --json FILE``)::

    format      1
    data        the path that was given
    max_shift   pixels; pairs shifted by more are misregistered
    total       a group, see below, of all pairs that can be used
    groups      {"scene": {"001": group, …}, "phone": …, "iso": …, "brightness": …}; the last three only of SIDD's names
    sizes       {"5328x3000": pairs, …}
    pairs       [{name, noisy, clean: where they lie, scene, instance: {instance, scene, phone, iso, shutter,
                temperature, brightness} or null, width, height, level: mean of the clean picture, 0 to 255,
                psnr: dB, null where both are equal, noise: {sigma, shot, read} as quietcam.estimation defines them,
                shift: {x, y, error, distance}, pixels, distance null where the picture does not tell}, …]
    noisy_only  [{name, noisy, width, height, level, noise}, …]: pictures whose clean twins were never published
    clips       [{name, scene, frames: how many}, …], see quietcam.data.clips; their frames are pairs, too
    problems    [{kind, name, detail}, …]; kind is one of KINDS
    split       {rule, pairs: {train, validation, test: how many}, scenes: {train, …: [scene, …]}}, or {rule, error}

    a group is  {pairs, psnr: {mean, least, greatest} or null, sigma: the median or null, level: the mean}
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.clips.clip import Clip, group_clips
from quietcam.data.pictures.files import Place, read_picture
from quietcam.data.sets.identical import picture_sha256
from quietcam.data.sets.layout import Layout
from quietcam.data.sets.pairs import Listing, Pair, list_data, nothing_left
from quietcam.data.sets.problems import Problem
from quietcam.data.sets.registration import Shift, find_likeness, find_shift, spread_tiles
from quietcam.data.sets.split import SIDES, SplitRule
from quietcam.errors import DataError, UsageError
from quietcam.estimation import NoiseEstimate, estimate_blind, estimate_pair
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.terminal.progress import progress

__all__ = ["KINDS", "MAX_SHIFT", "DataIndex", "PairFacts", "index_data"]

KINDS = (
    *("missing twin", "ambiguous", "unreadable", "not read", "size"),
    *("clip", "different pictures", "misregistered", "duplicate"),
)
"""Kinds of problems. "ambiguous": a name occurs twice. "not read": photographs in formats such as HEIC. "size": twins
of different sizes. "clip": a clip with one frame, frames of different sizes, or a missing number. "different
pictures": twins that show different scenes. "duplicate": identical pictures under two names, or a noisy picture equal
to its twin."""

MAX_SHIFT = 0.5
"""Pixels. Carefully aligned pairs lie within 0.1; from half a pixel on, a network learns to blur."""

_LEAST_LIKENESS = 0.5
_SMALLEST = 16  # pixels of a side: smaller pictures cannot be registered


@dataclass(frozen=True)
class PairFacts:
    """The measurements of one pair. Units are in the module's docstring."""

    pair: Pair
    width: int
    height: int
    level: float
    psnr: float
    noise: NoiseEstimate
    shift: Shift | None

    def to_dict(self) -> dict[str, Any]:
        """As in the report."""
        shift = self.shift
        return {
            "name": self.pair.name,
            "noisy": str(self.pair.noisy),
            "clean": str(self.pair.clean),
            "scene": self.pair.scene,
            "instance": asdict(self.pair.instance) if self.pair.instance else None,
            "width": self.width,
            "height": self.height,
            "level": round(self.level, 2),
            "psnr": round(self.psnr, 3) if math.isfinite(self.psnr) else None,
            "noise": _noise(self.noise),
            "shift": {
                "x": round(shift.x, 2),
                "y": round(shift.y, 2),
                "error": round(shift.error, 3) if math.isfinite(shift.error) else None,
                "distance": None if shift.distance is None else round(shift.distance, 3),
            }
            if shift
            else None,
        }


@dataclass(frozen=True)
class DataIndex:
    """The whole report. ``noisy_only`` holds its rows as they are in JSON."""

    data: Path
    max_shift: float
    facts: list[PairFacts]
    noisy_only: list[dict[str, Any]]
    problems: list[Problem]
    split: dict[str, Any]
    clips: list[Clip] = field(default_factory=list)

    def groups(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Pairs by scene, phone, ISO and brightness."""
        keys: dict[str, dict[Any, list[PairFacts]]] = {"scene": {}, "phone": {}, "iso": {}, "brightness": {}}
        for facts in self.facts:
            keys["scene"].setdefault(facts.pair.scene, []).append(facts)
            if (instance := facts.pair.instance) is not None:
                for key in ("phone", "iso", "brightness"):
                    keys[key].setdefault(getattr(instance, key), []).append(facts)
        return {
            key: {str(value): summarize(members) for value, members in sorted(groups.items())}
            for key, groups in keys.items()
        }

    def sizes(self) -> dict[str, int]:
        """The number of pairs of each size, the most frequent first."""
        return dict(Counter(f"{facts.width}x{facts.height}" for facts in self.facts).most_common())

    def to_dict(self) -> dict[str, Any]:
        """The report as the module's docstring describes it."""
        return {
            "format": 1,
            "data": str(self.data),
            "max_shift": self.max_shift,
            "total": summarize(self.facts),
            "groups": self.groups(),
            "sizes": self.sizes(),
            "pairs": [facts.to_dict() for facts in self.facts],
            "noisy_only": self.noisy_only,
            "clips": [{"name": clip.name, "scene": clip.scene, "frames": len(clip)} for clip in self.clips],
            "problems": [asdict(problem) for problem in self.problems],
            "split": self.split,
        }


def index_data(
    path: Path, *, rule: SplitRule | None = None, max_shift: float = MAX_SHIFT, layout: Layout | None = None
) -> DataIndex:
    """Open every picture of a data set and list what is there.

    PSNR is measured on whole pictures, noise and shift on up to nine tiles of 512x512, so that a frame of 16 megapixels
    takes one second more and no more memory than its pixels.

    Args:
        path: a folder, a ``.zip`` or a ``.mat`` file, as ``find_pairs`` reads them.
        rule: the split to show. Defaults to the one that training uses.
        max_shift: pixels; pairs that are shifted by more are reported as misregistered.
        layout: as ``list_data`` takes it.

    Raises:
        UsageError: there is no such data set, ``rule`` names an unknown scene, or ``max_shift`` is negative.
        DataError: the archive or ``.mat`` file is refused, or it holds nothing that looks like a data set.
    """
    if not max_shift >= 0:
        raise UsageError(f"`max_shift` must be at least 0 pixels. Received: {max_shift}. Remedy: try {MAX_SHIFT}.")
    listing = list_data(path, layout)
    if not (listing.pairs or listing.noisy_only or listing.problems):
        raise nothing_left(path, listing)
    split = _show_split(listing.pairs, rule or SplitRule())
    reader = _Reader(max_shift, list(listing.problems))
    with progress("Reading pictures", len(listing.pairs) + len(listing.noisy_only)) as bar:
        facts = []
        for pair in listing.pairs:
            if (found := reader.measure(pair)) is not None:
                facts.append(found)
            bar.advance()
        noisy_only = _measure_noisy(listing, reader, bar.advance)
    clips, unfit = group_clips(listing.pairs)
    reader.problems += unfit + _sizes_in_clips(facts)
    problems = sorted(reader.problems + reader.duplicates(), key=lambda problem: KINDS.index(problem.kind))
    return DataIndex(path, max_shift, facts, noisy_only, problems, split, clips)


def summarize(facts: Iterable[PairFacts]) -> dict[str, Any]:
    """A group of the report."""
    members = list(facts)
    ratios = [each.psnr for each in members if math.isfinite(each.psnr)]
    return {
        "pairs": len(members),
        "psnr": {
            "mean": round(statistics.fmean(ratios), 2),
            "least": round(min(ratios), 2),
            "greatest": round(max(ratios), 2),
        }
        if ratios
        else None,
        "sigma": round(statistics.median(each.noise.sigma for each in members), 2) if members else None,
        "level": round(statistics.fmean(each.level for each in members), 1) if members else None,
    }


@dataclass(frozen=True)
class _Seen:
    """A picture that was read: of which pair, side, scene and clip."""

    name: str
    side: str
    scene: str
    clip: str | None


class _Reader:
    """Reads pairs, and records problems and which picture was read from where."""

    def __init__(self, max_shift: float, problems: list[Problem]) -> None:
        self.problems = problems
        self._max_shift = max_shift
        self._seen: dict[str, list[_Seen]] = {}

    def read(self, name: str, place: Place, side: str, scene: str, clip: str | None = None) -> Image | None:
        """Read a picture; on failure record a problem and return None."""
        try:
            picture = read_picture(place)
        except (DataError, UsageError) as error:
            self.problems.append(Problem("unreadable", name, str(error)))
            return None
        self._seen.setdefault(picture_sha256(picture), []).append(_Seen(name, side, scene, clip))
        return picture

    def measure(self, pair: Pair) -> PairFacts | None:
        """Measure a pair; None if it cannot be used."""
        noisy = self.read(pair.name, pair.noisy, "noisy", pair.scene, pair.clip)
        clean = self.read(pair.name, pair.clean, "clean", pair.scene, pair.clip)
        if noisy is None or clean is None:
            return None
        height, width = clean.shape[:2]
        if noisy.shape != clean.shape:
            detail = f"noisy {noisy.shape[1]}x{noisy.shape[0]} and clean {width}x{height}"
            self.problems.append(Problem("size", pair.name, detail))
            return None
        tiles = spread_tiles(clean.shape)
        noise = estimate_pair(*(np.concatenate([picture[tile] for tile in tiles]) for picture in (noisy, clean)))
        return PairFacts(
            pair, width, height, float(clean.mean()), psnr(noisy, clean), noise, self._register(pair, noisy, clean)
        )

    def _register(self, pair: Pair, noisy: Image, clean: Image) -> Shift | None:
        if min(clean.shape[:2]) < _SMALLEST:
            return None
        shift = find_shift(noisy, clean)
        likeness = find_likeness(noisy, clean)
        if shift.distance is not None and shift.distance > self._max_shift:
            detail = (
                f"the noisy picture lies {abs(shift.x):.2f} px {'right' if shift.x > 0 else 'left'} and "
                f"{abs(shift.y):.2f} px {'down' if shift.y > 0 else 'up'}; {self._max_shift:g} px allowed"
            )
            self.problems.append(Problem("misregistered", pair.name, detail))
        elif likeness is not None and likeness < _LEAST_LIKENESS:
            detail = f"the two sides show different scenes (correlation {likeness:.2f})"
            self.problems.append(Problem("different pictures", pair.name, detail))
        return shift

    def duplicates(self) -> list[Problem]:
        """Identical pictures under two names. Clean frames of one clip may be identical: nothing moves there."""
        problems = []
        for found in self._seen.values():
            kept: dict[object, _Seen] = {}
            for index, seen in enumerate(found):
                kept.setdefault(index if seen.clip is None else (seen.clip, seen.side), seen)
            places = list(kept.values())
            if len(places) > 1:
                first, *others = places
                listed = ", ".join(f"{other.name} ({other.side})" for other in others[:3])
                more = f" and {len(others) - 3} more" if len(others) > 3 else ""
                scenes = sorted({seen.scene for seen in places})
                apart = f"; a split keeps scenes {' '.join(scenes[:6])} on one side" if len(scenes) > 1 else ""
                detail = f"its {first.side} picture is identical to that of {listed}{more}{apart}"
                problems.append(Problem("duplicate", first.name, detail))
        return problems


def _sizes_in_clips(facts: list[PairFacts]) -> list[Problem]:
    """Clips whose frames have different sizes."""
    sizes: dict[str, dict[str, str]] = {}
    for each in facts:
        if each.pair.clip is not None:
            sizes.setdefault(each.pair.clip, {}).setdefault(f"{each.width}x{each.height}", each.pair.name)
    problems = []
    for clip, found in sizes.items():
        if len(found) > 1:
            listed = ", ".join(f"{size} ({name})" for size, name in found.items())
            detail = f"the frames of a clip must have one size, and these have {listed}"
            problems.append(Problem("clip", clip, f"{detail}. Remedy: crop them to one size, or make two clips"))
    return problems


def _measure_noisy(listing: Listing, reader: _Reader, advance: Any) -> list[dict[str, Any]]:
    rows = []
    for name, place in listing.noisy_only:
        picture = reader.read(name, place, "noisy", name)
        if picture is not None:
            rows.append(
                {
                    "name": name,
                    "noisy": str(place),
                    "width": picture.shape[1],
                    "height": picture.shape[0],
                    "level": round(float(picture.mean()), 2),
                    "noise": _noise(estimate_blind(picture)),
                }
            )
        advance()
    return rows


def _show_split(pairs: list[Pair], rule: SplitRule) -> dict[str, Any]:
    try:
        split = rule.split(pairs)
    except DataError as error:
        return {"rule": str(rule), "error": str(error)}
    return {
        "rule": str(rule),
        "pairs": {side: len(split.side(side)) for side in SIDES},
        "scenes": {side: split.scenes(side) for side in SIDES},
    }


def _noise(estimate: NoiseEstimate) -> dict[str, float]:
    return {
        "sigma": round(estimate.sigma, 3),
        "shot": float(f"{estimate.shot:.4g}"),
        "read": float(f"{estimate.read:.4g}"),
    }

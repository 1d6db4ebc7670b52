"""Splits by scene: the training, validation and test sides never show the same scene."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from quietcam.data.pictures.files import Place
from quietcam.data.sets.identical import find_identical
from quietcam.data.sets.pairs import Pair
from quietcam.errors import DataError, UsageError
from quietcam.limits import MOST_SEED
from quietcam.terminal.key_values import Key, parse_key_values, whole_key

__all__ = ["DEFAULT_SHARE", "SIDES", "Split", "SplitRule", "pairs_of_side", "split_by_scene"]

SIDES = ("train", "validation", "test")

DEFAULT_SHARE = 0.15
"""Share of the pairs for the validation side, and also for the test side. The rest is for training."""


@dataclass(frozen=True)
class Split:
    """Three disjoint lists of pairs, each sorted by name."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]

    def side(self, name: str) -> list[Pair]:
        """The pairs of one of ``SIDES``."""
        pairs: list[Pair] = getattr(self, name)
        return pairs

    def scenes(self, name: str) -> list[str]:
        """The scenes of one of ``SIDES``, sorted."""
        return sorted({pair.scene for pair in self.side(name)})


def _read_side(text: str) -> float | tuple[str, ...]:
    if not text:
        raise ValueError
    return float(text) if re.fullmatch(r"0|\d?\.\d+", text) else tuple(text.split("+"))


_SIDE = Key(_read_side, "the names of its scenes, joined by +, or its share of the pairs, such as 0.15")
_KEYS = {
    "test": _SIDE,
    "validation": _SIDE,
    "seed": whole_key(0, MOST_SEED, f"a whole number from 0 to {MOST_SEED}"),
}


@dataclass(frozen=True)
class SplitRule:
    """Which scenes go to which side: the arguments of ``split_by_scene``, as config files write them.

    The default, fixed so that figures can be compared: 15 % of the pairs for test, 15 % for validation, seed 0.
    """

    test: float | tuple[str, ...] = DEFAULT_SHARE
    validation: float | tuple[str, ...] = DEFAULT_SHARE
    seed: int = 0

    @classmethod
    def parse(cls, text: str | None) -> SplitRule:
        """Read ``test=004,validation=001+003,seed=7``: scenes joined by ``+``, or a share such as 0.2; 0 is none.

        Keys that are missing keep their defaults, so an empty text is the default rule.

        Raises:
            UsageError: the text does not have this form.
        """
        return cls(**parse_key_values(text or "", _KEYS, "A split", "test=004,validation=001+003,seed=7"))

    def __str__(self) -> str:
        sides = {"test": self.test, "validation": self.validation}
        parts = [
            f"{name}={side:g}" if isinstance(side, (int, float)) else f"{name}={'+'.join(side) or 0}"
            for name, side in sides.items()
        ]
        return ",".join([*parts, f"seed={self.seed}"])

    def split(self, pairs: Iterable[Pair]) -> Split:
        """``split_by_scene`` with these arguments."""
        return split_by_scene(pairs, test=self.test, validation=self.validation, seed=self.seed)


@dataclass(frozen=True)
class _Group:
    """Scenes that must stay together, and their pairs."""

    scenes: frozenset[str]
    pairs: list[Pair]


def split_by_scene(
    pairs: Iterable[Pair],
    *,
    test: float | Sequence[str] = DEFAULT_SHARE,
    validation: float | Sequence[str] = DEFAULT_SHARE,
    seed: int = 0,
) -> Split:
    """Split so that no scene, and no identical picture, is on two sides.

    The rule: scenes (``Pair.scene``) that share an identical picture, noisy or clean, form one group. A side is given
    as a share of the pairs or as scene names. Named scenes are put on their side together with the rest of their
    group. The other groups are sorted in an order that depends only on their names and ``seed``. In that order, first
    the test side and then the validation side receives each group that does not exceed its share, and at least the
    smallest group. All other groups form the training side. The order of ``pairs`` does not matter. 0 or ``()`` gives
    an empty side.

    Raises:
        UsageError: a share outside [0, 1), shares that leave nothing to train on, or a scene that does not exist.
        DataError: fewer groups than sides, or a group that is named on two sides.
    """
    shares = [_check_share(name, side) for name, side in (("test", test), ("validation", validation))]
    if sum(shares) >= 1:
        raise UsageError(
            "The shares of test and validation must leave pairs for training. "
            f"Received: test={test}, validation={validation}. Remedy: choose shares whose sum is below 1."
        )
    everything = sorted(pairs, key=lambda pair: pair.name)
    groups = _groups(everything)
    named = [_check_names(side, everything) for side in (test, validation)]
    taken: list[list[_Group]] = [[group for group in groups if group.scenes & names] for names in named]
    if both := [group for group in taken[0] if group in taken[1]]:
        raise DataError(
            "Scenes that share a picture must stay on one side. Received: "
            f"{_listed(both[0].scenes)}, named for test and for validation. Remedy: name them for one side."
        )
    free = [group for group in groups if not any(group in side for side in taken)]
    open_sides = [i for i in (0, 1) if shares[i] > 0]
    if len(free) < len(open_sides) + 1:
        raise _too_few(everything, groups, sides=3 - (2 - len(open_sides)) + sum(map(bool, named)))
    free.sort(key=lambda group: hashlib.sha256(f"{seed}:{min(group.scenes)}".encode(errors="surrogateescape")).digest())
    for i in open_sides:
        reserve = 1 + sum(1 for later in open_sides if later > i)
        taken[i] = _take(free, shares[i] * len(everything), reserve)
        free = [group for group in free if group not in taken[i]]
    return Split(train=_flat(free), validation=_flat(taken[1]), test=_flat(taken[0]))


def pairs_of_side(pairs: Sequence[Pair], side: str) -> list[Pair]:
    """The pairs of one side: one of ``SIDES``, or ``all`` for every pair, split or not.

    The default split is used, or a rule after a colon: ``validation:test=004,validation=001``.

    Raises:
        UsageError: there is no such side, or the rule cannot be read.
    """
    name, colon, rule = side.partition(":")
    if name not in (*SIDES, "all") or (colon and (name == "all" or not rule)):
        raise UsageError(
            f"A side is one of all, {', '.join(SIDES)}. The last three may be followed by a colon and a rule: "
            f"test:test=004,validation=001. Received: {side!r}."
        )
    return list(pairs) if name == "all" else SplitRule.parse(rule).split(pairs).side(name)


def _take(groups: list[_Group], wanted: float, reserve: int) -> list[_Group]:
    """Take groups in order up to ``wanted`` pairs, at least the smallest group; leave ``reserve`` groups."""
    most = max(wanted, min(len(group.pairs) for group in groups))
    took: list[_Group] = []
    count = 0
    for group in groups:
        if len(groups) - len(took) == reserve:
            break
        if count + len(group.pairs) <= most:
            took.append(group)
            count += len(group.pairs)
    return took


def _groups(pairs: list[Pair]) -> list[_Group]:
    """Group pairs by scene, and join scenes that share an identical picture."""
    by_scene: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_scene.setdefault(pair.scene, []).append(pair)
    leader = {scene: scene for scene in by_scene}

    def find(scene: str) -> str:
        while leader[scene] != scene:
            scene = leader[scene]
        return scene

    for same in _identical(pairs):
        first, *others = sorted({find(pair.scene) for pair in same})
        for other in others:
            leader[find(other)] = find(first)
    joined: dict[str, set[str]] = {}
    for scene in by_scene:
        joined.setdefault(find(scene), set()).add(scene)
    return [
        _Group(frozenset(scenes), [pair for scene in sorted(scenes) for pair in by_scene[scene]])
        for _, scenes in sorted(joined.items())
    ]


def _identical(pairs: list[Pair]) -> list[list[Pair]]:
    """Lists of pairs that share an identical picture."""
    if len({pair.scene for pair in pairs}) < 2:
        return []
    owners: dict[Place, list[Pair]] = {}
    for pair in pairs:
        for place in (pair.noisy, pair.clean):
            if isinstance(place, Path) and not place.is_file():
                continue  # a missing file is reported when it is read
            owners.setdefault(place, []).append(pair)
    shared = [[pair for place in same for pair in owners[place]] for same in find_identical(owners)]
    return shared + [holders for holders in owners.values() if len(holders) > 1]


def _check_share(name: str, side: float | Sequence[str]) -> float:
    if not isinstance(side, (int, float)):
        return 0.0
    if not 0 <= side < 1:
        raise UsageError(
            f"A share must be at least 0 and below 1. Received: {name}={side}. Remedy: try {DEFAULT_SHARE}."
        )
    return float(side)


def _check_names(side: float | Sequence[str], pairs: list[Pair]) -> frozenset[str]:
    if isinstance(side, (int, float)):
        return frozenset()
    names = frozenset([side] if isinstance(side, str) else side)
    known = {pair.scene for pair in pairs}
    if unknown := names - known:
        raise UsageError(
            f"A scene that is named must be in the data set. Received: {_listed(unknown)}. "
            f"Remedy: choose from {_listed(known)}."
        )
    return names


def _too_few(pairs: list[Pair], groups: list[_Group], sides: int) -> DataError:
    scenes = {pair.scene for pair in pairs}
    joined = "" if len(groups) == len(scenes) else f", of which {len(groups)} share no picture"
    return DataError(
        f"Splitting by scene into {sides} sides needs at least {sides} scenes. Received: {len(scenes)} "
        f"({_listed(scenes)}) in {len(pairs)} pairs{joined}. Remedy: add pairs of other scenes."
    )


def _listed(scenes: Iterable[str]) -> str:
    names = sorted(scenes)
    return " ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _flat(groups: list[_Group]) -> list[Pair]:
    return sorted((pair for group in groups for pair in group.pairs), key=lambda pair: pair.name)

"""The data that weights were trained on, now and before: its license applies to them, and none of it is unseen.

The license of the data of a teacher applies, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from quietcam.errors import UsageError

__all__ = ["Origin", "add_earlier", "add_licenses", "trained_on_all_of", "unseen_side"]

Origin = dict[str, Any]
"""``data``, ``licence``, ``sources``, ``scenes`` (by side, or by source and side), ``split`` and ``sha256`` of what a
run trains on; ``earlier``: the same of what its weights were trained on before."""


def add_earlier(origin: Origin, before: Mapping[str, Any]) -> Origin:
    """``origin`` of weights that were first trained on the data of ``before``; data in both is listed once."""
    earlier = [
        {key: value for key, value in before.items() if key not in ("earlier", "runs")},
        *before.get("earlier", []),
    ]
    known = {_identity(origin)}
    kept = []
    for each in earlier:
        if each and _identity(each) not in known:
            known.add(_identity(each))
            kept.append(each)
    if not kept:
        return origin
    everything: list[Mapping[str, Any]] = [origin, *kept]
    joints = {"data": "; before that ", "licence": "; "}
    return origin | {key: _joined(everything, key, joint) for key, joint in joints.items()} | {"earlier": kept}


def add_licenses(origin: Origin, runs: Iterable[Mapping[str, Any]]) -> Origin:
    """``origin`` with the licenses of the data of all networks that these runs learned from: teachers, and networks
    whose fusion they began with.

    Args:
        runs: all runs behind the weights (``train.run_directory.chain``).
    """
    others = [run[role] for run in runs for role in ("teacher", "fusion") if role in run]
    return origin | {"licence": _joined([origin, *others], "licence", "; ")} if others else origin


def unseen_side(name: str, origin: Mapping[str, Any], split: str) -> str:
    """The side of the data set ``name`` that weights of this origin never saw.

    For a set that they were not trained on, that is the whole set; otherwise its test scenes. Weights whose origin
    lists no sources may have seen any set.

    Args:
        split: the rule of the split, if the origin does not state it.

    Raises:
        UsageError: the weights were trained on all of the set, or on it by several splits.
    """
    parts = _parts(name, origin)
    if not parts:
        return "all"
    if trained_on_all_of(name, origin):
        raise UsageError(
            f"A network must be measured on data that it was not trained on. Received: {name}, all of which it was "
            f"trained on. "
            "Remedy: name other data; or set `split` to all, to see how well the network fits its training data."
        )
    rules = {str(part.get("split", split)) for part in parts}
    if len(rules) > 1:
        raise UsageError(
            f"A network must be measured on data that it was not trained on. Received: {name}, which it was trained "
            f"on with "
            f"several splits: {', '.join(sorted(rule or 'the default' for rule in rules))}. Remedy: name scenes "
            f"that none of "
            "them trains on: set `split` to test:test=SCENES."
        )
    rule = rules.pop()
    return f"test:{rule}" if rule else "test"


def trained_on_all_of(name: str, origin: Mapping[str, Any]) -> bool:
    """Whether weights of this origin were trained on all of the data set ``name``."""

    def has_no_test(part: Mapping[str, Any]) -> bool:
        scenes = part.get("scenes", {})
        scenes = scenes.get(name, scenes) if isinstance(scenes, dict) else {}
        return isinstance(scenes, dict) and not scenes.get("test", True)

    return any(has_no_test(part) for part in _parts(name, origin))


def _parts(name: str, origin: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in (origin, *origin.get("earlier", [])) if name in part.get("sources", [name])]


def _identity(origin: Mapping[str, Any]) -> tuple[Any, ...]:
    return origin.get("sha256", origin.get("data")), origin.get("split")


def _joined(origins: list[Mapping[str, Any]], key: str, joint: str) -> str:
    """The parts of all origins, each once; an earlier origin may already be a joined one."""
    return joint.join(dict.fromkeys(part for each in origins for part in str(each.get(key, "unknown")).split(joint)))

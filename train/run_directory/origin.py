"""What weights were trained on, now and before: its licence stays with them, and none of it counts as unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quietcam.errors import UsageError

__all__ = ["Origin", "inherited", "seen_whole", "unseen_side"]

Origin = dict[str, Any]
"""``data``, ``licence``, ``sources``, ``scenes`` (by side, or by source and side), ``split`` and ``sha256`` of what a
run trains on; ``earlier``: the same of what its weights were trained on before."""


def inherited(origin: Origin, before: Mapping[str, Any]) -> Origin:
    """``origin`` of weights that were trained on ``before`` until then; what is the same data is told once."""
    earlier = [{key: value for key, value in before.items() if key != "earlier"}, *before.get("earlier", [])]
    told = {_identity(origin)}
    kept = []
    for each in earlier:
        if each and _identity(each) not in told:
            told.add(_identity(each))
            kept.append(each)
    if not kept:
        return origin
    everything: list[Mapping[str, Any]] = [origin, *kept]
    joints = {"data": "; before that ", "licence": "; "}
    return origin | {key: _joined(everything, key, joint) for key, joint in joints.items()} | {"earlier": kept}


def unseen_side(name: str, origin: Mapping[str, Any], split: str) -> str:
    """The side of the data set ``name`` that weights of this origin never saw: all of a set that they were not trained
    on, else its test scenes. Weights that do not tell their sources may have seen any.

    Args:
        split: by which sides are told apart where the origin does not say.

    Raises:
        UsageError: they were trained on all of it, or by several splits.
    """
    parts = _parts(name, origin)
    if not parts:
        return "all"
    if seen_whole(name, origin):
        raise UsageError(
            f"A network is judged on what it never saw. Received: {name}, all of which it was trained on. "
            "Remedy: name other data; or --split all, to see how well it fits what it was trained on."
        )
    rules = {str(part.get("split", split)) for part in parts}
    if len(rules) > 1:
        raise UsageError(
            f"A network is judged on what it never saw. Received: {name}, which it was trained on by several splits: "
            f"{', '.join(sorted(rule or 'the default' for rule in rules))}. Remedy: name scenes that none of them "
            "trains on with --split test:test=SCENES."
        )
    rule = rules.pop()
    return f"test:{rule}" if rule else "test"


def seen_whole(name: str, origin: Mapping[str, Any]) -> bool:
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
    """Each part once: an earlier origin may be joined already."""
    return joint.join(dict.fromkeys(part for each in origins for part in str(each.get(key, "unknown")).split(joint)))

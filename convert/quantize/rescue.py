"""Tries remedies for an int8 model that loses too much, cheapest first, and measures each one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.quantize.loss import Judge, Loss
from convert.quantize.ranges import RangeRule
from convert.quantize.scheme import Prepared, Scheme
from quietcam.quality.gate import QualityGate
from quietcam.terminal.progress import Progress
from quietcam.tflite.activations import layer_name
from quietcam.tflite.twins import FOREIGN_QAT

__all__ = ["Rescue", "RescueStep", "advice", "qat_advice", "rescue"]

_RULES = (RangeRule(0.0), RangeRule(1e-5), RangeRule(5e-4), RangeRule(1e-3), RangeRule(None))
_LEAST_GAIN = 0.002  # dB; a remedy that gains less is not kept
_TRIED = 6  # how many tensors, those with the fewest levels first, are tried in float
_MOST_EXCLUDED = 3


@dataclass(frozen=True)
class RescueStep:
    """One remedy that was tried, the loss of int8 with it, and whether it was kept."""

    title: str
    loss: Loss
    kept: bool


@dataclass(frozen=True)
class Rescue:
    """The remedies that were tried, and the best result. ``holds`` is true if that is within the gate."""

    scheme: Scheme
    loss: Loss
    steps: tuple[RescueStep, ...]
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "scheme": str(self.scheme),
            "excluded": [layer_name(each) for each in self.scheme.excluded],
            "loss": self.loss.to_dict(),
            "holds": self.holds,
            "steps": [{"step": s.title, "kept": s.kept} | s.loss.to_dict() for s in self.steps],
        }


def rescue(
    prepared: Prepared,
    judge: Judge,
    *,
    gate: QualityGate,
    start: Scheme = Scheme(),
    may_mix: bool = True,
    progress: Progress | None = None,
) -> Rescue:
    """Try other ranges, equalized channels, uncorrected biases, more samples, and layers left in float, in that order.

    Each kind of step starts from the best scheme so far. The search ends after the first kind that satisfies the gate.
    Layers are left in float only if nothing else is enough, since the result is no longer a full int8 model.

    Args:
        gate: what int8 may lose.
        may_mix: leave layers in float as a last resort.
    """
    best, loss = start, judge.loss(start)
    steps = [RescueStep(f"the default: {start}", loss, True)]
    for kind in _kinds(prepared, may_mix):
        rounds = _MOST_EXCLUDED if kind is _excluding else 1
        for _ in range(rounds):
            if loss.holds(gate):
                return Rescue(best, loss, tuple(steps), True)
            tried = []
            for title, scheme in kind(prepared, best):
                tried.append((title, scheme, judge.loss(scheme)))
                if progress is not None:
                    progress.advance(note=title)
            if not tried:
                break
            winner = min(tried, key=lambda each: each[2].drop)
            is_better = winner[2].drop < loss.drop - _LEAST_GAIN
            steps += [RescueStep(title, each, is_better and scheme == winner[1]) for title, scheme, each in tried]
            if not is_better:
                break
            best, loss = winner[1:]
    return Rescue(best, loss, tuple(steps), loss.holds(gate))


def qat_advice(model: Path, *, is_ours: bool) -> str:
    """Advice for the run that contains ``model``, when no remedy after training is enough.

    Args:
        is_ours: `quietcam train` made it. Networks of other origin cannot be trained here.
    """
    if not is_ours:
        return FOREIGN_QAT
    run = str(model.parent) if model.name == "model.keras" else "RUN"
    return f"train with quantization: {shlex.join(['quietcam', 'train', run, '--qat', '--data', 'DIR'])}"


def advice(prepared: Prepared, trained: str, scheme: Scheme = Scheme()) -> str:
    """Advice for users when int8 loses too much and `rescue` was not given.

    Args:
        trained: the result of ``qat_advice``.
    """
    worst = [each for each, _ in prepared.collapsed(scheme)]
    named = f" (first suspect: {worst[0].layer})" if worst else ""
    return (
        "`rescue` tries other ranges, equalized channels, more samples and, last, single layers in float"
        f"{named}; a set closer to the camera's pictures (quietcam calibrate --count 512, quietcam capture) may also "
        f"help; one remedy always helps: {trained}"
    )


def _kinds(prepared: Prepared, may_mix: bool) -> list[Any]:
    kinds: list[Any] = [_ranging]
    kinds += [_equalizing] * prepared.can_equalize
    kinds += [_unbiased, _sampling]
    return kinds + [_excluding] * may_mix


def _ranging(prepared: Prepared, best: Scheme) -> Iterator[tuple[str, Scheme]]:
    del prepared
    for rule in _RULES:
        yield f"ranges: {rule}", replace(best, rule=rule)


def _equalizing(prepared: Prepared, best: Scheme) -> Iterator[tuple[str, Scheme]]:
    del prepared
    yield "channels equalized", replace(best, equalize=True)


def _unbiased(prepared: Prepared, best: Scheme) -> Iterator[tuple[str, Scheme]]:
    del prepared
    yield ("no bias correction" if best.bias else "bias correction"), replace(best, bias=not best.bias)


def _sampling(prepared: Prepared, best: Scheme) -> Iterator[tuple[str, Scheme]]:
    del prepared
    yield "more samples: every patch turned and mirrored", replace(best, turned=True)


def _excluding(prepared: Prepared, best: Scheme) -> Iterator[tuple[str, Scheme]]:
    """Leave tensors in float, those with the fewest levels first; not pixels, which have all levels."""
    left = [each for each, _ in prepared.by_levels(best) if each.name not in best.excluded]
    for each in left[:_TRIED]:
        yield f"{each.layer} and what reads it in float", replace(best, excluded=(*best.excluded, each.name))

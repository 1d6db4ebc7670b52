"""From what was measured on a clip to its scores, and from clips to a row."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from compare.clips.measure.ghosts import GhostSums
from compare.clips.measure.meter import ClipMeter
from compare.clips.scores import ClipScores, Gain

__all__ = ["mean_scores", "score_clip"]

_EARLY, _LATE = slice(20, 70), slice(250, 300)
_AFTER_CUT = 4
_DECIMALS = 6


def score_clip(
    meter: ClipMeter,
    name: str,
    *,
    noisy: str,
    baseline: str | None = None,
    partner: str | None = None,
    reference: str | None = None,
    setting: str | None = None,
) -> ClipScores:
    """The scores of one contender on the clip of ``meter``.

    Args:
        noisy, baseline, partner, reference: the names of the noisy frames, the still model, the same network without
            history, and the float twin.
    """
    trace, start = meter.traces[name], meter.burn_in
    ghosts = meter.ghosts.get(name)
    psnr = _mean(trace.psnr[start:])
    twin = None if reference is None else _mean(meter.traces[reference].psnr[start:])
    return ClipScores(
        psnr_by_frame=[round(each, _DECIMALS) for each in trace.psnr],
        ssim_by_frame=[round(each, _DECIMALS) for each in trace.ssim],
        psnr=_round(psnr),
        ssim=_round(_mean(trace.ssim[start:])),
        first=_round(trace.psnr[0]),
        still=_maybe(trace.still.psnr),
        moving=_maybe(trace.moving.psnr),
        flicker=_maybe(meter.flicker.result(name)),
        gain=_round(psnr - _mean(meter.traces[noisy].psnr[start:])),
        drop=None if twin is None else _round(twin - psnr),
        baseline=_gain(meter, name, baseline) if baseline not in (None, name) else None,
        history=_gain(meter, name, partner),
        ghost=ghosts.result() if ghosts else None,
        drift=_drift(trace.psnr),
        setting=setting,
    )


def mean_scores(clips: Sequence[ClipScores], ghosts: Iterable[GhostSums]) -> dict[str, Any]:
    """The fields of a row: means over its clips. ``ghosts`` are the sums of each clip."""
    total = GhostSums()
    for each in ghosts:
        total.merge(each)

    def over(field: str) -> float | None:
        return _mean_of(getattr(clip, field) for clip in clips)

    fields = ("psnr", "ssim", "first", "still", "moving", "flicker", "gain", "drop", "drift")
    return {field: over(field) for field in fields} | {
        "baseline": _mean_gain([clip.baseline for clip in clips if clip.baseline]),
        "history": _mean_gain([clip.history for clip in clips if clip.history]),
        "ghost": total.result(),
    }


def _gain(meter: ClipMeter, name: str, other: str | None) -> Gain | None:
    if other is None:
        return None
    ours, theirs = meter.traces[name], meter.traces[other]
    by_frame = [one - another for one, another in zip(ours.psnr, theirs.psnr, strict=True)]
    calm, restless = meter.flicker.result(name), meter.flicker.result(other)
    return Gain(
        over=other,
        psnr=_round(_mean(by_frame[meter.burn_in :])),
        still=_difference(ours.still.psnr, theirs.still.psnr),
        moving=_difference(ours.moving.psnr, theirs.moving.psnr),
        first=_round(by_frame[0]),
        flicker=None if calm is None or not restless else _round(calm / restless),
        recovery=_recovery(by_frame, meter.cuts),
        drift=_drift(by_frame),
    )


def _mean_gain(gains: Sequence[Gain]) -> Gain | None:
    if not gains:
        return None

    def over(pick: Callable[[Gain], float | None]) -> float | None:
        return _mean_of(pick(gain) for gain in gains)

    after = [gain.recovery for gain in gains if gain.recovery is not None]
    return Gain(
        over=gains[0].over,
        psnr=over(lambda gain: gain.psnr) or 0.0,
        still=over(lambda gain: gain.still),
        moving=over(lambda gain: gain.moving),
        first=over(lambda gain: gain.first) or 0.0,
        flicker=over(lambda gain: gain.flicker),
        recovery=[_mean_of(each) for each in zip(*after, strict=True)] if after else None,
        drift=over(lambda gain: gain.drift),
    )


def _recovery(by_frame: Sequence[float], cuts: Sequence[int]) -> list[float | None] | None:
    """The gain in each of the frames after a cut, as long as no other cut follows; the mean over the cuts."""
    if not cuts:
        return None
    ends = [*cuts[1:], len(by_frame)]
    return [
        _mean_of(by_frame[cut + after] for cut, end in zip(cuts, ends, strict=True) if cut + after < end)
        for after in range(_AFTER_CUT)
    ]


def _drift(by_frame: Sequence[float]) -> float | None:
    return None if len(by_frame) < _LATE.stop else _round(_mean(by_frame[_LATE]) - _mean(by_frame[_EARLY]))


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def _mean_of(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return _round(statistics.fmean(there)) if there else None


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else _round(one - other)


def _maybe(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _round(value: float) -> float:
    return round(value, _DECIMALS)

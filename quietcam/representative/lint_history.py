"""The linter of histories: finds what a network cannot have remembered. ``rules`` says what each mistake costs.

A network remembers a mean of earlier noisy frames. So its history shows what the patch shows, but for what moved; has
noise, but less than the patch; and is another picture than the patch, but for first frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.estimation import estimate_blind
from quietcam.finding import Severity
from quietcam.image import Image, to_gray
from quietcam.representative.array_pixels import as_pixels
from quietcam.representative.rules import RULES, LintFinding

__all__ = ["lint_history", "neighbor_correlation"]

_LOOKED_AT = 128  # samples with a past that are measured, evenly spread
_FIRST = 0.9  # share of samples whose history is the patch itself; quietcam's own sets have up to a third
_UNLIKE_NEIGHBORS = 0.15  # correlation of neighboring pixels; pictures have 0.8 and more
_UNLIKE = 0.6  # median correlation of patch and history. Honest sets have 0.86 and more, other scenes mostly under 0.3
_FREE = 0.4  # upper quartile of the noise of history over that of its patch. Honest sets have 0.70 and more
_NOISY = 3.0  # of 255: patches with less noise do not tell whether their history has some
_CELL = 16  # pixels whose mean has no noise, and hardly changes when things move a little


def lint_history(
    patches: Image, history: NDArray[Any], stored: np.dtype[Any], origin: Mapping[str, Any]
) -> list[LintFinding]:
    """Find what is wrong with the history of patches.

    Args:
        patches: uint8 ``(N, H, W, C)``.
        history: as it is stored, of any type and layout.
        stored: type of the patches, as they are stored.
        origin: of the set: a network that remembers what it shows gives history without noise.
    """
    form = f"{history.dtype} {history.shape}, and patches of {stored} {patches.shape}"
    try:
        remembered, doubts = as_pixels(history)
    except DataError:
        return [_finding("history-form", form)]
    if history.dtype != stored or remembered.shape != patches.shape:
        return [_finding("history-form", form)]
    if wrong := [f"{name}: {received}" for name, received in doubts if name != "dtype"]:
        return [_finding("history-form", "; ".join(wrong))]
    later = [
        i for i, (patch, past) in enumerate(zip(patches, remembered, strict=True)) if not np.array_equal(patch, past)
    ]
    if len(patches) - len(later) >= _FIRST * len(patches):
        return [_finding("history-none", f"{len(patches) - len(later)} of {len(patches)} are the patch itself")]
    some = [later[i] for i in np.linspace(0, len(later) - 1, min(len(later), _LOOKED_AT)).round().astype(int)]
    return _of_content(patches[some], remembered[some], origin)


def _of_content(patches: Image, history: Image, origin: Mapping[str, Any]) -> list[LintFinding]:
    correlation = neighbor_correlation(history.astype(np.float32))
    if correlation < _UNLIKE_NEIGHBORS:
        return [_finding("history-random", f"a correlation of {correlation:.2f} between neighboring pixels")]
    like = float(np.median([_correlation(*pair) for pair in zip(patches, history, strict=True)]))
    if like < _UNLIKE:
        if np.median(np.ptp(history.reshape(len(history), -1), axis=1)) == 0:
            return [_finding("history-other", "most of one value everywhere", "warning")]
        return [_finding("history-other", f"a correlation of {like:.2f} between patch and history")]
    told = origin.get("history")
    if (isinstance(told, Mapping) and told.get("remembers") == "denoised") or min(patches.shape[1:3]) < 8:
        return []
    noise = [(estimate_blind(patch).sigma, past) for patch, past in zip(patches, history, strict=True)]
    left = [estimate_blind(past).sigma / sigma for sigma, past in noise if sigma >= _NOISY]
    if left and (share := float(np.quantile(left, 0.75))) < _FREE:
        return [_finding("history-clean", f"noise of at most {share:.0%} of that of the patch, in three of four")]
    return []


def neighbor_correlation(values: NDArray[np.float32]) -> float:
    """Correlation of horizontally neighboring values within patches, all patches together; 1 if nothing varies."""
    if values.shape[2] < 2:
        return 1.0
    centered = values - values.mean(axis=(1, 2), keepdims=True)
    power = float((centered**2).mean())
    return float((centered[:, :, 1:] * centered[:, :, :-1]).mean()) / power if power > 1.0 else 1.0


def _correlation(patch: Image, history: Image) -> float:
    """Of the means of cells; 1 where the two hardly vary and have the same mean."""
    one, other = _cells(patch), _cells(history)
    gap = abs(float(one.mean() - other.mean()))
    one, other = one - one.mean(), other - other.mean()
    power = float(np.sqrt((one * one).mean() * (other * other).mean()))
    if power < 4.0:  # plain on both sides
        return 1.0 if gap < 16.0 else 0.0
    return float((one * other).mean()) / power


def _cells(patch: Image) -> NDArray[np.float32]:
    cell = min(_CELL, *patch.shape[:2])
    height, width = (side // cell for side in patch.shape[:2])
    gray = to_gray(patch)[: height * cell, : width * cell, 0].astype(np.float32)
    means: NDArray[np.float32] = gray.reshape(height, cell, width, cell).mean(axis=(1, 3))
    return means


def _finding(name: str, received: str, severity: Severity | None = None) -> LintFinding:
    return LintFinding(name, received, severity or RULES[name].severity)

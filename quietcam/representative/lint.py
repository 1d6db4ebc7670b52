"""The linter of representative sets: finds the rules that a set breaks. ``rules`` says what each mistake costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.estimation import estimate_blind
from quietcam.finding import SEVERITIES, Severity
from quietcam.image import Image
from quietcam.representative.array_file import read_array
from quietcam.representative.array_pixels import as_pixels
from quietcam.representative.lint_history import lint_history, neighbor_correlation
from quietcam.representative.rules import BRIGHT, DARK, FEW, RULES, STRIDE, TINY, LintFinding
from quietcam.representative.set import RepresentativeSet, load_set, patch_sha256

__all__ = ["lint"]

_LOOKED_AT = 512  # patches that the slower checks use, evenly spread
_NEAR_ENDS = (16, 235)  # the range of video levels
_REPEATED, _ALIKE = 0.1, 0.5  # shares of patches
_QUIET = 1.4  # of 255; a quarter of the patches below it. Noisy sets have 4 and more there, clean ones 0.4 to 1.3
_COLD = 1.08  # blue over red; in all sets of real pictures that were measured, red is stronger
_COLD_SHARE = 0.75
_UNLIKE_NEIGHBORS = 0.15  # correlation of neighboring pixels; pictures have 0.8 and more


def lint(
    representative: RepresentativeSet | NDArray[Any] | str | Path,
    *,
    history: NDArray[Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    video: bool = False,
    channels: int | None = None,
    receptive_field: int | None = None,
) -> list[LintFinding]:
    """Find what is wrong with a representative set.

    Args:
        representative: a set, the ``.npz`` or ``.npy`` file of one, or bare patches of any numeric dtype:
            ``(N, H, W, C)``, ``(N, H, W)``, or ``(N, C, H, W)``, which is a finding itself.
        history: history of bare patches, in the same form. Defaults to that of the set.
        origin: origin of bare patches, as ``RepresentativeSet.origin``. Defaults to that of the set.
        video: whether the model is a video network. It needs a set with history.
        channels: how many channels the model takes. Defaults to any number.
        receptive_field: width of the model's receptive field in pixels. Defaults to any width.

    Returns:
        Findings, worst first, at most one of each rule; an empty list if no rule is broken.

    Raises:
        UsageError: there is no such file.
        DataError: the array cannot be pictures at all, or the file is damaged.

    Example:
        >>> import numpy as np
        >>> import quietcam
        >>> from quietcam.data.generated import make_generated_pair
        >>> dark = np.stack([make_generated_pair(number, size=64)[0] // 8 for number in range(16)])
        >>> [(finding.severity, finding.name) for finding in quietcam.lint(dark)]
        [('error', 'dark')]
    """
    if isinstance(representative, str | Path):
        file = read_array(Path(representative))
        if file.is_set:
            load_set(Path(representative))  # refuses patches that do not have the SHA-256 that stands beside them
        representative, origin = file.array, file.origin if origin is None else origin
        history = file.history if history is None else history
    if isinstance(representative, RepresentativeSet):
        array: NDArray[Any] = representative.patches
        origin = representative.origin if origin is None else origin
        history = representative.history if history is None else history
    else:
        array = representative
    pixels, doubts = as_pixels(array)
    found = [_finding(name, received) for name, received in doubts]
    if channels is not None and pixels.shape[3] != channels:
        found.append(_finding("channels", f"{pixels.shape[3]}, but the model has {channels}"))
    found += _of_size(pixels, receptive_field)
    found += _of_values(pixels)
    names = {each.name for each in found}
    if "constant" not in names:
        found += _of_content(pixels, noise="dark" not in names, colors=not doubts) + _of_repetition(pixels)
    if history is not None:
        found += lint_history(pixels, history, array.dtype, origin or {})
    elif video:
        found.append(_finding("history-missing", f"{len(pixels)} patches without history"))
    found += _of_capture(origin or {})
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def _finding(name: str, received: str, severity: Severity | None = None) -> LintFinding:
    return LintFinding(name, received, severity or RULES[name].severity)


def _of_size(pixels: Image, receptive_field: int | None) -> list[LintFinding]:
    height, width = pixels.shape[1:3]
    least = min(height, width)
    if least < TINY:
        return [_finding("size", f"{width}x{height}")]
    if receptive_field is not None and least < receptive_field:
        received = f"{width}x{height}, but the network's field of view is {receptive_field} pixels wide"
        return [_finding("size", received, "note")]
    if height % STRIDE or width % STRIDE:
        return [_finding("size", f"{width}x{height}, whose part beyond a multiple of {STRIDE} is cut off", "note")]
    return []


def _of_values(pixels: Image) -> list[LintFinding]:
    share = np.cumsum(np.bincount(pixels.reshape(-1), minlength=256)) / pixels.size
    present = np.flatnonzero(np.diff(share, prepend=0.0))
    low, high = int(present[0]), int(present[-1])
    spans = np.ptp(pixels.reshape(len(pixels), -1), axis=1)
    blank = int((spans == 0).sum())
    if 2 * blank > len(pixels):
        return [_finding("constant", f"{blank} of {len(pixels)} patches have the same value everywhere")]
    first, last = (int(np.searchsorted(share, at)) for at in (0.005, 0.995))
    if last < DARK:
        return [_finding("dark", f"99.5 % of the pixels are at most {last} of 255")]
    if first >= BRIGHT:
        return [_finding("bright", f"99.5 % of the pixels are at least {first} of 255")]
    if low > 0 or high < 255:
        mild = low <= _NEAR_ENDS[0] and high >= _NEAR_ENDS[1]
        return [_finding("ends", f"{low} to {high}", "note" if mild else None)]
    return []


def _of_content(pixels: Image, noise: bool, colors: bool) -> list[LintFinding]:
    """``noise`` and ``colors`` say whether light and value range allow to judge noise and colors."""
    some = _some(pixels)
    values = some.astype(np.float32)
    correlation = neighbor_correlation(values)
    if correlation < _UNLIKE_NEIGHBORS:
        return [_finding("random", f"a correlation of {correlation:.2f} between neighboring pixels")]
    found = []
    if noise and min(pixels.shape[1:3]) >= 8:
        quiet = float(np.quantile([estimate_blind(patch).sigma for patch in some], 0.25))
        if quiet < _QUIET:
            found.append(_finding("clean", f"a quarter of the patches have noise under {quiet:.1f} of 255"))
    if colors and pixels.shape[3] == 3:
        red, _, blue = values.mean(axis=(1, 2), dtype=np.float64).T
        cold = float((blue > red).mean())
        if blue.mean() > _COLD * red.mean() and cold >= _COLD_SHARE:
            received = f"more blue than red in {cold:.0%} of the patches (mean {blue.mean():.0f} and {red.mean():.0f})"
            found.append(_finding("channel-order", received))
    return found


def _of_repetition(pixels: Image) -> list[LintFinding]:
    different = len({patch_sha256(patch) for patch in pixels})
    found = [] if different >= FEW else [_finding("few", f"{different} of {len(pixels)}")]
    repeated = len(pixels) - different
    if repeated:
        received = f"{repeated} of {len(pixels)} patches are copies of others"
        return [*found, _finding("repeated", received, None if repeated > _REPEATED * len(pixels) else "note")]
    alike = _alike(_some(pixels))
    if alike > _ALIKE:
        found.append(_finding("repeated", f"{alike:.0%} of the patches show the same as others, with other noise"))
    return found


def _alike(pixels: Image) -> float:
    """The share of patches that show the same as an earlier one: judged by thumbnails of 8x8, which have no noise."""
    count, height, width, _ = pixels.shape
    rows, columns = height // 8, width // 8
    if not rows or not columns:
        return 0.0
    blocks = pixels[:, : 8 * rows, : 8 * columns].reshape(count, 8, rows, 8, columns, -1)
    thumbs = blocks.mean(axis=(2, 4, 5)).reshape(count, 64)
    means = thumbs.mean(axis=1)
    thumbs -= means[:, np.newaxis]
    deviation = thumbs.std(axis=1)
    shown = deviation > 4.0  # patches that hardly vary all look alike
    thumbs[shown] /= deviation[shown, np.newaxis]
    correlation = thumbs @ thumbs.T / 64.0
    same = (correlation > 0.98) & (np.abs(means[:, np.newaxis] - means) < 4.0) & shown[:, np.newaxis] & shown
    return float(np.tril(same, -1).any(axis=1).mean())


def _of_capture(origin: Mapping[str, Any]) -> list[LintFinding]:
    capture = origin.get("capture")
    if not isinstance(capture, Mapping) or capture.get("isp_denoise") is False:
        return []
    if capture.get("isp_denoise") is True:
        return [_finding("isp-denoise", "frames that were captured with it on")]
    return [_finding("isp-denoise", f"{capture.get('source', 'a source')}, which does not report it", "note")]


def _some(pixels: Image) -> Image:
    if len(pixels) <= _LOOKED_AT:
        return pixels
    chosen: Image = pixels[np.linspace(0, len(pixels) - 1, _LOOKED_AT).round().astype(int)]
    return chosen

"""The linter of representative sets: what is wrong with one, and what that will do to the model.

Every mistake here is silent in the converter. What each costs was measured by really converting with it
(``benchmarks/network/representative_mistakes.py``, ``docs/how-to/calibrate.md``). Those that cost next to nothing
are notes. The figures below are of the demo network, beyond what a right set loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quietcam.estimation import estimate_blind
from quietcam.image import Image
from quietcam.representative.array_pixels import as_pixels
from quietcam.representative.set import RepresentativeSet, patch_sha256

__all__ = ["RULES", "SEVERITIES", "Finding", "Rule", "Severity", "lint"]

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. error: the model will be ruined. warning: it may lose quality. note: next to harmless."""

_FEW = 16
_LOOKED_AT = 512  # patches that the costlier checks see, evenly spread
_DARK, _BRIGHT = 64, 192  # all but one pixel in 200 lie on that side
_NEAR_ENDS = (16, 235)  # as far as video levels keep away from the ends
_REPEATED, _ALIKE = 0.1, 0.5  # shares of patches
_QUIET = 1.4  # of 255; a quarter of the patches below it. Noisy sets have 4 and more there, clean ones 0.4 to 1.3
_TINY, _STRIDE = 64, 32
_COLD = 1.08  # blue over red; of the sets of real pictures that were looked at, none had blue over red
_COLD_SHARE = 0.75
_UNLIKE_NEIGHBOURS = 0.15  # correlation of neighbouring pixels; pictures have 0.8 and more


@dataclass(frozen=True)
class Rule:
    """What holds for a good set, what a model suffers where it does not, and what to do."""

    severity: Severity
    rule: str
    effect: str
    remedy: str


_CALIBRATE = "write the set with `quietcam calibrate`"

RULES: dict[str, Rule] = {
    "few": Rule(
        "warning",
        f"A representative set should hold at least {_FEW} different patches.",
        "The int8 ranges rest on few pictures; brighter or noisier ones will be clipped: up to 3.5 dB lost "
        "with one frame.",
        "quietcam calibrate --count 256",
    ),
    "constant": Rule(
        "error",
        "A representative set should hold pictures.",
        "The int8 ranges would be those of blank frames, and every picture is clipped to almost nothing: 8 "
        "to 25 dB lost.",
        f"{_CALIBRATE} from noisy pictures",
    ),
    "repeated": Rule(
        "warning",
        "Each patch should show something else.",
        "Repeated patches count as one: the set is smaller than it looks, and what it lacks will be clipped.",
        "capture while the scene changes, with more seconds between two frames, or give more pictures",
    ),
    "dark": Rule(
        "error",
        f"Pixels should reach beyond {_DARK} of 255.",
        "The int8 ranges inside the network are those of the dark: brighter frames will be clipped: 7 to 22 dB lost.",
        "add pictures of the camera by day",
    ),
    "bright": Rule(
        "warning",
        f"Pixels should reach below {_BRIGHT} of 255.",
        "The int8 ranges inside the network are those of bright frames: detail in dark ones will be clipped: "
        "up to 4 dB lost.",
        "add pictures of the camera by night",
    ),
    "ends": Rule(
        "warning",
        "Pixels should reach from 0 to 255.",
        "The input's range is mended by planting both ends, the ranges inside the network are not: frames beyond "
        "these values will be clipped: up to 2 dB lost between 40 and 200.",
        "add pictures with deep shadows and with blown highlights",
    ),
    "range-255": Rule(
        "error",
        "Floats should be pixels divided by 255, in [0, 1].",
        "The converter calibrates for values 255 times too large: all of a picture falls into one or two codes of the "
        "input, and what comes out is a flat frame: 19 to 22 dB lost, 1 where the input is held.",
        f"divide by 255, or {_CALIBRATE}",
    ),
    "bit-depth": Rule(
        "error",
        "Pixels should have 8 bits, 0 to 255.",
        "The converter calibrates for values that are hundreds of times too large: as with floats of 0 to 255, what "
        "comes out is a flat frame.",
        f"divide values of 16 bits by 257 (of 12 bits by 16, of 10 bits by 4) and make them uint8, or {_CALIBRATE} "
        "from pictures of 8 bits (magick IN -depth 8 OUT)",
    ),
    "range-signed": Rule(
        "warning",
        "Floats should be pixels divided by 255, in [0, 1].",
        "The input gets another scale and zero point than 1/255 and -128, so a frame no longer becomes a tensor by "
        "flipping a bit, and half of its codes stand for values that no frame has: 0.3 to 1 dB lost.",
        f"scale to [0, 1], or {_CALIBRATE}",
    ),
    "not-finite": Rule(
        "error",
        "Every value should be a number.",
        "One NaN or infinity makes the range of every tensor behind it meaningless.",
        f"find out where it came from, or {_CALIBRATE}",
    ),
    "dtype": Rule(
        "note",
        "A representative set of quietcam holds uint8 pixels, 0 to 255.",
        "The values are right, but `quietcam convert` takes uint8 alone.",
        _CALIBRATE,
    ),
    "clean": Rule(
        "warning",
        "Patches should be as noisy as the camera.",
        "A network that estimates noise finds none in clean pictures, and what it finds in a camera's will "
        "be clipped: 1 to 3 dB lost where ranges have their tails cut, else none.",
        "calibrate on the noisy side, or on frames that `quietcam capture` saved",
    ),
    "random": Rule(
        "note",
        "Patches should be pictures.",
        "Measured as next to harmless, but the ranges are those of no camera: finer steps would do for pictures.",
        f"{_CALIBRATE} from noisy pictures",
    ),
    "channel-order": Rule(
        "note",
        "Colours should stand in the order red, green, blue.",
        "Measured as harmless for the ranges; but whoever swaps red and blue here, as OpenCV reads files, may do so "
        "before the model, too.",
        "swap them (patches[..., ::-1]); if the camera truly sees so much blue, leave it",
    ),
    "layout": Rule(
        "warning",
        "The channels should be the last axis.",
        "A converter refuses it, or reads colours as rows.",
        "np.moveaxis(patches, 1, -1)",
    ),
    "size": Rule(
        "warning",
        f"A patch should be at least {_TINY} pixels a side, better as wide as the network sees, in multiples of "
        f"{_STRIDE}.",
        "Near a border the network sees padding: the smaller the patch, the more the ranges are those of borders.",
        "quietcam calibrate --size 256, where the pictures are that large",
    ),
    "channels": Rule(
        "error",
        "A set should have the model's channels.",
        "`quietcam convert` refuses it.",
        "calibrate in gray for a model of one channel, and in color for one of three",
    ),
    "isp-denoise": Rule(
        "warning",
        "Frames should come with the camera's own denoiser off.",
        "Ranges, like the network, are for noise as the sensor makes it; a denoiser that runs before leaves smears.",
        "turn it off (for example: rpicam-vid --denoise off), and capture again",
    ),
}
"""By the stable name of a finding."""


@dataclass(frozen=True)
class Finding:
    """Something about a set that a model will suffer from.

    Attributes:
        name: a key of ``RULES``.
        severity: one of ``SEVERITIES``; as in the rule, or milder.
        received: what was found instead of what the rule wants.
    """

    name: str
    received: str
    severity: Severity

    @property
    def rule(self) -> str:
        """What holds for a good set."""
        return RULES[self.name].rule

    @property
    def effect(self) -> str:
        """What it will do to the model."""
        return RULES[self.name].effect

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return RULES[self.name].remedy

    def __str__(self) -> str:
        return f"{self.rule} Received: {self.received}. {self.effect} Remedy: {self.remedy}."

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {key: str(getattr(self, key)) for key in ("name", "severity", "rule", "received", "effect", "remedy")}


def lint(
    representative: RepresentativeSet | NDArray[Any],
    *,
    origin: Mapping[str, Any] | None = None,
    channels: int | None = None,
    receptive_field: int | None = None,
) -> list[Finding]:
    """What is doubtful about a representative set; nothing where it looks like a camera's.

    Args:
        representative: a set, or bare patches: ``(N, H, W, C)``, ``(N, H, W)`` or, which is a finding of its own,
            ``(N, C, H, W)``, of any kind of number.
        origin: of bare patches, as a set has it.
        channels: the model's.
        receptive_field: the model's, in pixels.

    Returns:
        Findings, worst first, at most one of each name.

    Raises:
        DataError: the array cannot be pictures at all.
    """
    if isinstance(representative, RepresentativeSet):
        array: NDArray[Any] = representative.patches
        origin = representative.origin if origin is None else origin
    else:
        array = representative
    pixels, doubts = as_pixels(array)
    found = [_finding(name, received) for name, received in doubts]
    if channels is not None and pixels.shape[3] != channels:
        found.append(_finding("channels", f"{pixels.shape[3]}, where the model has {channels}"))
    found += _of_size(pixels, receptive_field)
    found += _of_values(pixels)
    names = {each.name for each in found}
    if "constant" not in names:
        found += _of_content(pixels, noise="dark" not in names, colours=not doubts) + _of_repetition(pixels)
    found += _of_capture(origin or {})
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def _finding(name: str, received: str, severity: Severity | None = None) -> Finding:
    return Finding(name, received, severity or RULES[name].severity)


def _of_size(pixels: Image, receptive_field: int | None) -> list[Finding]:
    height, width = pixels.shape[1:3]
    least = min(height, width)
    if least < _TINY:
        return [_finding("size", f"{width}x{height}")]
    if receptive_field is not None and least < receptive_field:
        received = f"{width}x{height}, where the network looks {receptive_field} pixels wide"
        return [_finding("size", received, "note")]
    if height % _STRIDE or width % _STRIDE:
        return [_finding("size", f"{width}x{height}, of which all beyond multiples of {_STRIDE} is cut away", "note")]
    return []


def _of_values(pixels: Image) -> list[Finding]:
    share = np.cumsum(np.bincount(pixels.reshape(-1), minlength=256)) / pixels.size
    present = np.flatnonzero(np.diff(share, prepend=0.0))
    low, high = int(present[0]), int(present[-1])
    spans = np.ptp(pixels.reshape(len(pixels), -1), axis=1)
    blank = int((spans == 0).sum())
    if 2 * blank > len(pixels):
        return [_finding("constant", f"{blank} of {len(pixels)} patches have one value all over")]
    first, last = (int(np.searchsorted(share, at)) for at in (0.005, 0.995))
    if last < _DARK:
        return [_finding("dark", f"99.5 % of the pixels are at most {last} of 255")]
    if first >= _BRIGHT:
        return [_finding("bright", f"99.5 % of the pixels are at least {first} of 255")]
    if low > 0 or high < 255:
        mild = low <= _NEAR_ENDS[0] and high >= _NEAR_ENDS[1]
        return [_finding("ends", f"{low} to {high}", "note" if mild else None)]
    return []


def _of_content(pixels: Image, noise: bool, colours: bool) -> list[Finding]:
    """``noise`` and ``colours``: whether there is light enough, and whether values are as they were, to judge these."""
    some = _some(pixels)
    values = some.astype(np.float32)
    correlation = _neighbours(values)
    if correlation < _UNLIKE_NEIGHBOURS:
        return [_finding("random", f"neighbouring pixels that correlate by {correlation:.2f}")]
    found = []
    if noise and min(pixels.shape[1:3]) >= 8:
        quiet = float(np.quantile([estimate_blind(patch).sigma for patch in some], 0.25))
        if quiet < _QUIET:
            found.append(_finding("clean", f"a quarter of the patches with noise under {quiet:.1f} of 255"))
    if colours and pixels.shape[3] == 3:
        red, _, blue = values.mean(axis=(1, 2), dtype=np.float64).T
        cold = float((blue > red).mean())
        if blue.mean() > _COLD * red.mean() and cold >= _COLD_SHARE:
            received = f"more blue than red in {cold:.0%} of the patches (mean {blue.mean():.0f} and {red.mean():.0f})"
            found.append(_finding("channel-order", received))
    return found


def _neighbours(values: NDArray[np.float32]) -> float:
    """Correlation of horizontally neighbouring values within patches, all patches together; 1 where nothing varies."""
    if values.shape[2] < 2:
        return 1.0
    centred = values - values.mean(axis=(1, 2), keepdims=True)
    power = float((centred**2).mean())
    return float((centred[:, :, 1:] * centred[:, :, :-1]).mean()) / power if power > 1.0 else 1.0


def _of_repetition(pixels: Image) -> list[Finding]:
    different = len({patch_sha256(patch) for patch in pixels})
    found = [] if different >= _FEW else [_finding("few", f"{different} of {len(pixels)}")]
    repeated = len(pixels) - different
    if repeated:
        received = f"{repeated} of {len(pixels)} that are copies of others"
        return [*found, _finding("repeated", received, None if repeated > _REPEATED * len(pixels) else "note")]
    alike = _alike(_some(pixels))
    if alike > _ALIKE:
        found.append(_finding("repeated", f"{alike:.0%} that show what others show, under other noise"))
    return found


def _alike(pixels: Image) -> float:
    """The share of patches of which an earlier one shows the same: judged by thumbnails of 8x8, where noise is gone."""
    count, height, width, _ = pixels.shape
    rows, columns = height // 8, width // 8
    if not rows or not columns:
        return 0.0
    blocks = pixels[:, : 8 * rows, : 8 * columns].reshape(count, 8, rows, 8, columns, -1)
    thumbs = blocks.mean(axis=(2, 4, 5)).reshape(count, 64)
    means = thumbs.mean(axis=1)
    thumbs -= means[:, np.newaxis]
    deviation = thumbs.std(axis=1)
    shown = deviation > 4.0  # what hardly varies looks like anything else that hardly varies
    thumbs[shown] /= deviation[shown, np.newaxis]
    correlation = thumbs @ thumbs.T / 64.0
    same = (correlation > 0.98) & (np.abs(means[:, np.newaxis] - means) < 4.0) & shown[:, np.newaxis] & shown
    return float(np.tril(same, -1).any(axis=1).mean())


def _of_capture(origin: Mapping[str, Any]) -> list[Finding]:
    capture = origin.get("capture")
    if not isinstance(capture, Mapping) or capture.get("isp_denoise") is False:
        return []
    if capture.get("isp_denoise") is True:
        return [_finding("isp-denoise", "frames captured with it on")]
    return [_finding("isp-denoise", f"{capture.get('source', 'a source')}, which does not tell", "note")]


def _some(pixels: Image) -> Image:
    if len(pixels) <= _LOOKED_AT:
        return pixels
    chosen: Image = pixels[np.linspace(0, len(pixels) - 1, _LOOKED_AT).round().astype(int)]
    return chosen

"""The rules of a good representative set, what breaking each one does to the model, and what to do about it.

The converter does not report these mistakes. The cost of each one was measured by converting with it
(``benchmarks/network/representative_mistakes.py``, ``docs/measurements/desktop.md``); a mistake that costs almost
nothing is a note. The figures are for the demo network: the PSNR that it loses beyond the loss with a correct set.
Those of history are for a video network of the size of ``small`` (``benchmarks/network/history_mistakes.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from quietcam.finding import Severity

__all__ = ["RULES", "LintFinding", "LintRule"]

FEW = 16
"""Least number of different patches in a set."""

DARK, BRIGHT = 64, 192
"""Pixel values. A set is dark where 99.5 % of its pixels lie below the first, bright where they lie above the other."""

TINY, STRIDE = 64, 32
"""Pixels. A side of a patch should be at least the first value, and a multiple of the second."""


@dataclass(frozen=True)
class LintRule:
    """What holds for a good set, what happens to the model if it does not hold, and what to do."""

    severity: Severity
    rule: str
    effect: str
    remedy: str


_CALIBRATE = "write the set with `quietcam calibrate`"
_REMEMBER = "make the history with the float network itself: quietcam calibrate --data CLIPS --model MODEL.tflite"

RULES: dict[str, LintRule] = {
    "few": LintRule(
        "warning",
        f"A representative set should hold at least {FEW} different patches.",
        "The int8 ranges are based on few pictures, so brighter or noisier ones will be clipped: up to 3.5 dB lost "
        "with one frame.",
        "quietcam calibrate --count 256",
    ),
    "constant": LintRule(
        "error",
        "A representative set should hold pictures.",
        "The int8 ranges fit blank frames, so every picture is clipped to almost nothing: 8 to 25 dB lost.",
        f"{_CALIBRATE} from noisy pictures",
    ),
    "repeated": LintRule(
        "warning",
        "Each patch should show something different.",
        "Copies add nothing: the set is smaller than it seems, and values that it lacks will be clipped.",
        "capture while the scene changes, with more seconds between frames, or use more pictures",
    ),
    "dark": LintRule(
        "error",
        f"Pixel values should reach above {DARK} of 255.",
        "The int8 ranges inside the network fit dark frames, so brighter ones will be clipped: 7 to 22 dB lost.",
        "add pictures that the camera took in daylight",
    ),
    "bright": LintRule(
        "warning",
        f"Pixel values should reach below {BRIGHT} of 255.",
        "The int8 ranges inside the network fit bright frames, so detail in dark ones will be clipped: "
        "up to 4 dB lost.",
        "add pictures that the camera took at night",
    ),
    "ends": LintRule(
        "warning",
        "Pixel values should reach from 0 to 255.",
        "The converter adds both ends to the input's range, but not to the ranges inside the network, so frames "
        "with values outside the set's will be clipped: up to 2 dB lost with a set from 40 to 200.",
        "add pictures with deep shadows and with blown highlights",
    ),
    "range-255": LintRule(
        "error",
        "Floats should be pixels divided by 255, in [0, 1].",
        "The converter calibrates for values that are 255 times too large. A whole picture then falls into one or two "
        "codes of the input, and the output is a flat frame: 19 to 22 dB lost, 1 dB where the input's range is fixed.",
        f"divide by 255, or {_CALIBRATE}",
    ),
    "bit-depth": LintRule(
        "error",
        "Pixels should have 8 bits, 0 to 255.",
        "The converter calibrates for values that are hundreds of times too large, and the output is a flat frame, as "
        "with floats of 0 to 255.",
        f"divide values of 16 bits by 257 (of 12 bits by 16, of 10 bits by 4) and make them uint8, or {_CALIBRATE} "
        "from pictures of 8 bits (magick IN -depth 8 OUT)",
    ),
    "range-signed": LintRule(
        "warning",
        "Floats should be pixels divided by 255, in [0, 1].",
        "The input's scale and zero point are not 1/255 and -128, so a frame does not become a tensor by flipping one "
        "bit, and half of the codes stand for values that no frame has: 0.3 to 1 dB lost.",
        f"scale to [0, 1], or {_CALIBRATE}",
    ),
    "not-finite": LintRule(
        "error",
        "Every value should be a number.",
        "One NaN or infinity makes the range of every later tensor meaningless.",
        f"find out where it comes from, or {_CALIBRATE}",
    ),
    "dtype": LintRule(
        "note",
        "A representative set of quietcam holds uint8 pixels, 0 to 255.",
        "The values are right, but `quietcam convert` takes only uint8.",
        _CALIBRATE,
    ),
    "clean": LintRule(
        "warning",
        "Patches should be as noisy as the camera.",
        "A network that estimates noise finds none in clean pictures, so the noise of the camera will be clipped: "
        "1 to 3 dB lost if the tails of ranges are cut, otherwise none.",
        "calibrate with the noisy side, or with frames that `quietcam capture` saved",
    ),
    "random": LintRule(
        "note",
        "Patches should be pictures.",
        "Almost harmless when measured, but the ranges fit no camera: with pictures the int8 steps would be finer.",
        f"{_CALIBRATE} from noisy pictures",
    ),
    "channel-order": LintRule(
        "note",
        "The order of the channels should be red, green, blue.",
        "Harmless for the ranges when measured. But a program that swaps red and blue here, because OpenCV reads files "
        "in this order, may also swap them in frames for the model.",
        "swap them (patches[..., ::-1]); if the scenes really have that much blue, leave them",
    ),
    "layout": LintRule(
        "warning",
        "The channels should be the last axis.",
        "A converter refuses the set, or reads channels as rows.",
        "np.moveaxis(patches, 1, -1)",
    ),
    "size": LintRule(
        "warning",
        f"A side of a patch should be at least {TINY} pixels and a multiple of {STRIDE}, if possible as wide as the "
        "network's field of view.",
        "Near a border the network sees padding: the smaller the patch, the more its border affects the ranges.",
        "quietcam calibrate --size 256, if the pictures are that large",
    ),
    "channels": LintRule(
        "error",
        "A set should have as many channels as the model.",
        "`quietcam convert` refuses the set.",
        "calibrate in gray for a model of one channel, and in color for one of three",
    ),
    "isp-denoise": LintRule(
        "warning",
        "Frames should be captured with the camera's own denoiser off.",
        "The ranges and the network are made for the sensor's noise; the camera's denoiser smears it.",
        "turn it off (for example: rpicam-vid --denoise off), and capture again",
    ),
    "history-missing": LintRule(
        "error",
        "A set for a video network should hold the history of each patch.",
        "`quietcam convert` refuses the set.",
        _REMEMBER,
    ),
    "history-none": LintRule(
        "error",
        "Most patches should have a past: a history that differs from them.",
        "The int8 ranges of the fusion fit differences of zero, so what the network compares is clipped: 3 dB lost if "
        "the tails of ranges are cut, otherwise 0.4 dB.",
        _REMEMBER,
    ),
    "history-clean": LintRule(
        "warning",
        "History should be what the network remembered, with the noise that is left in it.",
        "The ranges fit fused frames with less noise than real ones, so noise is clipped: 0.6 dB lost if the tails of "
        "ranges are cut, otherwise 0.1 dB.",
        f"{_REMEMBER}; the clean side is no history",
    ),
    "history-other": LintRule(
        "note",
        "History should show what its patch shows.",
        "Almost harmless when measured, since every frame after a cut is like this; black history costs 0.6 dB if the "
        "tails of ranges are kept. But the samples say nothing about how the network remembers.",
        f"{_REMEMBER}; keep patch and history together when you sort or choose samples",
    ),
    "history-random": LintRule(
        "note",
        "History should show what its patch shows.",
        "Almost harmless when measured, but the ranges fit no memory: with real history the int8 steps would be finer.",
        _REMEMBER,
    ),
    "history-form": LintRule(
        "error",
        "History should have the shape and the type of the patches.",
        "`quietcam convert` refuses the set; another converter takes other values for the network's memory.",
        _REMEMBER,
    ),
}
"""The rules by name. A name never changes its meaning."""


@dataclass(frozen=True)
class LintFinding:
    """A rule that a set breaks.

    Attributes:
        name: a key of ``RULES``.
        severity: that of the rule, or a milder one. error: the model will be ruined. warning: it may lose quality.
            note: almost harmless.
        received: what was found in the set.
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
        """What happens to the model."""
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

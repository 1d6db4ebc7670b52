"""The self-test for swapped channels: turn up the sensor's red, and see which channel becomes brighter."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["Channels", "check_channels"]

_REDDISH, _BLUISH = (3.0, 1.0), (1.0, 3.0)  # gains of red and blue
_NEAR = 0.1  # of a gain, by which it counts as reached
_FRAMES = 12  # that a sensor has to follow; most need three to six
_LEAST = 3.0  # mean of a channel, steps of 255: below that it is too dark to tell
_FACTOR = 1.5  # by which the ratio must move, of 9 that a linear picture would; tone curves take much of that


class Channels(Enum):
    """What the test found."""

    RIGHT = "right"
    SWAPPED = "swapped"
    UNKNOWN = "unknown"


def check_channels(
    set_controls: Callable[[dict[str, Any]], object],
    look: Callable[[], tuple[dict[str, Any], tuple[float, float]]],
) -> Channels:
    """Whether the first channel of a camera's pictures is red. Afterwards automatic white balance is on again.

    Args:
        set_controls: sets libcamera's controls.
        look: takes the next frame; returns its metadata and the means of its first and third channel, 0 to 255.
    """
    before, _ = look()
    try:
        reddish = _see(_REDDISH, set_controls, look)
        bluish = _see(_BLUISH, set_controls, look)
        if "ColourGains" in before:  # so that the first frames have the colors that the balance had found
            _see(before["ColourGains"], set_controls, look)
    finally:
        set_controls({"AwbEnable": True})
    if reddish is None or bluish is None or max(*reddish, *bluish) < _LEAST or min(*reddish, *bluish) <= 0.0:
        return Channels.UNKNOWN
    moved = (reddish[0] / reddish[1]) / (bluish[0] / bluish[1])
    if moved > _FACTOR:
        return Channels.RIGHT
    return Channels.SWAPPED if moved < 1 / _FACTOR else Channels.UNKNOWN


def _see(
    gains: tuple[float, float],
    set_controls: Callable[[dict[str, Any]], object],
    look: Callable[[], tuple[dict[str, Any], tuple[float, float]]],
) -> tuple[float, float] | None:
    """The means of the channels once the sensor has these gains; None if it never does."""
    set_controls({"AwbEnable": False, "ColourGains": gains})
    for _ in range(_FRAMES):
        metadata, means = look()
        reached = metadata.get("ColourGains", (0.0, 0.0))
        if all(abs(a - b) < _NEAR for a, b in zip(reached, gains, strict=True)):
            return means
    return None

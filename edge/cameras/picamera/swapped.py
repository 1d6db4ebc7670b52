"""The self-test for swapped channels: raises the gain of red and checks which channel becomes brighter."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["Channels", "check_channels"]

_REDDISH, _BLUISH = (3.0, 1.0), (1.0, 3.0)  # gains of red and blue
_NEAR = 0.1  # largest difference at which a gain counts as reached
_FRAMES = 12  # frames in which a sensor must apply the gains; most need three to six
_LEAST = 3.0  # mean of a channel, 0 to 255, below which it is too dark for the test
_FACTOR = 1.5  # least change of the ratio; a linear picture would change it by 9, tone curves reduce that


class Channels(Enum):
    """The result of the test."""

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
        if "ColourGains" in before:  # so that the first frames have the colors that white balance had found
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
    """The means of the channels once the sensor has applied the gains; None if it never does."""
    set_controls({"AwbEnable": False, "ColourGains": gains})
    for _ in range(_FRAMES):
        metadata, means = look()
        reached = metadata.get("ColourGains", (0.0, 0.0))
        if all(abs(a - b) < _NEAR for a, b in zip(reached, gains, strict=True)):
            return means
    return None

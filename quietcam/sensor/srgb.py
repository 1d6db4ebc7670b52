"""The sRGB curve (IEC 61966-2-1), between linear light and shown values, both 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["to_light", "to_shown"]

Values = NDArray[np.floating[Any]]


def to_light(shown: Values) -> Values:
    """Linear light of shown values, of the same shape."""
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def to_shown(light: Values) -> Values:
    """Shown values of linear light, of the same shape: the inverse of ``to_light``."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)

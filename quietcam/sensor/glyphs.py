"""A 5x7 bitmap font, for text in generated scenes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GLYPHS", "word"]

# Seven rows of five pixels; each row is a number of two hexadecimal digits, with the highest bit on the left.
_ROWS = {
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "C": "0e11101010110e",
    "D": "1c12111111121c",
    "E": "1f10101e10101f",
    "F": "1f10101e101010",
    "G": "0e11101711110f",
    "H": "1111111f111111",
    "I": "0e04040404040e",
    "J": "0702020202120c",
    "K": "11121418141211",
    "L": "1010101010101f",
    "M": "111b1515111111",
    "N": "11191513111111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "V": "11111111110a04",
    "W": "11111115151b11",
    "X": "11110a040a1111",
    "Y": "11110a04040404",
    "Z": "1f01020408101f",
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    "%": "18190204081303",
    "#": "0a0a1f0a1f0a0a",
}

GLYPHS = "".join(_ROWS)


def word(letters: str) -> NDArray[np.float32]:
    """Draw ``letters``, all of ``GLYPHS``, on one line: float32 ``(7, 6 * n - 1)``; ink is 1, gaps are one pixel."""
    rows = np.array([[int(_ROWS[letter][2 * y : 2 * y + 2], 16) for letter in letters] for y in range(7)], np.uint8)
    bits = np.unpackbits(rows[..., np.newaxis], axis=2)[..., 3:]
    return np.pad(bits, ((0, 0), (0, 0), (0, 1))).reshape(7, -1)[:, :-1].astype(np.float32)

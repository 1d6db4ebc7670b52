"""Changes the noise of some patches of a batch: Gaussian noise, salt and pepper, no noise, or a coarser grain.

It teaches a network cases that no real pair in the data shows: dead pixels, transmission errors, clean pictures, which
must stay unchanged, and frames that a viewer or a digital zoom has enlarged.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from quietcam.errors import UsageError
from quietcam.extras import load_opencv
from quietcam.image import Image
from quietcam.sensor.noise import gaussian, salt_and_pepper

__all__ = ["ExtraNoise"]

_SIGMA = (3.0, 40.0)  # steps of 255
_SALT = (0.005, 0.1)
_ENLARGED = (1.3, 3.0)


@dataclass(frozen=True)
class ExtraNoise:
    """The shares of patches that get other noise than that of their pair.

    Args:
        gaussian: the clean side under white Gaussian noise of 3 to 40 steps of 255.
        salt_and_pepper: the noisy side, for half of them the clean one, with 0.5 to 10 % of its pixels black or white.
        none: the clean side unchanged, as both sides.
        enlarged: a part of the patch, 1.3 to 3 times as large on both sides.
    """

    gaussian: float = 0.0
    salt_and_pepper: float = 0.0
    none: float = 0.0
    enlarged: float = 0.0

    def __post_init__(self) -> None:
        shares = astuple(self)
        if not (all(0.0 <= share <= 1.0 for share in shares) and sum(shares) <= 1.0):
            raise UsageError(
                "The shares of gaussian, salt_and_pepper, none and enlarged must lie in [0, 1], and so must their sum. "
                f"Received: {', '.join(f'{share:g}' for share in shares)}."
            )

    def apply(self, batch: Image, rng: np.random.Generator) -> None:
        """Change patches of ``batch`` in place: uint8 ``(2, B, height, side, C)``, noisy before clean.

        A patch is square, or a sequence: square frames above each other, which all get noise of one kind.
        """
        if not any(astuple(self)):
            return
        noisy, clean = batch
        limits = np.cumsum(astuple(self))
        for index, draw in enumerate(rng.random((batch.shape[1],)).tolist()):
            if draw < limits[0]:
                noisy[index] = gaussian(clean[index], rng.uniform(*_SIGMA), rng)
            elif draw < limits[1]:
                # Half of it on top of the sensor's noise. A network that has learned to leave clean pictures alone
                # would give a residual of zero on them, and have no gradient to learn from.
                under = noisy if rng.random() < 0.5 else clean
                noisy[index] = salt_and_pepper(under[index], rng.uniform(*_SALT), rng)
            elif draw < limits[2]:
                noisy[index] = clean[index]
            elif draw < limits[3]:
                _enlarge(noisy[index], clean[index], rng)


def _enlarge(noisy: Image, clean: Image, rng: np.random.Generator) -> None:
    """Replace both sides in place by the same part of each, enlarged; of a sequence, the same part of each frame."""
    cv2 = load_opencv()
    side = noisy.shape[1]
    part = max(2, round(side / rng.uniform(*_ENLARGED)))
    top, left = rng.integers(0, side - part + 1, 2).tolist()
    kind = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    for patch in (noisy, clean):
        for first in range(0, len(patch), side):
            frame = patch[first : first + side]
            cut = np.ascontiguousarray(frame[top : top + part, left : left + part])
            frame[:] = np.asarray(cv2.resize(cut, (side, side), interpolation=kind), np.uint8).reshape(frame.shape)

"""Multi-frame non-local means, as OpenCV does it: patches are also looked for in the frames before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from quietcam.image import Image, swap_red_blue

__all__ = ["AHEAD", "denoise_over_frames"]

AHEAD = 1
"""Frames before and after the denoised one that take part. With 2, OpenCV takes twice as long for less than 0.5 dB
(measured)."""

_PATCH, _SEARCH = 7, 21  # pixels; OpenCV's defaults


def denoise_over_frames(frames: Iterator[Image], strength: float) -> Iterator[Image]:
    """Denoise a clip; ``strength`` is OpenCV's ``h``, for light and color alike.

    Buades, Coll and Morel, "Denoising image sequences does not require motion estimation" (2005). The first and the
    last frame have one neighbor, which takes the place of the other, too.

    Args:
        frames: uint8 ``(H, W, 3)`` RGB, all of one size.

    Yields:
        As many, of the same form.
    """
    import cv2

    near: deque[Image] = deque(maxlen=2 * AHEAD + 1)  # BGR

    def denoised() -> Image:
        found = cv2.fastNlMeansDenoisingColoredMulti(
            [*near], AHEAD, 2 * AHEAD + 1, None, strength, strength, _PATCH, _SEARCH
        )
        return swap_red_blue(np.asarray(found, np.uint8))

    for frame in frames:
        near.append(swap_red_blue(frame))
        if len(near) == 2:
            near.appendleft(near[1])
            yield denoised()
            near.popleft()
        elif len(near) == 3:
            yield denoised()
    if len(near) == 1:
        near.extend([near[0], near[0]])
        yield denoised()
    elif near:
        near.append(near[-2])
        yield denoised()

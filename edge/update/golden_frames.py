"""Golden frames run through a model: on the desktop to make what is expected, on the device to compare with it."""

from __future__ import annotations

import numpy as np

from edge.network.golden import check_golden_size
from edge.network.interpreter import Interpreter
from quietcam.image import Image

__all__ = ["denoise_frames"]


def denoise_frames(interpreter: Interpreter, noisy: Image) -> Image:
    """The network's output for frames in order: uint8 ``(frames, H, W, C)``, as ``noisy``.

    The first frame has no history. A video network takes what it gave to remember as the history of the next one.

    Raises:
        ModelError: the frames have other channels than the model, or are larger.
    """
    _, height, width, channels = noisy.shape
    check_golden_size(interpreter, (height, width, channels), "make the bundle again")
    denoised = np.empty_like(noisy)
    for number, frame in enumerate(noisy):
        if number and interpreter.model.remembers:
            interpreter.put_next(frame)
        else:
            interpreter.put(frame)
        interpreter.invoke()
        interpreter.get(denoised[number])
    return denoised

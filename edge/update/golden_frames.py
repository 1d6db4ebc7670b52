"""Golden frames run through a model: on the desktop to make what is expected, on the device to compare with it."""

from __future__ import annotations

import numpy as np

from edge.network.interpreter import Interpreter
from quietcam.errors import ModelError
from quietcam.image import Image

__all__ = ["denoise_frames"]


def denoise_frames(interpreter: Interpreter, noisy: Image) -> Image:
    """The network's output for frames in order: uint8 ``(frames, H, W, C)``, as ``noisy``.

    The first frame has no history. A video network takes what it gave to remember as the history of the next one.

    Raises:
        ModelError: the frames have other channels than the model, or are larger.
    """
    _, height, width, channels = noisy.shape
    most = interpreter.shape
    if height > most[0] or width > most[1] or channels != most[2]:
        raise ModelError(
            "Golden frames must not be larger than their model's frame. Received: "
            f"{interpreter.model.path}: {width}x{height}x{channels} for a model of {most[1]}x{most[0]}x{most[2]}. "
            "Remedy: make the bundle again."
        )
    denoised = np.empty_like(noisy)
    for number, frame in enumerate(noisy):
        if number and interpreter.model.remembers:
            interpreter.put_next(frame)
        else:
            interpreter.put(frame)
        interpreter.invoke()
        interpreter.get(denoised[number])
    return denoised

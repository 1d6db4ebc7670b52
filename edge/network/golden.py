"""The golden frame: a small noisy picture in a model's manifest, and what came out of it where the model was made.

On any other machine the same picture must give the same, up to what processors round differently. A hash of the output
would not do: x86-64 and arm64 differ in one value of sixty, by 2 of 255 as a rule and by 3 now and then. The pixels lie
there as they are, in base64: what packs them would put other bytes into the file with another version.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from edge.network.interpreter import Interpreter
from quietcam.errors import ModelError
from quietcam.image import Image
from quietcam.sensor.scenes import make_pair

__all__ = ["SIDE", "TOLERANCE", "check_golden", "make_golden"]

SIDE = 32
"""Pixels; the model sees it mirrored up to its own size."""

TOLERANCE = 8
"""Steps of 255 that a value may be off: kernels of another runtime or processor round otherwise, by up to 5 as seen."""

_SEED, _BAND = 1, (22.0, 24.0)  # a picture with edges, and more noise than a network can pass over


def make_golden(interpreter: Interpreter) -> dict[str, Any]:
    """What a manifest holds as ``golden``: ``noisy``, ``denoised``, their ``shape``, and the ``tolerance``."""
    height, width, channels = interpreter.shape
    noisy = make_pair(_SEED, SIDE, channels=channels, band=_BAND)[0][:height, :width]
    return {
        "shape": list(noisy.shape),
        "noisy": _text(noisy),
        "denoised": _text(_denoised(interpreter, noisy)),
        "tolerance": TOLERANCE,
    }


def check_golden(interpreter: Interpreter) -> tuple[int, int] | None:
    """How far the loaded model is off its golden frame here, at most, and how far it may be, both in steps of 255.

    None where its manifest has none.

    Raises:
        ModelError: the golden frame is not of this model's size.
    """
    golden = interpreter.model.manifest.golden if interpreter.model.manifest else None
    if golden is None:
        return None
    height, width, channels = golden["shape"]
    most = interpreter.shape
    if height > most[0] or width > most[1] or channels != most[2]:
        raise ModelError(
            "A golden frame is no larger than its model's frame. Received: "
            f"{interpreter.model.path}: {width}x{height}x{channels} for a model of {most[1]}x{most[0]}x{most[2]}. "
            "Remedy: convert the model again with `quietcam convert`."
        )
    noisy, expected = (
        np.frombuffer(base64.b64decode(golden[key]), np.uint8).reshape(height, width, channels)
        for key in ("noisy", "denoised")
    )
    difference = _denoised(interpreter, noisy).astype(np.int16) - expected
    return int(np.abs(difference).max()), int(golden["tolerance"])


def _denoised(interpreter: Interpreter, noisy: Image) -> Image:
    denoised = np.empty_like(noisy)
    interpreter.run(noisy, denoised)
    return denoised


def _text(picture: Image) -> str:
    return base64.b64encode(np.ascontiguousarray(picture).tobytes()).decode()

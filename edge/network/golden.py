"""The golden frame: a small noisy picture in a model's manifest, with the model's output on the machine that made it.

On any other machine the same picture must give the same output, except where processors round differently. A hash of
the output would not do: x86-64 and arm64 differ in one value of sixty, usually by 2 of 255 and sometimes by 3. The
pixels are stored uncompressed, in base64: another version of a compressor would write other bytes for the same model.

A video network sees the picture as a frame without a past. Then the fused frame, its second output, is the picture.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from edge.network.interpreter import Interpreter
from quietcam.errors import ModelError
from quietcam.image import Image
from quietcam.sensor.scenes import make_pair
from quietcam.tflite.quantization import int8_to_pixels

__all__ = ["SIDE", "TOLERANCE", "check_golden", "check_golden_size", "make_golden"]

SIDE = 32
"""Width and height in pixels. The model sees the picture mirrored up to its own size."""

TOLERANCE = 8
"""Steps of 255 by which a value may differ. Other runtimes and processors round differently, by up to 5 as measured."""

_SEED, _BAND = 1, (22.0, 24.0)  # a picture with edges, and with so much noise that every network changes it


def make_golden(interpreter: Interpreter) -> dict[str, Any]:
    """The entry ``golden`` of a manifest: ``noisy``, ``denoised``, their ``shape``, and the ``tolerance``."""
    height, width, channels = interpreter.shape
    noisy = make_pair(_SEED, SIDE, channels=channels, band=_BAND)[0][:height, :width]
    return {
        "shape": list(noisy.shape),
        "noisy": _text(noisy),
        "denoised": _text(_denoised(interpreter, noisy)),
        "tolerance": TOLERANCE,
    }


def check_golden_size(interpreter: Interpreter, shape: tuple[int, int, int], remedy: str) -> None:
    """Raise ModelError if golden frames of ``shape``, ``(H, W, C)``, do not fit into the loaded model."""
    height, width, channels = shape
    most = interpreter.shape
    if height > most[0] or width > most[1] or channels != most[2]:
        raise ModelError(
            "A golden frame must not be larger than its model's frame. Received: "
            f"{interpreter.model.path}: {width}x{height}x{channels} for a model of {most[1]}x{most[0]}x{most[2]}. "
            f"Remedy: {remedy}."
        )


def check_golden(interpreter: Interpreter) -> tuple[int, int] | None:
    """Run the golden frame of a loaded model.

    Returns:
        The largest difference from its expected output, and the largest that is allowed, both in steps of 255. For a
        video network, the fused frame counts, too. None where the manifest has no golden frame.

    Raises:
        ModelError: the golden frame does not fit into the model.
    """
    golden = interpreter.model.manifest.golden if interpreter.model.manifest else None
    if golden is None:
        return None
    height, width, channels = golden["shape"]
    check_golden_size(interpreter, (height, width, channels), "convert the model again with `quietcam convert`")
    noisy, expected = (
        np.frombuffer(base64.b64decode(golden[key]), np.uint8).reshape(height, width, channels)
        for key in ("noisy", "denoised")
    )
    worst = _difference(_denoised(interpreter, noisy), expected)
    if "history" in interpreter.model.outputs:
        worst = max(worst, _difference(_fused(interpreter, noisy.shape), noisy))
    return worst, int(golden["tolerance"])


def _denoised(interpreter: Interpreter, noisy: Image) -> Image:
    denoised = np.empty_like(noisy)
    interpreter.run(noisy, denoised)
    return denoised


def _fused(interpreter: Interpreter, shape: tuple[int, ...]) -> Image:
    """What a video network gave to remember."""
    codes = np.empty(shape, interpreter.stored_type)
    interpreter.remember(codes)
    return int8_to_pixels(codes) if interpreter.model.is_int8 else codes


def _difference(one: Image, other: Image) -> int:
    return int(np.abs(one.astype(np.int16) - other).max())


def _text(picture: Image) -> str:
    return base64.b64encode(np.ascontiguousarray(picture).tobytes()).decode()

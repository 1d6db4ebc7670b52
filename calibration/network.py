"""A float video network, run over the frames of a clip: it makes the history of a representative set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import ModelError, UsageError
from quietcam.files.paths import is_dir, lack
from quietcam.image import Image, to_float, to_uint8
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.content import read_content
from quietcam.tflite.manifest import read_manifest, strip_manifest
from quietcam.tflite.outline import End, end_names, read_outline
from quietcam.tflite.tensorflow_errors import explain

__all__ = ["VideoNetwork", "open_network"]

_SIDE = 256  # of the frames that a network of any size is run on: a multiple of every stride
_Floats = NDArray[np.float32]
_CONVERT = "convert the run of a video network with `quietcam convert RUN --recipe float32`, and give that file"


@dataclass(frozen=True, eq=False)
class VideoNetwork:
    """A float network that remembers.

    Attributes:
        name: of its file.
        sha256: of the file's content, hexadecimal.
        remembers: the output that it remembers: ``history``, or ``denoised`` where it has no other.
        channels: 3 for RGB, 1 for grayscale.
        size: (height, width) of the frames that it is run on.
    """

    name: str
    sha256: str
    remembers: str
    channels: int
    size: tuple[int, int]
    _run: Callable[[_Floats, _Floats], _Floats]

    def remember(self, noisy: Image, history: Image) -> Image:
        """What the network remembers of a frame, rounded to pixels as on a device.

        Args:
            noisy, history: uint8 ``(H, W, C)`` of ``size``.

        Returns:
            uint8 of the same shape.

        Raises:
            ModelError: the network cannot be run.
        """
        return to_uint8(self._run(to_float(noisy)[np.newaxis], to_float(history)[np.newaxis])[0])


def open_network(path: Path) -> VideoNetwork:
    """Open a ``.tflite`` in float32, a run directory, or the ``.keras`` file of one.

    Raises:
        UsageError: there is no such file, or it is of another kind.
        ModelError: it is no video network, is not float, or is damaged.
        MissingExtraError: TensorFlow is not installed, for a run; or LiteRT, for a ``.tflite`` (by the command line).
    """
    path = Path(path)
    if is_dir(path) and (path / "model.keras").is_file():
        return _open_keras(path / "model.keras")
    if not path.is_file():
        raise UsageError(
            f"A float video network is a .tflite file or a run directory. Received: {path}, {lack(path)}. "
            f"Remedy: {_CONVERT}."
        )
    return _open_keras(path) if path.suffix == ".keras" else _open_tflite(path)


def _open_tflite(path: Path) -> VideoNetwork:
    stored = read_content(path)
    manifest = read_manifest(path, stored)
    content = strip_manifest(stored)
    outline = read_outline(content, str(path))
    entrances = end_names(manifest.inputs if manifest else (), [end.name for end in outline.inputs], "noisy")
    exits = end_names(manifest.outputs if manifest else (), [end.name for end in outline.outputs], "denoised")
    if len(outline.inputs) == 1:
        raise _still(path)
    if entrances is None or exits is None:
        raise ModelError(
            "A video network names its inputs noisy and history, and its outputs denoised and history. Received: "
            f"{path} with {', '.join(end.name for end in (*outline.inputs, *outline.outputs))}. Remedy: {_CONVERT}."
        )
    noisy = outline.inputs[entrances.index("noisy")]
    remembers = "history" if "history" in exits else "denoised"
    ends = (*outline.inputs, outline.outputs[exits.index(remembers)])
    if any(end.dtype != "float32" or end.shape != noisy.shape for end in ends) or not _is_picture(noisy):
        received = ", ".join(f"{end.dtype} {'x'.join(map(str, end.shape))}" for end in ends)
        raise ModelError(
            "History is made by the float network, whose noisy, history and remembered frame have one shape. "
            f"Received: {path} with {received}. Remedy: {_CONVERT}."
        )
    run = _litert(content, entrances.index("noisy"), entrances.index("history"), exits.index(remembers))
    digest = hashlib.sha256(stored).hexdigest()
    return VideoNetwork(path.name, digest, remembers, noisy.shape[3], (noisy.shape[1], noisy.shape[2]), run)


def _is_picture(end: End) -> bool:
    return len(end.shape) == 4 and end.shape[0] == 1 and min(end.shape) > 0 and end.shape[3] in (1, 3)


def _still(path: Path) -> ModelError:
    return ModelError(
        f"A video network has the inputs noisy and history. Received: {path}, a still network. "
        "Remedy: leave `model` out, since a still network is calibrated without history; or give a video network."
    )


def _litert(content: bytes, noisy: int, history: int, remembered: int) -> Callable[[_Floats, _Floats], _Floats]:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with native_output_caught(show=False):
            interpreter = Interpreter(model_content=content, num_threads=2)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _not_run(error) from error
    entrances = [each["index"] for each in interpreter.get_input_details()]
    exit_ = interpreter.get_output_details()[remembered]["index"]

    def run(frame: _Floats, past: _Floats) -> _Floats:
        interpreter.set_tensor(entrances[noisy], frame)
        interpreter.set_tensor(entrances[history], past)
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _not_run(error) from error
        found: _Floats = interpreter.get_tensor(exit_)
        return found

    return run


def _not_run(error: Exception) -> ModelError:
    return ModelError(f"LiteRT must run the network. Received: {explain(error)}. Remedy: {_CONVERT}.")


def _open_keras(path: Path) -> VideoNetwork:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_output_caught(show=False):
        import tensorflow as tf
        import tf_keras as keras

    try:
        with native_output_caught(show=False):
            model: Any = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"A run must hold a float network. Received: {path} ({str(error).splitlines()[0]}). Remedy: {_CONVERT}."
        ) from error
    names = [str(each.name).partition(":")[0] for each in model.inputs]
    if len(names) == 1:
        raise _still(path)
    if sorted(names) != ["history", "noisy"] or len(model.outputs) > 2:
        raise ModelError(
            f"A video network has the inputs noisy and history, and at most two outputs. Received: {path} with "
            f"{', '.join(names)} and {len(model.outputs)} outputs. Remedy: {_CONVERT}."
        )
    remembered = len(model.outputs) - 1  # denoised, then history
    compiled = tf.function(model)

    def run(frame: _Floats, past: _Floats) -> _Floats:
        given = {"noisy": frame, "history": past}
        found = compiled([given[name] for name in names], training=False)
        values: _Floats = np.asarray(found[remembered] if remembered else found)
        return values

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = path.parent.name if path.name == "model.keras" else path.name
    remembers = "history" if remembered else "denoised"
    return VideoNetwork(name, digest, remembers, int(model.inputs[0].shape[-1]), (_SIDE, _SIDE), run)

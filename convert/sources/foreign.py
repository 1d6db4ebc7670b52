"""Loads networks that quietcam did not make: Keras 3 files, SavedModel folders, layers that compute in 16 bits."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SavedNetwork", "as_float32", "is_saved_model", "load_keras_3"]

_HALF = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
_SERVING = ("serving_default", "serve")
_NUMBERED = re.compile(r"output_\d")  # what Keras 3 calls the outputs of a list


def is_saved_model(folder: Path) -> bool:
    """True for a folder that ``model.export`` of Keras 3, or ``model.save`` of Keras 2 without a suffix, wrote."""
    return (folder / "saved_model.pb").is_file()


def load_keras_3(file: Path) -> Any:
    """Load a ``.keras`` or ``.h5`` file that Keras 3 wrote. Python code in the file is not run.

    Raises:
        Exception: Keras raises errors of any class.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides Keras's config file: the converter accepts only this backend
    import keras

    return keras.models.load_model(file, compile=False, safe_mode=True)


def as_float32(model: Any) -> Any:
    """``model``, of Keras 2 or 3, with every layer computing in float32; the model itself if all layers already do.

    Mixed precision keeps weights in float32 and rounds the layers' outputs to 16 bits. It speeds up training on a GPU;
    TFLite has no kernels for it, and the same weights give a better network in float32.
    """
    config = model.get_config()
    if not any(f"'{each}'" in str(config) for each in _HALF):
        return model
    twin = type(model).from_config(_in_float32(config))
    twin.set_weights([np.asarray(each, np.float32) for each in model.get_weights()])
    return twin


def _in_float32(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_float32(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in_float32(each) for each in value)
    return "float32" if isinstance(value, str) and value in _HALF else value


class SavedNetwork:
    """Wraps a SavedModel in the Keras methods that conversion calls.

    Args:
        folder: the folder that contains ``saved_model.pb``.

    Attributes:
        inputs, outputs: specs with a ``shape``.
        input_names, output_names: their names in the signature.
        is_ordered: True if the order of the outputs is that of the network, and not of the alphabet.

    Raises:
        ValueError: it has no signature to call.
        Exception: TensorFlow raises errors of any class.
    """

    layers = ()

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.root = tf.saved_model.load(str(folder))  # keeps the variables alive
        signatures = self.root.signatures
        name = next((each for each in _SERVING if each in signatures), next(iter(signatures), None))
        if name is None:
            raise ValueError("a SavedModel without a signature")
        self._run = signatures[name]
        given, made = self._run.structured_input_signature[1], self._run.structured_outputs
        self.input_names, self.output_names = list(given), sorted(made)
        self.inputs, self.outputs = list(given.values()), [made[name] for name in self.output_names]
        self.is_ordered = all(_NUMBERED.fullmatch(name) for name in made)

    @property
    def has_fake_quantization(self) -> bool:
        """True if it has ranges from QAT. Only a SavedModel shows that in its graph alone."""
        graph = self._run.graph.as_graph_def()
        nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
        return any(node.op.startswith("FakeQuant") for node in nodes)

    def __call__(self, given: Any, training: bool = False) -> Any:
        """The output for float32 ``(batch, H, W, C)``, of the same shape and type; a list if there are several.

        Args:
            given: the input, or a list in the order of ``inputs``.
        """
        del training  # a signature is always for inference
        inputs = given if isinstance(given, list) else [given]
        made = self._run(**dict(zip(self.input_names, inputs, strict=True)))
        outputs = [made[name] for name in self.output_names]
        return outputs if len(outputs) > 1 else outputs[0]

    def get_weights(self) -> list[NDArray[Any]]:
        """All variables, in the order of the signature."""
        return [np.asarray(each) for each in self._run.variables]

    def count_params(self) -> int:
        """The total number of values in all variables."""
        return sum(each.size for each in self.get_weights())

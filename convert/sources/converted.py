"""Runs TensorFlow's converter on a loaded model: the result is a ``.tflite`` of one size, without manifest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convert.recipes import RECIPES, Recipe
from convert.resize import resize
from convert.sources.loaded_model import LoadedModel
from quietcam.errors import ModelError
from quietcam.image import to_float
from quietcam.process.native_output import native_output_caught
from quietcam.representative.set import RepresentativeSet
from quietcam.tflite.graph import read_graph
from quietcam.tflite.outline import end_names
from quietcam.tflite.surgery import order_ends
from quietcam.tflite.tensorflow_errors import explain

__all__ = ["float_content", "run_converter"]


def float_content(loaded: LoadedModel, width: int, height: int) -> bytes:
    """The float network as a ``.tflite`` of one size, without manifest.

    Raises:
        ModelError: the converter refuses the network.
    """
    if (stored := loaded.finished.get("float32")) is not None:
        return resize(stored.content, width, height, str(stored.path))
    return run_converter(loaded, RECIPES["float32"], width, height, None)


def run_converter(
    loaded: LoadedModel, recipe: Recipe, width: int, height: int, representative: RepresentativeSet | None
) -> bytes:
    """Run the converter. Any error of TensorFlow becomes one line; its output is hidden."""
    network = loaded.network()
    try:
        with native_output_caught(show=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            names = ("noisy", "history") if loaded.remembers else ("noisy",)
            # A function of one shape: with a dynamic batch, the converter leaves shape arithmetic in the graph.
            specs = [tf.TensorSpec([1, height, width, loaded.channels], tf.float32, name=name) for name in names]
            concrete = tf.function(network).get_concrete_function(*specs)
            has_signature = loaded.library != "keras"
            if not has_signature:  # the converter does not find Keras 3's variables, so they become constants first
                from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

                converter = tf.lite.TFLiteConverter.from_concrete_functions(
                    [convert_variables_to_constants_v2(concrete)]
                )
            else:
                root = getattr(loaded.model, "root", None)
                if root is None:  # variables only: saving a whole Keras model would trace each layer's functions
                    root = tf.Module()
                    root.kept = concrete.variables
                converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], root)
            recipe.configure(converter)
            if representative is not None and recipe.needs_ranges and not loaded.carries_ranges:

                def frames() -> Iterator[list[NDArray[np.float32]] | dict[str, NDArray[np.float32]]]:
                    for pair in representative.pairs(height, width):
                        given = {name: to_float(each)[None] for name, each in zip(names, pair, strict=False)}
                        yield given if has_signature and loaded.remembers else list(given.values())

                converter.representative_dataset = frames
            content = bytes(converter.convert())
            return _in_order(content, loaded, has_signature) if loaded.remembers else content
    except (ModuleNotFoundError, ModelError):
        raise
    except Exception as error:  # the converter raises errors of any class
        raise ModelError(
            f"The model must convert with recipe {recipe.name} at {width}x{height}. Received: {loaded.path}: "
            f"{explain(error)}. Remedy: use layers that TFLite knows, and sizes that are multiples of the network's "
            "total stride (quietcam --debug shows the converter's whole output)."
        ) from error


def _in_order(content: bytes, loaded: LoadedModel, has_signature: bool) -> bytes:
    """The model of a video network with named ends. Without a signature, outputs keep the order of the function's."""
    if has_signature:
        return order_ends(content)
    inputs = end_names((), [each.name for each in read_graph(content).inputs], "noisy") or ()
    return order_ends(content, inputs, sorted(loaded.outputs))

"""The recipes by name: the converter settings of each, and what the result must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quietcam.errors import UsageError

__all__ = ["MIXED", "RECIPES", "Recipe", "get_recipe"]


@dataclass(frozen=True)
class Recipe:
    """One way from Keras to TFLite.

    Attributes:
        name: the name that users give and that file names contain.
        summary: one line for users.
        needs_ranges: it needs ranges of activations, from a representative set or from QAT.
        is_full_int8: every operator is int8, both ends are the pixel identity, and clips are removed. Other recipes
        have float ends.
        weights: numpy type of the convolutions' weights.
        activations: numpy type of the convolutions' outputs.
        configure: sets up a ``tf.lite.TFLiteConverter``; for int8, one for a model that has ranges from QAT.
    """

    name: str
    summary: str
    needs_ranges: bool
    is_full_int8: bool
    weights: str
    activations: str
    configure: Callable[[Any], None]


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is no such recipe.
    """
    if name not in RECIPES:
        raise UsageError(f"A recipe is one of {', '.join(RECIPES)}. Received: {name}.")
    return RECIPES[name]


def _float32(converter: Any) -> None:
    """The converter's defaults; no ranges are used."""
    del converter


def _float16(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic_int8(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def _int8x16(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,  # for space-to-depth and back, which have no int16 kernel
    ]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "the float network, the reference for the others", False, False, *("float32",) * 2, _float32),
        Recipe(
            "float16", "weights in half the bytes, computed in float32", False, False, "float16", "float32", _float16
        ),
        Recipe(
            "dynamic_int8",
            "weights int8, activations float between operators: a smaller file, no representative set",
            *(False, False, "int8", "float32"),
            _dynamic_int8,
        ),
        Recipe("int8", "full int8: weights per channel, activations, both ends", True, True, *("int8",) * 2, _int8),
        Recipe(
            "int8x16",
            "weights int8, activations int16, float ends: shows what int8 activations cost; slow",
            *(True, False, "int8", "int16"),
            _int8x16,
        ),
    )
}
"""Every recipe by its name."""

MIXED = "int8_mixed"
"""Recipe name of an int8 model in which some layers were left in float; such a model is never called int8."""

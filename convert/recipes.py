"""The recipes by name: what the converter is told for each, and what must come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quietcam.errors import UsageError

__all__ = ["RECIPES", "Recipe", "get_recipe"]


@dataclass(frozen=True)
class Recipe:
    """One way from Keras to TFLite.

    Attributes:
        name: as in ``--recipe`` and in the file's name.
        summary: one line for people.
        needs_ranges: int8 ranges of activations must come from somewhere: a representative set, or QAT.
        is_full_int8: every operator int8, both ends the pixel identity, clips taken out.
        configure: sets up a ``tf.lite.TFLiteConverter`` for a model in which QAT has left ranges.
    """

    name: str
    summary: str
    needs_ranges: bool
    is_full_int8: bool
    configure: Callable[[Any], None]


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"A recipe is one of {', '.join(RECIPES)}. Received: {name}.")
    return RECIPES[name]


def _float32(converter: Any) -> None:
    """The converter's defaults; ranges play no part."""
    del converter


def _int8(converter: Any) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "the float network, the reference for the others", False, False, _float32),
        Recipe("int8", "full int8: weights per channel, activations, both ends", True, True, _int8),
    )
}
"""Every recipe by its name."""

"""Tells what the inputs and outputs of a loaded network hold: the noisy frame, the history, the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from quietcam.errors import ModelError
from quietcam.tflite.outline import end_names

__all__ = ["Ends", "find_ends"]

Ends = tuple[tuple[str, ...], tuple[str, ...]]
"""Inputs, then outputs, in the network's order: ``noisy`` and maybe ``history``, ``denoised`` and maybe ``history``."""

_REMEDY = (
    "give it one input and one output of shape (batch, height, width, channels), both with 3 or both with 1 channels; "
    "if it has several outputs, keep the picture: keras.Model(model.input, model.output[0]); a video network has the "
    "inputs noisy and history, and the outputs denoised and, if it remembers another picture, history"
)


def find_ends(model: Any, refused: Callable[[str, str], ModelError]) -> Ends:
    """What the ends of ``model`` hold.

    Inputs are told apart by their names. So are outputs, if the network outputs a dictionary or if its last layers are
    called ``denoised`` and ``history_out``; otherwise the first is the picture.

    Args:
        model: a Keras model, or a ``SavedNetwork``.
        refused: makes the error, from what was received and the remedy.

    Raises:
        ModelError: the network is neither a still nor a video network.
    """
    sides = [list(getattr(model, side, None) or []) for side in ("inputs", "outputs")]
    shapes = [tuple(each.shape) for side in sides for each in side]
    counts = len(sides[0]), len(sides[1])
    fits = counts in ((1, 1), (2, 1), (2, 2)) and all(len(shape) == 4 for shape in shapes)
    if not fits or shapes[0][3] not in (1, 3) or any(shape[3] not in (shapes[0][3], None) for shape in shapes[1:]):
        words = [
            f"{len(side)} {name}{'s' * (len(side) != 1)} of shape {', '.join(str(tuple(each.shape)) for each in side)}"
            for name, side in zip(("input", "output"), sides, strict=True)
        ]
        raise refused(" and ".join(words) if shapes else "inputs and outputs of unknown shape", _REMEDY)
    inputs = end_names((), _input_names(model), "noisy")
    if inputs is None:
        raise refused(
            f"2 inputs named {' and '.join(_input_names(model))}",
            "name the inputs of a video network noisy and history, as keras.Input((None, None, 3), name='noisy')",
        )
    if len(set(shapes[: counts[0]])) > 1:
        raise refused(f"inputs of shape {' and '.join(map(str, shapes[:2]))}", "give noisy and history the same shape")
    outputs = _outputs(model, counts[1])
    if outputs is None:
        raise refused(
            f"2 outputs named {' and '.join(model.output_names)}",
            "call the outputs of a video network denoised and history_out, or give the .keras file of the same network",
        )
    return inputs, outputs


def _input_names(model: Any) -> Sequence[str]:
    names = getattr(model, "input_names", None)  # Keras 3 has none
    return names or [str(each.name) for each in model.inputs]


def _outputs(model: Any, count: int) -> tuple[str, ...] | None:
    """What the outputs hold; None if their order means nothing and their names do not tell."""
    if count == 1:
        return ("denoised",)
    given = getattr(model, "output", None)
    names = sorted(given) if isinstance(given, dict) else model.output_names  # in the order of `model.outputs`
    told = end_names((), names, "denoised")
    return told or (("denoised", "history") if getattr(model, "is_ordered", True) else None)

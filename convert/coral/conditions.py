"""The conditions on which the Edge TPU's compiler maps an operator, each with its source.

``how`` says how a condition is known: ``read`` in the named source, ``derived`` from it by arithmetic, ``measured`` by
this project, or ``seen`` in models that were published both before and after compilation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quietcam.tflite.graph import Op, Tensor


@dataclass(frozen=True)
class Source:
    """The source of a rule, and how it is known: read, derived, measured or seen."""

    text: str
    how: str = "read"

    def __str__(self) -> str:
        return f"{self.text} ({self.how})"


@dataclass(frozen=True)
class Condition:
    """What must be true for an operator to map. ``holds`` returns None if that is unknown."""

    text: str
    holds: Callable[[Op], bool | None]
    source: Source
    remedy: str = ""


def issue(*numbers: int) -> Source:
    return Source("google-coral/edgetpu " + ", ".join(f"#{number}" for number in numbers))


TABLE = Source("coral.ai, TensorFlow models on the Edge TPU: supported operations")
REQUIREMENTS = Source("coral.ai, TensorFlow models on the Edge TPU: model requirements")
VERSIONS = Source("TensorFlow's runtime_version.cc: the newest version that runtime 2.6 knows", "derived")
RESHAPES = Source(f"{TABLE.text}; google-coral/edgetpu #512")
TWINS = Source("google-coral/test_data, models with their compiled twins", "seen")
CUSTOM = Source("google-coral/edgetpu #210, and compiled twins of PoseNet and BodyPix", "seen")

CONVERT = "`quietcam convert MODEL --target coral` makes such a graph"
QUANTIZE = "convert its network again: `quietcam convert RUN --recipe int8 --representative rep.npz`"


# The tests behind the conditions.
def option(name: str, default: int = 0) -> Callable[[Op], int]:
    return lambda op: int(getattr(op.options, name, default))


def constant(op: Op, place: int) -> Tensor | None:
    """The input number ``place`` if it is a constant, or None."""
    found = op.inputs[place] if place < len(op.inputs) else None
    return found if found is not None and found.is_constant else None


def values(op: Op, place: int) -> list[int] | None:
    found = constant(op, place)
    return None if found is None or found.data is None else [int(each) for each in np.ravel(found.data)]


def is_8_bit(op: Op) -> bool:
    if op.kind in WITH_STATE:  # internal state, such as the cell of an LSTM, may have 16 bits
        return all(each.dtype in ("int8", "uint8") for each in (op.inputs[0], *op.outputs))
    constants = [each for each in op.inputs if each.is_constant]
    return all(each.dtype in ("int8", "uint8") for each in op.activations) and all(
        each.dtype in ("int8", "uint8", "int32") for each in constants
    )


def is_quantized(op: Op) -> bool:
    return all(len(each.scales) == 1 for each in op.activations)


def has_fair_axes(op: Op) -> bool | None:
    """Weights with one scale, or with one for each output channel."""
    weights = op.weights
    if weights is None or len(weights.scales) <= 1:
        return True
    if op.kind == "FULLY_CONNECTED":
        return None
    channels = weights.shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[0]
    return len(weights.scales) == channels


def is_static(op: Op) -> bool:
    return all(side >= 0 for each in (*op.inputs, *op.outputs) for side in each.shape)


def has_three_sides(op: Op) -> bool:
    return all(side == 1 for each in op.activations for side in each.shape[:-3])


WITH_STATE = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)
WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


def has_constant_weights(op: Op) -> bool:
    if op.kind not in WITH_WEIGHTS:
        return True
    bias = op.inputs[3:] if op.kind == "TRANSPOSE_CONV" else op.inputs[2:]
    return op.weights is not None and all(each.is_constant for each in bias)


EVERY_OP: tuple[Condition, ...] = (
    Condition(
        "8-bit tensors (int8 or uint8), int32 for biases and sizes",
        is_8_bit,
        REQUIREMENTS,
        QUANTIZE,
    ),
    Condition("static sizes", is_static, REQUIREMENTS, "convert with a fixed size, batch 1"),
    Condition(
        "batch 1: only the last three dimensions larger than 1",
        has_three_sides,
        REQUIREMENTS,
        "convert with a batch of 1",
    ),
    Condition(
        "one scale and zero point for each activation",
        is_quantized,
        REQUIREMENTS,
        QUANTIZE,
    ),
    Condition("constant weights and biases", has_constant_weights, REQUIREMENTS, CONVERT),
    Condition(
        "weights with one scale, or one for each output channel",
        has_fair_axes,
        REQUIREMENTS,
        "quantize the weights for each channel or for each tensor",
    ),
)
"""Conditions for every operator, in the order in which to fix them."""


def axes_spare_batch(place: int) -> Callable[[Op], bool | None]:
    def holds(op: Op) -> bool | None:
        axes = values(op, place)
        rank = len(op.inputs[0].shape)
        return None if axes is None else rank < 4 or all(axis % rank != 0 for axis in axes)

    return holds


def concatenates_plainly(op: Op) -> bool:
    constants = [each for each in op.inputs if each.is_constant]
    zeros = all(
        each.data is not None and bool(np.all(each.data == (each.zero_points or (0,))[0])) for each in constants
    )
    return not constants or (len(op.inputs) == 2 and zeros)


def reduces_depth_evenly(op: Op) -> bool | None:
    axes = values(op, 1)
    shape = op.inputs[0].shape
    if axes is None:
        return None
    return len(shape) - 1 not in [axis % len(shape) for axis in axes] or shape[-1] % 4 == 0


def pads_no_batch(op: Op) -> bool | None:
    pads = values(op, 1)
    return None if pads is None else len(op.inputs[0].shape) < 4 or pads[:2] == [0, 0]


def slices_plainly(op: Op) -> bool | None:
    strides = values(op, 3)
    masks = [option(name)(op) for name in ("ellipsisMask", "newAxisMask")]
    return None if strides is None else all(each == 1 for each in strides) and masks == [0, 0]


def softens_one_side(op: Op) -> bool:
    shape = op.inputs[0].shape
    return math.prod(shape[:-1]) == 1 and shape[-1] <= 16_000


def keeps_its_sides(op: Op) -> bool | None:
    """True for a reshape that only adds or drops dimensions of 1, which moves no data."""
    before, after = (tuple(s for s in each.shape if s != 1) for each in (op.inputs[0], op.outputs[0]))
    return True if before == after else None


_SEEN_HALF = 48  # pixels per side


def is_small_enough(op: Op) -> bool | None:
    """True up to 128, which was seen to map; False from 256, which was seen not to; None in between."""
    longest = max(op.outputs[0].shape[1:3], default=0)
    return True if longest <= 128 else False if longest >= 256 else None


def transposes_plainly(op: Op) -> bool | None:
    if option("padding")(op) == 0:  # SAME
        return False
    return True if option("strideH", 1)(op) == option("strideW", 1)(op) == 1 else None


NO_FUSED = Condition(
    "no fused activation",
    lambda op: option("fusedActivationFunction")(op) == 0,
    TABLE,
    "move the ReLU to another operator",
)
EVEN_DILATION = Condition(
    "the same dilation on both axes",
    lambda op: option("dilationHFactor", 1)(op) == option("dilationWFactor", 1)(op),
    TABLE,
    "use the same dilation on both axes",
)
SIZE = Condition(
    "an output of at most 128 on each side (256 and more was seen to run on the CPU)",
    is_small_enough,
    issue(31, 187, 597),
    "use a smaller tile (256 pixels for models whose largest doubling gives half the frame's size)",
)
FROM_A_PIXEL = Condition(
    "an input of more than one pixel if corners are aligned (a single pixel spread over a plane runs on the CPU)",
    lambda op: not option("alignCorners")(op) or math.prod(op.inputs[0].shape[1:3]) > 1,
    Source("google-coral/test_data, compiled twins of DeepLab v3", "seen"),
    "repeat the pixel with TILE",
)
HALF_PIXEL = Condition(
    "no half pixel centers, or an output of at most 48 on each side (MoveNet's three doublings, to 12, 24 and 48, map; "
    "compiler 15 left some larger ones on the CPU; for compiler 16 a maintainer named only size as a reason)",
    lambda op: True if not option("halfPixelCenters")(op) or max(op.outputs[0].shape[1:3]) <= _SEEN_HALF else None,
    Source("google-coral/test_data, MoveNet's compiled twin (seen); google-coral/edgetpu #396, #597"),
    "compile it to find out; nearest-neighbor doubling was seen to map with compiler 16",
)
NOT_THE_BATCH = Condition("no axis along the batch", axes_spare_batch(1), TABLE, "use only the last three axes")

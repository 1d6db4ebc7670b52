"""What the Edge TPU's compiler maps: one table of operators, conditions, and where each of them is known from.

The compiler is closed; nothing here was tried with it. ``how`` says how a rule is known: ``read`` in the named
source, ``derived`` from what was read by arithmetic, ``measured`` by this project. Versions are those of compiler
16.0 (July 2021), the last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from convert.flatbuffer import Op, Tensor

__all__ = ["COMPILED_OP", "EVERY_OP", "RULES", "Condition", "Finding", "Rule", "Source", "Verdict", "judge"]

COMPILED_OP = "CUSTOM edgetpu-custom-op"
"""What the compiler leaves in the place of the operators that it mapped."""


class Verdict(StrEnum):
    """What the compiler is expected to do with one operator."""

    TPU = "maps"
    OPEN = "may map"
    CPU = "CPU"
    REFUSED = "refused"


@dataclass(frozen=True)
class Source:
    """Where a rule is known from, and how: read, derived or measured."""

    text: str
    how: str = "read"

    def __str__(self) -> str:
        return f"{self.text} ({self.how})"


@dataclass(frozen=True)
class Condition:
    """What must hold for an operator to map. ``holds`` gives None where nobody knows."""

    text: str
    holds: Callable[[Op], bool | None]
    source: Source
    remedy: str = ""


@dataclass(frozen=True)
class Rule:
    """One operator.

    Attributes:
        maps: does it map at all, its conditions given?
        newest: the newest version of it that the compiler reads, 0 for none; a newer one makes it refuse the whole
            model. None where nobody knows.
        conditions: all must hold.
        why, remedy: of one that does not map.
    """

    kind: str
    source: Source
    maps: bool = True
    newest: int | None = None
    conditions: tuple[Condition, ...] = ()
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """A condition and whether it holds for one operator; None: nobody knows."""

    text: str
    holds: bool | None
    source: str
    remedy: str


def _issue(*numbers: int) -> Source:
    return Source("google-coral/edgetpu " + ", ".join(f"#{number}" for number in numbers))


_TABLE = Source("coral.ai, TensorFlow models on the Edge TPU: supported operations")
_REQUIREMENTS = Source("coral.ai, TensorFlow models on the Edge TPU: model requirements")
_VERSIONS = Source("TensorFlow's runtime_version.cc: the newest version that runtime 2.6 knows", "derived")

_CONVERT = "`quietcam convert --target coral` makes such a graph"


# What the conditions ask.
def _option(name: str, default: int = 0) -> Callable[[Op], int]:
    return lambda op: int(getattr(op.options, name, default))


def _constant(op: Op, place: int) -> Tensor | None:
    """The input number ``place``, where it is a constant."""
    found = op.inputs[place] if place < len(op.inputs) else None
    return found if found is not None and found.is_constant else None


def _values(op: Op, place: int) -> list[int] | None:
    found = _constant(op, place)
    return None if found is None or found.data is None else [int(each) for each in np.ravel(found.data)]


def _is_8_bit(op: Op) -> bool:
    constants = [each for each in op.inputs if each.is_constant]
    return all(each.dtype in ("int8", "uint8") for each in op.activations) and all(
        each.dtype in ("int8", "uint8", "int32") for each in constants
    )


def _is_quantized(op: Op) -> bool:
    return all(len(each.scales) == 1 for each in op.activations)


def _has_fair_axes(op: Op) -> bool | None:
    """Weights with one scale, or with one for each output channel."""
    weights = op.weights
    if weights is None or len(weights.scales) <= 1:
        return True
    if op.kind == "FULLY_CONNECTED":
        return None
    channels = weights.shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[0]
    return len(weights.scales) == channels


def _is_static(op: Op) -> bool:
    return all(side >= 0 for each in (*op.inputs, *op.outputs) for side in each.shape)


def _has_three_sides(op: Op) -> bool:
    return all(side == 1 for each in op.activations for side in each.shape[:-3])


_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


def _has_constant_weights(op: Op) -> bool:
    if op.kind not in _WITH_WEIGHTS:
        return True
    bias = op.inputs[3:] if op.kind == "TRANSPOSE_CONV" else op.inputs[2:]
    return op.weights is not None and all(each.is_constant for each in bias)


EVERY_OP: tuple[Condition, ...] = (
    Condition(
        "8-bit tensors (int8 or uint8), int32 for biases and sizes",
        _is_8_bit,
        _REQUIREMENTS,
        "convert with --recipe int8 and a representative set",
    ),
    Condition(
        "sizes known beforehand, none dynamic", _is_static, _REQUIREMENTS, "convert with a fixed --size, batch 1"
    ),
    Condition(
        "batch 1: only the three inner sides above 1", _has_three_sides, _REQUIREMENTS, "convert with a batch of 1"
    ),
    Condition(
        "one scale and zero point for each activation",
        _is_quantized,
        _REQUIREMENTS,
        "convert with --recipe int8 and a representative set",
    ),
    Condition("weights and biases that are constants", _has_constant_weights, _REQUIREMENTS, _CONVERT),
    Condition(
        "weights with one scale, or one for each output channel",
        _has_fair_axes,
        _REQUIREMENTS,
        "quantize the weights for each channel or for each tensor",
    ),
)
"""Conditions of every operator, in the order in which to mend them."""


def _axes_spare_batch(place: int) -> Callable[[Op], bool | None]:
    def holds(op: Op) -> bool | None:
        axes = _values(op, place)
        rank = len(op.inputs[0].shape)
        return None if axes is None else rank < 4 or all(axis % rank != 0 for axis in axes)

    return holds


def _concatenates_plainly(op: Op) -> bool:
    constants = [each for each in op.inputs if each.is_constant]
    zeros = all(
        each.data is not None and bool(np.all(each.data == (each.zero_points or (0,))[0])) for each in constants
    )
    return not constants or (len(op.inputs) == 2 and zeros)


def _reduces_depth_evenly(op: Op) -> bool | None:
    axes = _values(op, 1)
    shape = op.inputs[0].shape
    if axes is None:
        return None
    return len(shape) - 1 not in [axis % len(shape) for axis in axes] or shape[-1] % 4 == 0


def _pads_no_batch(op: Op) -> bool | None:
    pads = _values(op, 1)
    return None if pads is None else len(op.inputs[0].shape) < 4 or pads[:2] == [0, 0]


def _slices_plainly(op: Op) -> bool | None:
    strides = _values(op, 3)
    masks = [_option(name)(op) for name in ("ellipsisMask", "newAxisMask")]
    return None if strides is None else all(each == 1 for each in strides) and masks == [0, 0]


def _softens_one_side(op: Op) -> bool:
    shape = op.inputs[0].shape
    return math.prod(shape[:-1]) == 1 and shape[-1] <= 16_000


def _keeps_its_sides(op: Op) -> bool | None:
    """A reshape that only adds or drops sides of 1 moves nothing."""
    before, after = (tuple(s for s in each.shape if s != 1) for each in (op.inputs[0], op.outputs[0]))
    return True if before == after else None


def _is_small_enough(op: Op) -> bool | None:
    """Up to 128 it was seen to map, from 256 on it was seen not to; nobody says what is between."""
    longest = max(op.outputs[0].shape[1:3], default=0)
    return True if longest <= 128 else False if longest >= 256 else None


def _transposes_plainly(op: Op) -> bool | None:
    if _option("padding")(op) == 0:  # SAME
        return False
    return True if _option("strideH", 1)(op) == _option("strideW", 1)(op) == 1 else None


_NO_FUSED = Condition(
    "no fused activation", lambda op: _option("fusedActivationFunction")(op) == 0, _TABLE, "put the ReLU elsewhere"
)
_EVEN_DILATION = Condition(
    "the same dilation on both axes",
    lambda op: _option("dilationHFactor", 1)(op) == _option("dilationWFactor", 1)(op),
    _TABLE,
    "dilate both axes alike",
)
_SIZE = Condition(
    "an output of at most 128 on each side (256 and more was seen to stay on the CPU)",
    _is_small_enough,
    _issue(31, 187, 597),
    "a smaller tile (--tile 256 for models that double to half size)",
)
_HALF_PIXEL = Condition(
    "no half pixel centers (an older compiler left them on the CPU; of 16.0 nobody says)",
    lambda op: None if _option("halfPixelCenters")(op) else True,
    Source("google-coral/edgetpu #396, PINTO_model_zoo #126"),
    "compile it and see; nearest-neighbour doubling was seen to map with 16.0",
)
_NOT_THE_BATCH = Condition("nothing along the batch", _axes_spare_batch(1), _TABLE, "work along the inner three sides")


def _plain(kinds: dict[str, int | None], *conditions: Condition) -> Iterable[Rule]:
    """Operators that share their conditions, with the newest version of each."""
    return (Rule(kind, _TABLE, True, newest, conditions) for kind, newest in kinds.items())


def _never(kind: str, source: Source, why: str, remedy: str, newest: int | None = None) -> Rule:
    return Rule(kind, source, False, newest, (), why, remedy)


_USE_RELU = "train with ReLU or ReLU6 instead"
_NO_FLOAT = "convert with --recipe int8, whose ends are int8, too"

RULES: dict[str, Rule] = {
    rule.kind: rule
    for rule in (
        # Versions: #631 (CONV_2D 6) and #845 (TRANSPOSE_CONV 4) agree with what is derived.
        *_plain({"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6}, _EVEN_DILATION),
        *_plain({"ADD": 4, "SUB": 5, "MUL": 5, "MAXIMUM": 4, "MINIMUM": 4, "SPACE_TO_DEPTH": 2}),
        *_plain({"RELU": 3, "RELU6": 3, "RELU_N1_TO_1": 1, "LOGISTIC": 3, "TANH": 3, "L2_NORMALIZATION": 2}),
        *_plain({"EXPAND_DIMS": 1, "SQUEEZE": 2, "QUANTIZE": 2, "RSQRT": 2, "SQUARED_DIFFERENCE": 2}),
        *_plain({"AVERAGE_POOL_2D": 3, "MAX_POOL_2D": 3}, _NO_FUSED),
        *_plain(
            {"CONCATENATION": 3},
            _NO_FUSED,
            Condition(
                "no constants, or one of zeros beside one other input",
                _concatenates_plainly,
                _TABLE,
                "add the constants otherwise",
            ),
        ),
        *_plain(
            {"FULLY_CONNECTED": 9},
            Condition("weights in the default order", lambda op: _option("weightsFormat")(op) == 0, _TABLE),
            Condition("an output of one side", lambda op: math.prod(op.outputs[0].shape[:-1]) == 1, _TABLE),
        ),
        *_plain(
            {"MEAN": 3},
            _NOT_THE_BATCH,
            Condition("over channels only where they are a multiple of 4", _reduces_depth_evenly, _TABLE),
        ),
        *_plain({"SUM": 2, "REDUCE_MAX": 3, "REDUCE_MIN": 3}, _NOT_THE_BATCH),
        *_plain({"PAD": 4}, Condition("no padding of the batch", _pads_no_batch, _TABLE)),
        *_plain(
            {"PRELU": 1},
            Condition("one slope for each channel", lambda op: math.prod(op.inputs[1].shape[:-1]) == 1, _TABLE),
        ),
        *_plain(
            {"RESHAPE": 1},
            Condition(
                "only sides of 1 added or dropped (others may stay on the CPU where they are large)",
                _keeps_its_sides,
                _TABLE,
                "compile it and see",
            ),
        ),
        *_plain({"RESIZE_BILINEAR": 4}, _SIZE, _HALF_PIXEL),
        *_plain({"RESIZE_NEAREST_NEIGHBOR": 4}, _SIZE),
        *_plain({"SOFTMAX": 3}, Condition("one side of at most 16,000", _softens_one_side, _TABLE)),
        *_plain(
            {"SLICE": 5},
            Condition("constant begin and size", lambda op: _values(op, 1) is not None, _TABLE),
        ),
        *_plain(
            {"SPLIT": 4},
            Condition("nothing along the batch", lambda op: (_values(op, 0) or [0])[0] % 4 != 0, _TABLE),
        ),
        *_plain({"PACK": 3}, Condition("nothing along the batch", lambda op: _option("axis")(op) != 0, _TABLE)),
        *_plain({"STRIDED_SLICE": 6}, Condition("strides of 1 and no new axes", _slices_plainly, _TABLE)),
        *_plain(
            {"TRANSPOSE": 5},
            Condition("an order that maps; nobody says which do", lambda _: None, _issue(433), "keep NHWC throughout"),
        ),
        Rule(
            "TRANSPOSE_CONV",
            _TABLE,
            newest=3,
            conditions=(
                Condition(
                    "padding VALID and stride 1 (SAME did not compile; of larger strides some mapped, some did not)",
                    _transposes_plainly,
                    _issue(64, 684, 686, 509),
                    "double the size by RESIZE_* and a convolution, or end in space-to-depth order",
                ),
            ),
        ),
        *_plain({"UNIDIRECTIONAL_SEQUENCE_LSTM": 3}),
        _never(
            "DEPTH_TO_SPACE",
            _issue(386),
            "there is no such operator on the chip; compiler 15 refused the whole model for it",
            f"end one operator earlier and let the host permute the bytes: {_CONVERT}",
            newest=2,
        ),
        _never("LEAKY_RELU", _issue(272, 597), "there is no leaky ReLU on the chip", _USE_RELU, newest=2),
        _never("HARD_SWISH", _issue(272), "there is no hard swish on the chip", _USE_RELU, newest=1),
        _never("ELU", _issue(508), "there is no ELU on the chip", _USE_RELU, newest=1),
        _never("RELU_0_TO_1", _VERSIONS, "an operator of 2022; the compiler is of 2021", _USE_RELU, newest=0),
        _never("GELU", _VERSIONS, "an operator of 2022; the compiler is of 2021", _USE_RELU, newest=0),
        _never("DEQUANTIZE", _issue(659), "it makes floats, which the chip does not have", _NO_FLOAT, newest=4),
        _never("FLOOR_MOD", _issue(659), "there is no such operator on the chip", "", newest=1),
        _never("REVERSE_V2", _issue(340), "there is no such operator on the chip", "", newest=3),
        _never("ARG_MAX", _TABLE, "there is no such operator on the chip", "take the maximum on the host", newest=2),
        _never(
            "SHAPE", _REQUIREMENTS, "a size computed while running", "convert with a fixed --size, batch 1", newest=1
        ),
        _never("IF", _REQUIREMENTS, "a choice made while running", "take the branches out", newest=1),
        _never("WHILE", _REQUIREMENTS, "a loop", "unroll it", newest=1),
    )
}
"""By operator. One that is not here is not in Coral's table, and stays on the CPU."""


def judge(op: Op) -> tuple[Verdict, tuple[Finding, ...]]:
    """What the compiler is expected to do with ``op``, and every condition with whether it holds."""
    rule = RULES.get(op.kind) or _never(op.kind, _TABLE, "it is not in the table", "replace it by operators that are")
    if op.kind.startswith("CUSTOM "):
        rule = _never(op.kind, Source("edgetpu_compiler: Encountered unresolved custom op"), "a custom operator", "")
        return Verdict.REFUSED, (Finding(rule.why, False, str(rule.source), "replace it by builtin operators"),)
    findings = [] if rule.maps else [Finding(rule.why, False, str(rule.source), rule.remedy)]
    if rule.newest is not None:
        text = f"needs version {rule.newest} at most" if rule.newest else "needs a newer compiler than there is"
        fits = op.version <= rule.newest
        findings.append(
            Finding(f"{text}, has {op.version}" if rule.newest else text, fits, str(_VERSIONS), "" if fits else _OLDER)
        )
        if not fits:
            return Verdict.REFUSED, tuple(findings)
    general = [_find(condition, op) for condition in EVERY_OP]
    findings += general
    if not any(each.holds is False for each in findings):  # what follows reads sizes and values that are sound
        findings += [_find(condition, op) for condition in rule.conditions]
    answers = [each.holds for each in findings]
    verdict = Verdict.CPU if False in answers else Verdict.OPEN if None in answers else Verdict.TPU
    return verdict, tuple(findings)


_OLDER = "convert with an older TensorFlow (2.8 for compiler 16), or without what needs the new version"


def _find(condition: Condition, op: Op) -> Finding:
    try:
        holds = condition.holds(op)
    except IndexError:  # fewer inputs than such an operator has: nobody can say
        holds = None
    return Finding(f"needs {condition.text}", holds, str(condition.source), "" if holds else condition.remedy)

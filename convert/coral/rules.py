"""The table of operators that the Edge TPU's compiler maps, with their conditions and sources.

The compiler is closed source, and nothing here was tried with it. ``how`` says how a rule is known: ``read`` in the
named source, ``derived`` from it by arithmetic, ``measured`` by this project, or ``seen`` in models that Google
published before and after its compiler (google-coral/test_data and google-coral/edgetpu). Versions are those of
compiler 16.0 (July 2021), the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from convert.coral import conditions as ask
from convert.coral.conditions import Condition, Source
from quietcam.tflite.graph import Op

__all__ = ["COMPILED_OP", "RULES", "JudgedCondition", "OperatorRule", "Verdict", "judge"]

COMPILED_OP = "CUSTOM edgetpu-custom-op"
"""The operator that replaces the operators that the compiler mapped."""


class Verdict(StrEnum):
    """What the compiler is expected to do with an operator."""

    TPU = "maps"
    OPEN = "may map"
    CPU = "CPU"
    REFUSED = "refused"


@dataclass(frozen=True)
class OperatorRule:
    """The rule for one kind of operator.

    Attributes:
        maps: True if it maps when its conditions are met.
        newest: the newest version of the operator that the compiler reads, 0 for none; a newer one makes the compiler
            refuse the whole model. None if unknown.
        conditions: conditions that must all be met.
        why, remedy: why it does not map, and what to do; for operators that never map.
    """

    kind: str
    source: Source
    maps: bool = True
    newest: int | None = None
    conditions: tuple[Condition, ...] = ()
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class JudgedCondition:
    """A condition, and whether one operator meets it; None if that is unknown."""

    text: str
    holds: bool | None
    source: str
    remedy: str


def _plain(kinds: dict[str, int | None], *conditions: Condition) -> Iterable[OperatorRule]:
    """Rules for operators that share their conditions; ``kinds`` gives the newest version of each."""
    return (OperatorRule(kind, ask.TABLE, True, newest, conditions) for kind, newest in kinds.items())


def _never(kind: str, source: Source, why: str, remedy: str, newest: int | None = None) -> OperatorRule:
    return OperatorRule(kind, source, False, newest, (), why, remedy)


_LAST = "move it to the end, or replace it with builtin operators"
_USE_RELU = "train with ReLU or ReLU6 instead"
_NO_FLOAT = f"{ask.QUANTIZE}; its input and output are also int8"

RULES: dict[str, OperatorRule] = {
    rule.kind: rule
    for rule in (
        # Versions: #631 (CONV_2D 6) and #845 (TRANSPOSE_CONV 4) agree with what is derived.
        *_plain({"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6}, ask.EVEN_DILATION),
        *_plain({"ADD": 4, "SUB": 5, "MUL": 5, "MAXIMUM": 4, "MINIMUM": 4, "SPACE_TO_DEPTH": 2}),
        *_plain({"RELU": 3, "RELU6": 3, "RELU_N1_TO_1": 1, "LOGISTIC": 3, "TANH": 3, "L2_NORMALIZATION": 2}),
        *_plain({"EXPAND_DIMS": 1, "SQUEEZE": 2, "QUANTIZE": 2, "RSQRT": 2, "SQUARED_DIFFERENCE": 2}),
        *_plain({"AVERAGE_POOL_2D": 3, "MAX_POOL_2D": 3}, ask.NO_FUSED),
        *_plain(
            {"CONCATENATION": 3},
            ask.NO_FUSED,
            Condition(
                "no constants, or one of zeros and one other input",
                ask.concatenates_plainly,
                ask.TABLE,
                "add the constants in another way",
            ),
        ),
        *_plain(
            {"FULLY_CONNECTED": 9},
            Condition("weights in the default order", lambda op: ask.option("weightsFormat")(op) == 0, ask.TABLE),
            Condition(
                "an output with only one dimension larger than 1",
                lambda op: math.prod(op.outputs[0].shape[:-1]) == 1,
                ask.TABLE,
            ),
        ),
        *_plain(
            {"MEAN": 3},
            ask.NOT_THE_BATCH,
            Condition("over channels only if their number is a multiple of 4", ask.reduces_depth_evenly, ask.TABLE),
        ),
        *_plain({"SUM": 2, "REDUCE_MAX": 3, "REDUCE_MIN": 3}, ask.NOT_THE_BATCH),
        *_plain({"PAD": 4}, Condition("no padding of the batch", ask.pads_no_batch, ask.TABLE)),
        *_plain(
            {"PRELU": 1},
            Condition("one slope for each channel", lambda op: math.prod(op.inputs[1].shape[:-1]) == 1, ask.TABLE),
        ),
        *_plain(
            {"RESHAPE": 1},
            Condition(
                "only dimensions of 1 added or dropped (other large reshapes may run on the CPU; one of YOLOv5's did "
                "at 384 and 512 pixels a side)",
                ask.keeps_its_sides,
                ask.RESHAPES,
                "compile it to find out, or use a smaller tile",
            ),
        ),
        *_plain({"RESIZE_BILINEAR": 4}, ask.SIZE, ask.FROM_A_PIXEL, ask.HALF_PIXEL),
        *_plain({"RESIZE_NEAREST_NEIGHBOR": 4}, ask.SIZE),
        *_plain({"SOFTMAX": 3}, Condition("one dimension of at most 16,000", ask.softens_one_side, ask.TABLE)),
        *_plain(
            {"SLICE": 5},
            Condition("constant begin and size", lambda op: ask.values(op, 1) is not None, ask.TABLE),
        ),
        *_plain(
            {"SPLIT": 4},
            Condition("no change along the batch", lambda op: (ask.values(op, 0) or [0])[0] % 4 != 0, ask.TABLE),
        ),
        *_plain(
            {"PACK": 3}, Condition("no packing along the batch", lambda op: ask.option("axis")(op) != 0, ask.TABLE)
        ),
        *_plain({"STRIDED_SLICE": 6}, Condition("strides of 1 and no new axes", ask.slices_plainly, ask.TABLE)),
        *_plain(
            {"TRANSPOSE": 5},
            Condition(
                "an order that maps (it is unknown which orders do)",
                lambda _: None,
                ask.issue(433),
                "keep NHWC throughout",
            ),
        ),
        OperatorRule(
            "TRANSPOSE_CONV",
            ask.TABLE,
            newest=3,
            conditions=(
                Condition(
                    "padding VALID and stride 1 (SAME did not compile; some larger strides mapped, some did not)",
                    ask.transposes_plainly,
                    ask.issue(64, 684, 686, 509),
                    "double the size with RESIZE_* and a convolution, or end in space-to-depth order",
                ),
            ),
        ),
        OperatorRule("UNIDIRECTIONAL_SEQUENCE_LSTM", ask.TWINS, True, 3),
        OperatorRule("TILE", ask.TWINS, True, 3),
        _never(
            "DEPTH_TO_SPACE",
            ask.issue(386),
            "there is no such operator on the chip; compiler 15 refused the whole model because of it",
            f"end one operator earlier and let the host permute the bytes, or use SPLIT, CONCATENATION and RESHAPE: "
            f"{ask.CONVERT}",
            newest=2,
        ),
        _never("LEAKY_RELU", ask.issue(272, 597), "there is no leaky ReLU on the chip", _USE_RELU, newest=2),
        _never("HARD_SWISH", ask.issue(272), "there is no hard swish on the chip", _USE_RELU, newest=1),
        _never("ELU", ask.issue(508), "there is no ELU on the chip", _USE_RELU, newest=1),
        _never("RELU_0_TO_1", ask.VERSIONS, "an operator of 2022; the compiler is of 2021", _USE_RELU, newest=0),
        _never("GELU", ask.VERSIONS, "an operator of 2022; the compiler is of 2021", _USE_RELU, newest=0),
        _never("DEQUANTIZE", ask.issue(659), "it makes floats, which the chip does not have", _NO_FLOAT, newest=4),
        _never("FLOOR_MOD", ask.issue(659), "there is no such operator on the chip", "", newest=1),
        _never("REVERSE_V2", ask.issue(340), "there is no such operator on the chip", "", newest=3),
        _never("ARG_MAX", ask.TABLE, "there is no such operator on the chip", "take the maximum on the host", newest=2),
        _never(
            "SHAPE", ask.REQUIREMENTS, "it computes a size at run time", "convert with a fixed size, batch 1", newest=1
        ),
        _never("IF", ask.REQUIREMENTS, "it chooses at run time", "remove the branches", newest=1),
        _never("WHILE", ask.REQUIREMENTS, "a loop", "unroll it", newest=1),
    )
}
"""The rules by operator. An operator without a rule is not in Coral's table, and runs on the CPU."""


def judge(op: Op) -> tuple[Verdict, tuple[JudgedCondition, ...]]:
    """What the compiler is expected to do with ``op``, and every condition with whether it is met."""
    if op.kind.startswith("CUSTOM "):
        return Verdict.CPU, (JudgedCondition("a custom operator runs on the CPU", False, str(ask.CUSTOM), _LAST),)
    rule = RULES.get(op.kind) or _never(
        op.kind, ask.TABLE, "it is not in Coral's table", "replace it with an operator that is"
    )
    findings = [] if rule.maps else [JudgedCondition(rule.why, False, str(rule.source), rule.remedy)]
    if rule.newest is not None:
        fits = op.version <= rule.newest
        text = f"needs version {rule.newest} at most, has {op.version}" if rule.newest else "needs a newer compiler"
        findings.append(JudgedCondition(text, fits, str(ask.VERSIONS), "" if fits else _OLDER))
        if not fits:
            return Verdict.REFUSED, tuple(findings)
    general = [_find(condition, op) for condition in ask.EVERY_OP]
    findings += general
    if not any(
        each.holds is False for each in findings
    ):  # the other conditions read sizes and values, which must be valid
        findings += [_find(condition, op) for condition in rule.conditions]
    answers = [each.holds for each in findings]
    verdict = Verdict.CPU if False in answers else Verdict.OPEN if None in answers else Verdict.TPU
    return verdict, tuple(findings)


_OLDER = "convert with an older TensorFlow (2.8 for compiler 16), or without the feature that needs the new version"


def _find(condition: Condition, op: Op) -> JudgedCondition:
    try:
        holds = condition.holds(op)
    except IndexError:  # fewer inputs than this kind of operator has: unknown
        holds = None
    return JudgedCondition(f"needs {condition.text}", holds, str(condition.source), "" if holds else condition.remedy)

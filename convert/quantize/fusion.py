"""Finds the fusion of a video network in its graph: the int8 ranges of its tensors are known by design.

difference = history - noisy, change = share * difference, fused = noisy + change, with a share of 0 to 1. All frames
are pixels. So the difference is whole steps of a pixel, the change is rounded to them, and noisy plus whole steps needs
no rounding. The fused frame, which is remembered, is within half a step of that of the same share in float.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quietcam.tflite.activations import Range
from quietcam.tflite.graph import Graph, Op, Tensor

__all__ = ["STEPS", "Fusion", "find_fusion"]

STEPS = Range(-128 / 255, 127 / 255)
"""The range of int8 codes that are whole steps of a pixel: scale 1/255, zero point 0."""

_PIXELS = Range(0.0, 1.0)
_NONE, _RELU, _RELU6 = 0, 1, 3  # the schema's fused activations
_REARRANGING = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
_PASSING = (*_REARRANGING, "RELU", "RELU6", "RELU_0_TO_1", "MINIMUM", "MAXIMUM")


@dataclass(frozen=True)
class Fusion:
    """The tensors of a fusion, by name.

    Attributes:
        differences: the difference, and the tensors that only rearrange it.
        shares: the share, and the tensors that it is clipped and rearranged from; empty if it has other bounds than 0
            and 1.
    """

    differences: tuple[str, ...]
    change: str
    fused: str
    shares: tuple[str, ...]

    @property
    def ranges(self) -> dict[str, Range]:
        """The range that the codes of each tensor cover."""
        return dict.fromkeys((*self.differences, self.change), STEPS) | dict.fromkeys(
            (self.fused, *self.shares), _PIXELS
        )


def find_fusion(graph: Graph) -> Fusion | None:
    """The fusion of a float graph; None for a still network, and for a video network that fuses in another way."""
    if graph.history is None:
        return None
    ends = {graph.noisy.index, graph.history.index}
    for difference in graph.ops:
        if difference.kind != "SUB" or {each.index for each in difference.inputs} != ends or not _is_plain(difference):
            continue
        minuend, subtrahend = (each.index for each in difference.inputs)
        for change in _readers(graph, difference, "MUL"):
            shares = [each for each in change.inputs if each.index != difference.outputs[0].index]
            fused = [
                *(op for op in _readers(graph, change, "ADD") if subtrahend in _indices(op)),
                *(op for op in _readers(graph, change, "SUB") if op.inputs[0].index == minuend),
            ]
            if fused and len(shares) == 1 and _is_plain(change):
                return Fusion(
                    differences=_rearranged(graph, difference.outputs[0]),
                    change=change.outputs[0].name,
                    fused=fused[0].outputs[0].name,
                    shares=_bounded(graph, shares[0]),
                )
    return None


def _rearranged(graph: Graph, tensor: Tensor) -> tuple[str, ...]:
    """``tensor`` and the tensors that only rearrange it."""
    names = [tensor.name]
    for op in graph.ops:
        if op.kind in _REARRANGING and op.inputs[0].name in names:
            names.append(op.outputs[0].name)
    return tuple(names)


def _bounded(graph: Graph, share: Tensor) -> tuple[str, ...]:
    """``share`` and the tensors that it is clipped and rearranged from, if that bounds it to 0 and 1."""
    makers = {op.outputs[0].index: op for op in graph.ops}
    names, low, high = [share.name], False, False
    maker = makers.get(share.index)
    while maker is not None:
        fused = getattr(maker.options, "fusedActivationFunction", _NONE)
        low |= maker.kind in ("RELU", "RELU6", "RELU_0_TO_1") or _limits(maker, "MAXIMUM", 0.0)
        low |= fused in (_RELU, _RELU6)
        high |= maker.kind == "RELU_0_TO_1" or _limits(maker, "MINIMUM", 1.0)
        data = [each for each in maker.inputs if not each.is_constant]
        if maker.kind not in _PASSING or len(data) != 1:
            break
        names.append(data[0].name)
        maker = makers.get(data[0].index)
    return tuple(names) if low and high else ()


def _limits(op: Op, kind: str, value: float) -> bool:
    """True for a ``kind`` with this constant."""
    constants = [each.data for each in op.inputs if each.data is not None]
    return op.kind == kind and len(constants) == 1 and bool(np.all(constants[0] == np.float32(value)))


def _readers(graph: Graph, op: Op, kind: str) -> list[Op]:
    return [each for each in graph.ops if each.kind == kind and op.outputs[0].index in _indices(each)]


def _indices(op: Op) -> list[int]:
    return [each.index for each in op.inputs]


def _is_plain(op: Op) -> bool:
    return getattr(op.options, "fusedActivationFunction", _NONE) == _NONE

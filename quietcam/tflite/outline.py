"""Reads the outline of a `.tflite` before native code loads it: whether it is complete, its inputs and outputs.

tflite-runtime does not verify what it loads, and a file that is cut short crashes the whole process. So the device
reads the outline first, and refuses a file whose tables point outside of it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quietcam.errors import UsageError
from quietcam.tflite.flatbuffer import BROKEN, Table
from quietcam.tflite.model_tables import TYPES, damaged, read_tables, tensor_at, type_name
from quietcam.tflite.quantization import Quantization

__all__ = ["End", "Outline", "end_names", "read_outline"]


@dataclass(frozen=True)
class End:
    """An input or an output of the graph. ``shape`` has -1 for a dynamic dimension; ``dtype`` is numpy's name.

    A dynamic batch is given as 1, the size that the file stores and that the runtime uses by default.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None


@dataclass(frozen=True)
class Outline:
    """The facts about a model that are checked before it is loaded.

    Attributes:
        custom: names of custom operators, which no runtime has built in.
        arena: least number of bytes for the tensors between the operators, in the first subgraph.
    """

    subgraphs: int
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    custom: tuple[str, ...] = ()
    arena: int = 0


_MOST_SIDES = 8
_NAME = re.compile(r"(?:serving_default_)?(noisy|history|denoised)(?:_out)?(?::\d+)?")


def end_names(told: Sequence[str], tensors: Sequence[str], first: str) -> tuple[str, ...] | None:
    """What the inputs, or the outputs, of a graph hold, in the graph's order.

    Args:
        told: the manifest's ``inputs``, or ``outputs``; empty without a manifest.
        tensors: the names of the tensors. They count if the manifest names nothing: ``noisy``, ``history``,
            ``denoised``, also as ``serving_default_noisy:0`` or ``history_out``.
        first: ``noisy`` for inputs, ``denoised`` for outputs. A single end holds it, whatever its name.

    Returns:
        ``first``, or ``first`` and ``history`` in any order. None if the names do not tell that, or contradict the
        number of tensors.
    """
    if told:
        names = tuple(told)
    elif len(tensors) == 1:
        names = (first,)
    else:
        found = [_NAME.fullmatch(each) for each in tensors]
        names = tuple(each[1] for each in found if each is not None)
    known = {(first,), (first, "history"), ("history", first)}
    return names if names in known and len(names) == len(tensors) else None


def read_outline(content: bytes, name: str) -> Outline:
    """The outline of a model file's ``content``; messages call the file ``name``.

    Raises:
        ModelError: it is not a TensorFlow Lite model, or not a complete one.
    """
    model, _ = read_tables(content, name)
    try:
        subgraphs = model["subgraphs"]
        first = subgraphs[0]
        custom = tuple(code["custom_code"] for code in model["operator_codes"] if code["custom_code"])
        inputs, outputs = (
            tuple(_end(tensor_at(first["tensors"], index)) for index in first[side]) for side in ("inputs", "outputs")
        )
        arena = _arena(first, [len(each["data"]) for each in model["buffers"]])
    except BROKEN as error:
        raise damaged(content, name) from error
    return Outline(len(subgraphs), inputs, outputs, custom, arena)


def _end(tensor: Table) -> End:
    known = None
    stored = tensor["quantization"]
    if stored and len(stored["scale"]) == len(stored["zero_point"]) == 1:
        with contextlib.suppress(UsageError):  # uint8 has zero points outside int8's range
            known = Quantization(stored["scale"][0], stored["zero_point"][0])
    return End(
        name=tensor["name"],
        shape=_shape(tensor["shape"], tensor["shape_signature"]),
        dtype=type_name(tensor["type"]),
        quantization=known,
    )


def _arena(graph: Table, stored: Sequence[int]) -> int:
    """Most bytes of the tensors that are alive at the same time, if the operators run in order.

    A tensor lives from the operator that writes it to the last one that reads it; an input from the first, an output
    to the last. Constants stored in the file do not count.
    """
    last = len(graph["operators"])
    born: dict[int, int] = dict.fromkeys(graph["inputs"], 0)
    dies: dict[int, int] = {}
    for time, operator in enumerate(graph["operators"]):
        for index in (*operator["outputs"], *operator["intermediates"]):
            born.setdefault(index, time)
            dies.setdefault(index, time)
        dies.update(dict.fromkeys(operator["inputs"], time))
    dies.update(dict.fromkeys(graph["outputs"], last))
    steps = [0] * (last + 2)
    for index, time in born.items():
        tensor = graph["tensors"][index]
        if index >= 0 and not stored[tensor["buffer"]]:
            if len(tensor["shape"]) > _MOST_SIDES:
                raise ValueError("a tensor with more dimensions than any operator accepts")
            size = math.prod(max(side, 1) for side in tensor["shape"]) * TYPES.get(tensor["type"], ("", 4))[1]
            steps[time] += size
            steps[max(dies.get(index, time), time) + 1] -= size
    most = now = 0
    for step in steps:
        now += step
        most = max(most, now)
    return most


def _shape(stored: tuple[int, ...], signature: tuple[int, ...]) -> tuple[int, ...]:
    if len(signature) == len(stored) > 1 and signature[0] == -1:
        return stored[:1] + signature[1:]
    return signature or stored

"""What STRIDED_SLICE, CONCATENATION and PAD do to the sides of a picture: they make borders and cut them off."""

from __future__ import annotations

from quietcam.tflite.graph import Op

__all__ = ["cuts", "joins", "pads"]


def cuts(op: Op) -> tuple[slice, ...] | None:
    """The slice of each axis that a STRIDED_SLICE keeps, so written that it holds for pictures of any size.

    An end at the far side is None, and one that is counted from there is negative. None if the operator does more than
    cut: it has steps, drops or adds axes, or its places are computed.
    """
    options, (data, *places) = op.options, op.inputs
    if op.kind != "STRIDED_SLICE" or len(places) != 3 or any(each.data is None for each in places):
        return None
    if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask:
        return None
    begins, ends, steps = (each.data.tolist() for each in places if each.data is not None)
    if set(steps) != {1} or len(begins) != len(data.shape):
        return None
    found = []
    for axis, side in enumerate(data.shape):
        begin = 0 if options.beginMask >> axis & 1 else begins[axis]
        end = None if options.endMask >> axis & 1 or ends[axis] >= side else ends[axis]
        found.append(slice(begin, end))
    return tuple(found)


def joins(op: Op) -> int | None:
    """The axis along which a CONCATENATION joins pictures, from 0; None for another operator."""
    if op.kind != "CONCATENATION":
        return None
    axis = int(op.options.axis)
    return axis % len(op.outputs[0].shape)


def pads(op: Op) -> list[tuple[int, int]] | None:
    """How many zeros a PAD adds before and after, for each axis; None for another operator, or if they are computed."""
    if op.kind != "PAD" or op.inputs[1].data is None:
        return None
    return [(int(before), int(after)) for before, after in op.inputs[1].data.reshape(-1, 2)]

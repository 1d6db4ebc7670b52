"""Changes operators of a graph: names and orders its ends, makes outputs pixels, removes clips and depth-to-space.

The network ends in ``ReLU(max_value=1)``, which fixes the output's range at [0, 1]: scale 1/255, zero point -128. The
converter writes it as MINIMUM and RELU on the full frame, after an ADD whose output already has that scale. All 256
codes of such a tensor lie in [0, 1], so both operators only copy, and on small networks they take longer than
all convolutions. The clip of a video network's share is the same, on blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import ModelError
from quietcam.tflite.outline import end_names
from quietcam.tflite.packing import pack, schema, unpack

__all__ = ["cut_tail", "end_in_pixels", "operator_code", "order_ends", "remove_clips", "replace_depth_to_space"]


def remove_clips(content: bytes) -> tuple[bytes, list[str]]:
    """The model without its clips, and the kinds of the removed operators; the same bytes if there are none.

    An operator is removed if it is RELU, RELU6, RELU_0_TO_1 (no lower bound above the lowest code, no upper
    bound below the highest), or MINIMUM or MAXIMUM with a constant that no code exceeds, and if its
    input and output are int8 with scale 1/255 and zero point -128. So the outputs stay bit-identical.

    Args:
        content: a whole model with one subgraph, without appended manifest.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    removed: list[str] = []
    while (found := next(_clips(model, subgraph), None)) is not None:
        position, kind, source, target = found
        del subgraph.operators[position]
        _renumber(model, subgraph, {target: source})
        removed.append(kind)
    if not removed:
        return content, []
    _drop_unused(model, subgraph)
    return pack(model), removed


def end_in_pixels(content: bytes) -> bytes:
    """Give the int8 model outputs with scale 1/255 and zero point -128; the same bytes if it has them or is not int8.

    The kernels of sigmoid and tanh have fixed scales, 1/256 and 1/128. A QUANTIZE after them converts the codes to
    pixels. Values outside [0, 1] become black or white, as in the float model.

    Args:
        content: a whole model with one subgraph, without appended manifest.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    int8 = schema().TensorType.INT8
    others = [
        index
        for index in map(int, subgraph.outputs)
        if (end := subgraph.tensors[index]).type == int8
        and end.quantization is not None
        and not _is_pixels(subgraph, index)
    ]
    if not others:
        return content
    ends = {index: _quantized_to_pixels(model, subgraph, index) for index in others}
    subgraph.outputs = np.array([ends.get(int(i), int(i)) for i in subgraph.outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.outputs or []:
            entry.tensorIndex = ends.get(int(entry.tensorIndex), int(entry.tensorIndex))
    return pack(model)


def _quantized_to_pixels(model: Any, subgraph: Any, index: int) -> int:
    """Append a QUANTIZE of tensor ``index`` to pixels; the number of its output."""
    kinds = schema()
    given = subgraph.tensors[index]
    pixels = kinds.TensorT()
    pixels.type, pixels.shape, pixels.name, pixels.buffer = given.type, given.shape, b"pixels", 0
    if len(subgraph.outputs) > 1:  # names tell several outputs apart
        pixels.name, given.name = given.name, given.name + b"/unscaled"
    pixels.shapeSignature = given.shapeSignature
    pixels.quantization = kinds.QuantizationParametersT()
    pixels.quantization.scale = np.array([1 / 255], np.float32)
    pixels.quantization.zeroPoint = np.array([-128], np.int64)
    subgraph.tensors.append(pixels)
    end = len(subgraph.tensors) - 1
    op = _operator(model, "QUANTIZE", 2, [index], [end], kinds.QuantizeOptionsT())  # from int8 to int8
    subgraph.operators.append(op)
    return end


def order_ends(content: bytes, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> bytes:
    """The video model with its ends in the order noisy, history and denoised, history, and its tensors named so.

    The output ``history`` is called ``history_out``, because the input has that name. The same bytes if all is so.

    Args:
        content: a whole model with one subgraph, without appended manifest.
        inputs, outputs: what the ends hold now, in the graph's order. Defaults to the names in the signature.

    Raises:
        ModelError: an output is also an input, or both outputs are the same tensor.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    ends = [*map(int, subgraph.inputs), *map(int, subgraph.outputs)]
    if len(set(ends)) < len(ends):
        raise ModelError(
            "Every input and output of a video network must be a tensor of its own. Received: an output that is also "
            "an input, or the same output twice. Remedy: output the picture alone if it is what the network remembers."
        )
    changed = False
    for side, told, ours in (("inputs", inputs, _INPUTS), ("outputs", outputs, _OUTPUTS)):
        holds = dict(zip(map(int, getattr(subgraph, side)), told or _signature(model, side, subgraph), strict=True))
        ordered = sorted(holds, key=lambda end: list(ours).index(holds[end]))
        names = [ours[holds[end]] for end in ordered]
        changed |= ordered != list(holds) or names != [subgraph.tensors[end].name.decode() for end in ordered]
        setattr(subgraph, side, np.array(ordered, np.int32))
        for end, name in zip(ordered, names, strict=True):
            subgraph.tensors[end].name = name.encode()
    return pack(model) if changed else content


_INPUTS = {"noisy": "noisy", "history": "history"}
_OUTPUTS = {"denoised": "denoised", "history": "history_out"}
"""The tensor's name by what the end holds, in the order of the graph."""


def _signature(model: Any, side: str, subgraph: Any) -> list[str]:
    """What the first signature calls the inputs or outputs, in the graph's order."""
    (signature, *_) = model.signatureDefs
    names = {int(each.tensorIndex): each.name.decode() for each in getattr(signature, side)}
    return [names[int(end)] for end in getattr(subgraph, side)]


def cut_tail(content: bytes) -> tuple[bytes, int]:
    """The model whose picture ends before its DEPTH_TO_SPACE, and the block size; 0 if it does not end in one.

    That output is the same picture in space-to-depth order, byte for byte, since the operator only moves bytes. The
    output ``history`` of a video network stays as it is. 0 also if another operator reads the picture.

    Args:
        content: a whole model with one subgraph, without appended manifest; several outputs must have names.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    outputs = [int(each) for each in subgraph.outputs]
    names = end_names((), [subgraph.tensors[each].name.decode() for each in outputs], "denoised") or ("denoised",)
    target = outputs[names.index("denoised")]
    last = next((op for op in subgraph.operators if target in list(op.outputs)), None)
    if last is None or operator_code(model, last) != schema().BuiltinOperator.DEPTH_TO_SPACE:
        return content, 0
    source = int(last.inputs[0])
    if source in [*subgraph.inputs, *outputs] or any(target in list(op.inputs) for op in subgraph.operators):
        return content, 0
    block = int(last.builtinOptions.blockSize)
    subgraph.operators.remove(last)
    if len(outputs) > 1:  # names tell several outputs apart
        subgraph.tensors[source].name = subgraph.tensors[target].name
    _renumber(model, subgraph, {target: source})
    _drop_unused(model, subgraph)
    return pack(model), block


def replace_depth_to_space(content: bytes) -> bytes:
    """The model with every DEPTH_TO_SPACE written as SPLIT, CONCATENATION and RESHAPE; the same bytes if it has none.

    The three only move values, so every output stays bit-identical. A block's channels hold its rows, one after the
    other. SPLIT takes the rows apart, ``(1, H, W, block * C)`` each. CONCATENATION puts them side by side,
    ``(1, H, block * W, block * C)``: that is the order of the picture in memory, and RESHAPE names its shape,
    ``(1, block * H, block * W, C)``.

    Args:
        content: a whole model with one subgraph, batch 1, without appended manifest.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    kind = schema().BuiltinOperator.DEPTH_TO_SPACE
    found = [op for op in subgraph.operators if operator_code(model, op) == kind]
    if not found:
        return content
    for op in found:
        place = subgraph.operators.index(op)
        subgraph.operators[place : place + 1] = _moves(model, subgraph, op)
    _drop_unused(model, subgraph)
    return pack(model)


def _moves(model: Any, subgraph: Any, op: Any) -> list[Any]:
    """The three operators that do what the DEPTH_TO_SPACE ``op`` does."""
    kinds = schema()
    block, source, target = int(op.builtinOptions.blockSize), int(op.inputs[0]), int(op.outputs[0])
    _, height, width, depth = map(int, subgraph.tensors[source].shape)
    shape = np.array(subgraph.tensors[target].shape, np.int32)
    rows = [_like(subgraph, source, (1, height, width, depth // block), f"/row{row}") for row in range(block)]
    joined = _like(subgraph, source, (1, height, block * width, depth // block), "/rows")
    name = subgraph.tensors[source].name
    axis = _add_constant(model, subgraph, np.array(3, np.int32), name + b"/axis")
    sides = _add_constant(model, subgraph, shape, name + b"/shape")
    split, concatenation, reshape = kinds.SplitOptionsT(), kinds.ConcatenationOptionsT(), kinds.ReshapeOptionsT()
    split.numSplits, concatenation.axis, reshape.newShape = block, 2, shape
    return [
        _operator(model, "SPLIT", 2, [axis, source], rows, split),
        _operator(model, "CONCATENATION", 2, rows, [joined], concatenation),
        _operator(model, "RESHAPE", 1, [joined, sides], [target], reshape),
    ]


def _like(subgraph: Any, index: int, shape: Sequence[int], suffix: str) -> int:
    """Append a tensor of ``shape`` with the type and scale of tensor ``index``; its number."""
    given = subgraph.tensors[index]
    tensor = schema().TensorT()
    tensor.type, tensor.quantization, tensor.buffer = given.type, given.quantization, 0
    tensor.shape, tensor.name = np.array(shape, np.int32), given.name + suffix.encode()
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _add_constant(model: Any, subgraph: Any, values: NDArray[np.int32], name: bytes) -> int:
    """Append an int32 constant; the number of its tensor."""
    buffer, tensor = schema().BufferT(), schema().TensorT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.type, tensor.shape, tensor.name = schema().TensorType.INT32, np.array(values.shape, np.int32), name
    tensor.buffer = len(model.buffers) - 1
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _operator(model: Any, kind: str, version: int, inputs: Sequence[int], outputs: Sequence[int], options: Any) -> Any:
    """A new operator that is not yet in the graph; ``kind`` is the schema's name, as ``SPLIT``."""
    kinds = schema()
    code, op = kinds.OperatorCodeT(), kinds.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(kinds.BuiltinOperator, kind)
    code.version = version
    known = [(each.builtinCode, each.version) for each in model.operatorCodes]
    if (code.builtinCode, version) not in known:
        model.operatorCodes.append(code)
        known.append((code.builtinCode, version))
    op.opcodeIndex = known.index((code.builtinCode, version))
    op.inputs, op.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    op.builtinOptionsType = getattr(kinds.BuiltinOptions, type(options).__name__.removesuffix("T"))
    op.builtinOptions = options
    return op


def operator_code(model: Any, op: Any) -> int:
    """The number of an operator's kind, in a ``ModelT``."""
    code = model.operatorCodes[op.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _clips(model: Any, subgraph: Any) -> Iterator[tuple[int, str, int, int]]:
    """Position, kind, input and output of each operator that copies its input."""
    op = schema().BuiltinOperator
    bounds = {op.RELU: "RELU", op.RELU6: "RELU6", op.RELU_0_TO_1: "RELU_0_TO_1"}
    against = {op.MINIMUM: "MINIMUM", op.MAXIMUM: "MAXIMUM"}
    for position, each in enumerate(subgraph.operators):
        kind = operator_code(model, each)
        target = int(each.outputs[0]) if len(each.outputs) else -1
        if kind in bounds:
            source = int(each.inputs[0])
        elif kind in against:
            constants = [i for i in each.inputs if _constant(model, subgraph, int(i)) is not None]
            if len(constants) != 1 or not _exceeds_nothing(model, subgraph, int(constants[0]), kind == op.MINIMUM):
                continue
            source = int(next(i for i in each.inputs if i != constants[0]))
        else:
            continue
        # Names of inputs and outputs are part of the contract with callers, so an input cannot become an output.
        is_both_ends = source in subgraph.inputs and target in subgraph.outputs
        if _is_pixels(subgraph, source) and _is_pixels(subgraph, target) and not is_both_ends:
            yield position, bounds.get(kind) or against[kind], source, target


def _exceeds_nothing(model: Any, subgraph: Any, index: int, is_minimum: bool) -> bool:
    """True if this int8 constant is the highest code for a MINIMUM, the lowest for a MAXIMUM, at pixel scale."""
    values = _constant(model, subgraph, index)
    if values is None or not _is_pixels(subgraph, index):
        return False
    return bool(np.all(values.view(np.int8) == (127 if is_minimum else -128)))


def _constant(model: Any, subgraph: Any, index: int) -> Any:
    data = model.buffers[subgraph.tensors[index].buffer].data
    return None if data is None or not len(data) else np.asarray(data, np.uint8)


def _is_pixels(subgraph: Any, index: int) -> bool:
    tensor = subgraph.tensors[index]
    quantization = tensor.quantization
    if tensor.type != schema().TensorType.INT8 or quantization is None or quantization.scale is None:
        return False
    scale, zero_point = list(quantization.scale), list(quantization.zeroPoint)
    return len(scale) == 1 and np.float32(scale[0]) == np.float32(1 / 255) and zero_point == [-128]


def _renumber(model: Any, subgraph: Any, number: Mapping[int, int]) -> None:
    """Replace references to tensors by those that ``number`` maps them to."""

    def renumbered(tensors: Any) -> Any:
        return None if tensors is None else np.array([number.get(int(i), int(i)) for i in tensors], np.int32)

    for op in subgraph.operators:
        op.inputs, op.outputs = renumbered(op.inputs), renumbered(op.outputs)
        op.intermediates = renumbered(op.intermediates)
    subgraph.inputs, subgraph.outputs = renumbered(subgraph.inputs), renumbered(subgraph.outputs)
    for signature in model.signatureDefs or []:
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            entry.tensorIndex = number.get(int(entry.tensorIndex), int(entry.tensorIndex))


def _drop_unused(model: Any, subgraph: Any) -> None:
    """Remove tensors and operator codes that nothing refers to, and empty the buffers of these tensors."""
    lists = [subgraph.inputs, subgraph.outputs]
    lists += [tensors for op in subgraph.operators for tensors in (op.inputs, op.outputs, op.intermediates)]
    used = sorted({int(i) for tensors in lists if tensors is not None for i in tensors if i >= 0})
    kept_buffers = {subgraph.tensors[i].buffer for i in used}
    for index, tensor in enumerate(subgraph.tensors):
        if index not in used and tensor.buffer not in kept_buffers:
            model.buffers[tensor.buffer].data = None
    _renumber(model, subgraph, {old: new for new, old in enumerate(used)})
    subgraph.tensors = [subgraph.tensors[i] for i in used]
    codes = sorted({op.opcodeIndex for op in subgraph.operators})
    for op in subgraph.operators:
        op.opcodeIndex = codes.index(op.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in codes]

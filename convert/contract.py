"""The contract that every converted model keeps: what its graph, its types and its ends must be."""

from __future__ import annotations

from convert.recipes import Recipe
from quietcam.errors import ModelError
from quietcam.tflite.graph import Graph, Op, Tensor
from quietcam.tflite.quantization import Quantization

__all__ = ["check_contract"]


def check_contract(
    graph: Graph, recipe: Recipe, shape: tuple[int, int, int, int], block: int = 0, is_mixed: bool = False
) -> None:
    """Check a graph against the contract of models that ship.

    The graph has one input and one output of ``shape``, or the ends of a video network, and every shape is static. In
    full int8 every operator is int8 (so no SHAPE or PACK of a dynamic batch is left, and no QUANTIZE at an end),
    weights have one scale per channel, and all ends are the pixel identity. With other recipes the ends are float32,
    and weights and activations have the types that the recipe states.

    Args:
        block: block side of the depth-to-space that is left to the host; 0 if the output is the picture.
        is_mixed: some operators were left in float on purpose.

    Raises:
        ModelError: the graph breaks the contract; the message says where, and what to do about it.
    """
    ends = (*graph.inputs, *graph.outputs)
    _check_ends(graph, shape, block)
    if not graph.is_static:
        dynamic = next(tensor for tensor in graph.tensors if -1 in tensor.shape)
        raise _broken("static shapes", f"{dynamic.name} {dynamic}", "remove layers that read a shape at run time")
    if not recipe.is_full_int8:
        if any(end.dtype != "float32" for end in ends):
            raise _broken("float32 ends", "; ".join(map(str, ends)), "convert a float model, without fake quantization")
        _check_types(graph, recipe)
        return
    others = [op for op in graph.ops if not op.is_int8]
    if others and not is_mixed:
        op = others[0]
        raise _broken(
            "int8 in every operator",
            f"{len(others)} of {len(graph.ops)} are not int8, the first is {op.kind} "
            f"({', '.join(map(str, op.activations))})",
            "with QAT, fake-quantize the outputs of the layers before and after it, and fake-quantize the last Add at "
            "[0, 1] instead of a clip; without QAT, replace the layer by one that has an int8 kernel",
        )
    shared = next((op for op in graph.ops if op.is_int8 and not _is_per_channel(op)), None)
    if shared is not None:
        raise _broken(
            "weights with a scale for each channel",
            f"{shared.kind} {shared.outputs[0].name} with {len(shared.weights.scales) if shared.weights else 0}",
            "with QAT, let convolutions fake-quantize their weights per channel, as tfmot does",
        )
    named = _named_ends(graph)
    which = "both" if len(named) == 2 else "all"
    for word, end in named.items():
        if not _is_pixels(end):
            raise _broken(
                f"{which} ends at scale 1/255 and zero point -128",
                f"{word} with scale {', '.join(f'{s:.8f}' for s in end.scales)}, zero point "
                f"{', '.join(map(str, end.zero_points))}",
                "feed pixels divided by 255 (a set by `quietcam calibrate`), and end the network in "
                f"ReLU(max_value=1); with QAT, fix {which} ends' fake quantization at [0, 1]",
            )


def _check_ends(graph: Graph, shape: tuple[int, int, int, int], block: int) -> None:
    """Check that a picture of ``shape`` is at every end."""
    batch, height, width, channels = shape
    out = (batch, height // block, width // block, channels * block**2) if block else shape
    remembers = graph.history is not None
    most = 2 if remembers else 1
    sizes = [shape] * len(graph.inputs) + [out] + [shape] * (len(graph.outputs) - 1)
    found = [each.shape for each in (*graph.inputs, *graph.outputs)]
    if len(graph.inputs) != most or not 1 <= len(graph.outputs) <= most or found != sizes:
        raise _broken(
            f"inputs noisy and history and outputs denoised and maybe history, all of shape {list(shape)}"
            if remembers
            else f"one input of shape {list(shape)} and one output of shape {list(out)}",
            "; ".join(map(str, (*graph.inputs, *graph.outputs))),
            "give the network one picture in and one picture of the same size out"
            + ", and a history of that size" * remembers,
        )


def _named_ends(graph: Graph) -> dict[str, Tensor]:
    """The inputs and outputs by what messages call them."""
    if graph.history is None or graph.remembered is None:
        return {"input": graph.noisy, "output": graph.denoised}
    ends = {"input noisy": graph.noisy, "input history": graph.history, "output denoised": graph.denoised}
    return ends if graph.remembered.index == graph.denoised.index else ends | {"output history": graph.remembered}


def _is_per_channel(op: Op) -> bool:
    """False for a convolution whose channels share one scale; True for all else, and for a single channel."""
    if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or op.weights is None:
        return True
    return len(op.weights.scales) == op.weights.shape[3 if op.kind == "DEPTHWISE_CONV_2D" else 0]


def _check_types(graph: Graph, recipe: Recipe) -> None:
    """Check that a model with float ends has the types that the recipe states."""
    if recipe.activations == "int16":
        inner = [op for op in graph.ops if op.weights is not None]
        others = [op for op in inner if any(each.dtype != "int16" for each in op.activations)]
        if others:
            op = others[0]
            raise _broken(
                "int16 activations in every operator with weights",
                f"{len(others)} of {len(inner)} are not int16, the first is {op.kind} "
                f"({', '.join(map(str, op.activations))})",
                "replace the layer by one that has an int16 kernel, or choose another recipe",
            )
    types = {each.dtype for op in graph.ops for each in op.inputs if each.is_constant and len(each.shape) == 4}
    if types and recipe.weights not in types and any(op.weights is not None for op in graph.ops):
        remedy = "choose `recipe=float32`: TFLite does not change small weights (under 1024 values with dynamic_int8)"
        raise _broken(f"{recipe.weights} weights", ", ".join(sorted(types)), remedy)


def _is_pixels(end: Tensor) -> bool:
    return (
        end.dtype == "int8"
        and len(end.scales) == len(end.zero_points) == 1
        and Quantization(end.scales[0], end.zero_points[0]).is_pixel_identity
    )


def _broken(rule: str, received: str, remedy: str) -> ModelError:
    return ModelError(f"A converted model must have {rule}. Received: {received}. Remedy: {remedy}.")

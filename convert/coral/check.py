"""The preflight: predicts what the Edge TPU's compiler does with a model; needs no compiler and no Coral."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convert.coral.compiled import describe_compiled
from convert.coral.conditions import is_static
from convert.coral.memory import MIB, Estimate, Memory, estimate, largest_tile, measure
from convert.coral.report import CheckReport, FrameRuns, JudgedOp, many, memory_fault
from convert.coral.rules import JudgedCondition, Verdict, judge
from edge.network.modelfile import load_model
from quietcam.errors import ModelError
from quietcam.tflite.content import read_content
from quietcam.tflite.graph import Graph, Op, read_graph
from quietcam.tflite.outline import read_outline
from quietcam.tiling import TileGrid

__all__ = ["check_content", "check_model"]


def check_model(path: Path) -> CheckReport:
    """Run the preflight on a model file.

    Raises:
        UsageError, ModelError: as ``read_content``; also if the file is not a complete TensorFlow Lite model.
        MissingExtraError: LiteRT's schema is not installed.
    """
    report = _naming(check_content(read_content(path), path.name), path)
    return replace(report, frames=_frames(path)) if report.estimates else report


def _naming(report: CheckReport, path: Path) -> CheckReport:
    """Put the model's own path into the commands of the remedies."""

    def named(finding: JudgedCondition) -> JudgedCondition:
        return replace(finding, remedy=finding.remedy.replace(" MODEL ", f" {shlex.quote(str(path))} "))

    ops = (replace(op, findings=tuple(map(named, op.findings))) for op in report.ops)
    return replace(report, ops=tuple(ops))


def _frames(path: Path) -> tuple[FrameRuns, ...]:
    """How many tiles the device cuts common frames into."""
    try:
        model = load_model(path)
    except ModelError:
        return ()
    reach = model.reach
    margin = reach if reach is not None and 2 * reach <= model.overlap else None
    grids = (
        TileGrid(height, width, model.height, model.width, overlap=model.overlap, stride=model.stride, margin=margin)
        for width, height in _FRAMES
    )
    return tuple(FrameRuns(each.width, each.height, len(each)) for each in grids)


_FRAMES = ((640, 480), (1280, 720), (1920, 1080))


def check_content(content: bytes, name: str) -> CheckReport:
    """Run the preflight on the ``content`` of a model file."""
    outline = read_outline(content, name)
    if outline.subgraphs != 1:
        fault = (
            f"a model with {outline.subgraphs} subgraphs, as loops and branches make: nothing is expected to map. "
            "Remedy: unroll loops, remove branches"
        )
        return CheckReport(name, len(content), (), None, (fault,), (), None, (), 0)
    graph = read_graph(content, name)
    compiled = describe_compiled(graph)
    judged = [judge(op) for op in graph.ops]
    chip = set() if compiled is not None else _on_chip(graph.ops, [verdict for verdict, _ in judged])
    ops = tuple(
        JudgedOp(
            number,
            op.kind,
            op.version,
            tuple(map(str, op.inputs)),
            ", ".join(map(str, op.outputs)),
            op.macs if is_static(op) else 0,
            verdict,
            findings,
            number in chip,
        )
        for number, (op, (verdict, findings)) in enumerate(zip(graph.ops, judged, strict=True))
    )
    on_chip = {number: graph.ops[number] for number in sorted(chip)}
    memory = measure(on_chip) if on_chip else None
    faults, remarks = _whole(graph, memory, len(on_chip))
    whole = bool(on_chip) and len(on_chip) == len(graph.ops) and not faults
    return CheckReport(
        name=name,
        bytes=len(content),
        ops=() if compiled is not None else ops,
        compiled=compiled,
        faults=() if compiled is not None else faults,
        remarks=() if compiled is not None else remarks,
        memory=memory,
        estimates=tuple(_estimates(graph, memory)) if whole and memory is not None else (),
        per_channel=sum(op.weights is not None and len(op.weights.scales) > 1 for op in graph.ops),
    )


def _on_chip(ops: Sequence[Op], verdicts: Sequence[Verdict]) -> set[int]:
    """The numbers of the operators that run on the chip: those that map and need no output of a CPU operator after it.

    "The compiler cannot partition the model more than once" (coral.ai): an operator that needs the output of an
    unmapped operator also runs on the CPU. Data flow decides, not order: the compiler maps each of MoveNet's four heads
    up to its own end. Unmapped operators at the start, such as a QUANTIZE of a float input, run before the chip.
    """
    if Verdict.REFUSED in verdicts:
        return set()
    chip: set[int] = set()
    made_by_chip: set[int] = set()  # tensors that the chip makes
    behind: set[int] = set()  # tensors that the CPU computes from those
    for number, (op, verdict) in enumerate(zip(ops, verdicts, strict=True)):
        read, made = {each.index for each in op.inputs}, {each.index for each in op.outputs}
        if read & behind:
            behind |= made
        elif verdict in (Verdict.TPU, Verdict.OPEN):
            chip.add(number)
            made_by_chip |= made
        elif read & made_by_chip:
            behind |= made
    return chip


def _whole(graph: Graph, memory: Memory | None, on_chip: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Faults of the model as a whole, and remarks about it."""
    faults, remarks = [], []
    dynamic = [each.name or str(each.index) for each in graph.tensors if any(side < 0 for side in each.shape)]
    if dynamic:
        faults.append(
            f"{many(len(dynamic), 'tensor')} of dynamic size, the first is {dynamic[0]}: the compiler accepts only "
            "static sizes. Remedy: convert with a fixed size, batch 1"
        )
    twice = [number for number, count in Counter(each.index for each in graph.outputs).items() if count > 1]
    if twice:
        faults.append(
            f"the output {graph.tensors[twice[0]].name or twice[0]} is listed twice. "
            "Remedy: convert again with each output once"
        )
    remarks += _duplicates(graph)
    if memory is not None and not memory.fits:
        remarks.append(memory_fault(memory))
    elif memory is not None and not memory.is_far_from_the_cliff:
        remarks.append(
            f"parameters and activations take {(memory.parameters + memory.activations) / MIB:.1f} MiB, more than half "
            f"of the chip. Remedy: {_tile_remedy(graph, memory)}"
        )
    if not on_chip and graph.ops:
        remarks.append("nothing is expected to run on the Edge TPU")
    return tuple(faults), tuple(remarks)


def _duplicates(graph: Graph) -> list[str]:
    """Names that several tensors share, and constants that are stored more than once."""
    found = []
    named = [name for name, count in Counter(each.name for each in graph.tensors).items() if name and count > 1]
    if named:
        found.append(
            f"several tensors are called {named[0]} ({len(named)} such names): the compiler identifies tensors by name"
        )
    stored = Counter(
        (each.dtype, each.shape, each.scales, each.data.tobytes())
        for each in graph.tensors
        if each.data is not None and each.size >= _WORTH_NAMING
    )
    spare = sum((count - 1) * len(key[3]) for key, count in stored.items())
    if spare:
        found.append(f"constants are stored more than once: {spare / MIB:.2f} MiB that the chip may hold twice")
    return found


_WORTH_NAMING = 64  # elements; smaller constants may be equal by chance


def _tile_remedy(graph: Graph, memory: Memory) -> str:
    shape = graph.inputs[0].shape
    if len(shape) != 4:
        return "a smaller size"
    return f"tiles of {largest_tile(memory, shape[1], shape[2], graph.stride)} pixels at most"


def _estimates(graph: Graph, memory: Memory) -> list[Estimate]:
    sent = sum(each.size for each in (*graph.inputs, *graph.outputs))
    return estimate(sent, memory.streamed, sum(op.macs for op in graph.ops))

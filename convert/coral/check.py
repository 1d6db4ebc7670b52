"""The preflight: what the Edge TPU's compiler is expected to make of a model, told without it and without a Coral."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.coral.compiled import Compiled, describe_compiled
from convert.coral.memory import MIB, PARAMETERS_MOST, Estimate, Memory, assumptions, estimate, largest_tile, measure
from convert.coral.rules import Finding, Verdict, judge
from convert.flatbuffer import Graph, Op, read_graph
from edge.flatbuffer import read_outline
from quietcam.errors import ModelError, UsageError

__all__ = ["CheckReport", "JudgedOp", "check_content", "check_model", "read_model"]


@dataclass(frozen=True)
class JudgedOp:
    """One operator: what it is, what is expected of it, and where it will run.

    ``on_tpu`` differs from the verdict where it would map but stands outside the one stretch that runs on the chip.
    """

    number: int
    kind: str
    version: int
    inputs: tuple[str, ...]
    output: str
    macs: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    on_tpu: bool

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Conditions that do not hold."""
        return tuple(each for each in self.findings if each.holds is False)

    @property
    def open(self) -> tuple[Finding, ...]:
        """Conditions of which nobody knows whether they hold."""
        return tuple(each for each in self.findings if each.holds is None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "op": self.kind,
            "version": self.version,
            "inputs": list(self.inputs),
            "output": self.output,
            "macs": self.macs,
            "verdict": self.verdict.value,
            "runs_on": "TPU" if self.on_tpu else "CPU",
            "conditions": [asdict(each) for each in self.findings],
        }


@dataclass(frozen=True)
class CheckReport:
    """All that the preflight says of one model.

    Attributes:
        faults: what concerns the model as a whole and keeps it from running on the chip, each with its remedy.
        remarks: what is worth knowing and keeps it from nothing.
        memory: of the stretch that runs on the chip; None where nothing does.
        estimates: by bus, for one run; empty where something falls back, since nobody can say then.
    """

    name: str
    bytes: int
    ops: tuple[JudgedOp, ...]
    compiled: Compiled | None
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    memory: Memory | None
    estimates: tuple[Estimate, ...]
    per_channel: int

    @property
    def refused(self) -> bool:
        """Is the compiler expected to take no part of it?"""
        return any(op.verdict is Verdict.REFUSED for op in self.ops)

    @property
    def on_tpu(self) -> int:
        """How many operators are expected on the chip."""
        return sum(op.on_tpu for op in self.ops)

    @property
    def on_cpu(self) -> int:
        """How many are expected on the CPU."""
        return len(self.ops) - self.on_tpu

    @property
    def open(self) -> int:
        """Of how many operators on the chip nobody knows for sure."""
        return sum(op.on_tpu and op.verdict is Verdict.OPEN for op in self.ops)

    @property
    def first_on_cpu(self) -> JudgedOp | None:
        """Where the fall begins: the first operator behind the stretch on the chip, or the first of all."""
        behind = False
        for op in self.ops:
            if op.on_tpu:
                behind = True
            elif behind or not self.on_tpu:
                return op
        return next((op for op in self.ops if not op.on_tpu), None)

    @property
    def holds(self) -> bool:
        """Is the whole of it expected to run on the chip, from the chip's own memory?"""
        if self.compiled is not None:
            return not self.compiled.on_cpu and self.compiled.programs == 1
        return not self.faults and self.on_cpu == 0 and (self.memory is None or self.memory.fits)

    @property
    def verdict(self) -> str:
        """One line, with the remedy where there is one."""
        if self.compiled is not None:
            left = len(self.compiled.on_cpu)
            return (
                "compiled already: all of it runs on the Edge TPU"
                if self.holds
                else f"compiled already, and {_many(left, 'operator')} stayed on the CPU"
                if left
                else f"compiled already, into {self.compiled.programs} parts"
            )
        if self.refused:
            culprit = next(op for op in self.ops if op.verdict is Verdict.REFUSED)
            return f"the compiler is expected to refuse the model: {_reason(culprit)}"
        if self.on_cpu:
            first = self.first_on_cpu
            assert first is not None
            return (
                f"{self.on_cpu} of {_many(len(self.ops), 'operator')} will run on the CPU, "
                f"from number {first.number} on: {_reason(first)}"
            )
        if self.faults:
            return self.faults[0]
        assert self.memory is not None
        if not self.memory.fits:
            return (
                f"all {len(self.ops)} operators map, but not from the chip's own memory: {_memory_fault(self.memory)}"
            )
        doubt = f"; of {self.open} nobody knows for sure" if self.open else ""
        return f"all {_many(len(self.ops), 'operator')} are expected to run on the Edge TPU{doubt}"

    @property
    def expectation(self) -> str:
        """The verdict without its remedy."""
        return self.verdict.split(". Remedy:")[0]

    @property
    def expected_log(self) -> dict[str, int]:
        """By kind: how many are expected on the chip, to hold against the compiler's own log."""
        return dict(Counter(op.kind for op in self.ops if op.on_tpu))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        memory = self.memory
        return {
            "model": self.name,
            "bytes": self.bytes,
            "verdict": self.verdict,
            "holds": self.holds,
            "compiled": None if self.compiled is None else asdict(self.compiled),
            "on_tpu": self.on_tpu,
            "on_cpu": self.on_cpu,
            "open": self.open,
            "faults": list(self.faults),
            "remarks": list(self.remarks),
            "weights_per_channel": self.per_channel,
            "memory": None
            if memory is None
            else asdict(memory) | {"cached": memory.cached, "streamed": memory.streamed, "fits": memory.fits},
            "estimate_ms": {each.bus: asdict(each) | {"total": each.total} for each in self.estimates},
            "assumptions": assumptions() if self.estimates else [],
            "ops": [op.to_dict() for op in self.ops],
        }


def read_model(path: Path) -> bytes:
    """A model file's content.

    Raises:
        UsageError: there is no such file.
        ModelError: it cannot be read.
    """
    if not path.is_file():
        found = "which is no file" if path.exists() else "which is not there"
        raise UsageError(f"A model is a .tflite file. Received: {path}, {found}. Remedy: `quietcam models` lists some.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"Cannot read the model {path}: {error.strerror}. Remedy: make the file readable.") from error


def check_model(path: Path) -> CheckReport:
    """The preflight of a model file.

    Raises:
        UsageError, ModelError: as ``read_model``; also where it is no whole TensorFlow Lite model.
        MissingExtraError: LiteRT's schema is not installed.
    """
    return check_content(read_model(path), path.name)


def check_content(content: bytes, name: str) -> CheckReport:
    """The preflight of a model file's ``content``."""
    outline = read_outline(content, name)
    if outline.subgraphs != 1:
        fault = (
            f"a model with {outline.subgraphs} subgraphs, as loops and choices make: none of it is expected to map. "
            "Remedy: unroll loops, take branches out"
        )
        return CheckReport(name, len(content), (), None, (fault,), (), None, (), 0)
    graph = read_graph(content, name)
    compiled = describe_compiled(graph)
    judged = [judge(op) for op in graph.ops]
    stretch = range(0) if compiled is not None else _stretch([verdict for verdict, _ in judged])
    ops = tuple(
        JudgedOp(
            number,
            op.kind,
            op.version,
            tuple(map(str, op.inputs)),
            ", ".join(map(str, op.outputs)),
            op.macs if _is_static(op) else 0,
            verdict,
            findings,
            number in stretch,
        )
        for number, (op, (verdict, findings)) in enumerate(zip(graph.ops, judged, strict=True))
    )
    on_chip = [graph.ops[number] for number in stretch]
    memory = measure(on_chip, stretch.start) if on_chip else None
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


def _stretch(verdicts: list[Verdict]) -> range:
    """The numbers of the operators that run on the chip: the first unbroken stretch that maps.

    "The compiler cannot partition the model more than once" (coral.ai): what stands behind the first operator that
    does not map stays on the CPU, too. Leading ones that do not map, as the QUANTIZE of a float input, come before it.
    """
    if Verdict.REFUSED in verdicts:
        return range(0)
    good = [verdict in (Verdict.TPU, Verdict.OPEN) for verdict in verdicts]
    if True not in good:
        return range(0)
    start = good.index(True)
    stop = good.index(False, start) if False in good[start:] else len(good)
    return range(start, stop)


def _whole(graph: Graph, memory: Memory | None, on_chip: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Faults and remarks about the model as a whole."""
    faults, remarks = [], []
    dynamic = [each.name or str(each.index) for each in graph.tensors if any(side < 0 for side in each.shape)]
    if dynamic:
        faults.append(
            f"{_many(len(dynamic), 'tensor')} of dynamic size, the first is {dynamic[0]}: the compiler takes static "
            "sizes only. Remedy: convert with a fixed --size, batch 1"
        )
    twice = [number for number, count in Counter(each.index for each in graph.outputs).items() if count > 1]
    if twice:
        faults.append(
            f"the output {graph.tensors[twice[0]].name or twice[0]} is listed twice. "
            "Remedy: convert again with each output once"
        )
    remarks += _duplicates(graph)
    if memory is not None and not memory.fits:
        remarks.append(_memory_fault(memory))
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
            f"several tensors are called {named[0]} ({len(named)} such names): the compiler tells them by name"
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


_WORTH_NAMING = 64  # elements; small constants repeat by chance


def _memory_fault(memory: Memory) -> str:
    parts = []
    if memory.parameters > PARAMETERS_MOST:
        parts.append(
            f"parameters take {memory.parameters / MIB:.1f} MiB where {PARAMETERS_MOST / MIB:.1f} fit, the rest is "
            "sent for every run. Remedy: a narrower network"
        )
    else:
        parts.append(
            f"activations take up to {memory.activations / MIB:.1f} MiB at number {memory.widest}, beside "
            f"{memory.parameters / MIB:.1f} MiB of parameters, where 8 fit in all: a run may take many times as long "
            "(google-coral/edgetpu #502). Remedy: a smaller --size or --tile"
        )
    return "; ".join(parts)


def _tile_remedy(graph: Graph, memory: Memory) -> str:
    shape = graph.inputs[0].shape
    if len(shape) != 4:
        return "a smaller size"
    return f"tiles of {largest_tile(memory, shape[1], shape[2], graph.stride)} pixels at most"


def _estimates(graph: Graph, memory: Memory) -> list[Estimate]:
    sent = sum(each.size for each in (*graph.inputs, *graph.outputs))
    return estimate(sent, memory.streamed, sum(op.macs for op in graph.ops))


def _is_static(op: Op) -> bool:
    return all(side >= 0 for each in (*op.inputs, *op.outputs) for side in each.shape)


def _reason(op: JudgedOp) -> str:
    """Why an operator does not map, with the remedy, in one breath."""
    if not op.broken:
        return f"{op.kind} would map, but stands behind one that does not"
    finding = op.broken[0]
    return f"{op.kind}: {finding.text}" + (f". Remedy: {finding.remedy}" if finding.remedy else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")

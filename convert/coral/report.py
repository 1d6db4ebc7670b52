"""The preflight's report: for each operator, for the whole model, and in one line."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from convert.coral.compiled import Compiled
from convert.coral.memory import MIB, PARAMETERS_MOST, Estimate, Memory, assumptions
from convert.coral.rules import JudgedCondition, Verdict

__all__ = ["CheckReport", "FrameRuns", "JudgedOp", "many", "memory_fault"]


@dataclass(frozen=True)
class JudgedOp:
    """One operator: what it is, the verdict on it, and where it will run.

    ``on_tpu`` differs from the verdict if the operator would map but needs the output of an operator on the CPU.
    """

    number: int
    kind: str
    version: int
    inputs: tuple[str, ...]
    output: str
    macs: int
    verdict: Verdict
    findings: tuple[JudgedCondition, ...]
    on_tpu: bool

    @property
    def broken(self) -> tuple[JudgedCondition, ...]:
        """Conditions that are not met."""
        return tuple(each for each in self.findings if each.holds is False)

    @property
    def open(self) -> tuple[JudgedCondition, ...]:
        """Conditions for which it is unknown whether they are met."""
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
class FrameRuns:
    """How many runs of the model a frame of this size takes, overlaps included."""

    width: int
    height: int
    tiles: int


@dataclass(frozen=True)
class CheckReport:
    """The preflight's report on one model.

    Attributes:
        faults: faults of the whole model that prevent it from running on the chip, each with its remedy.
        remarks: facts worth knowing that prevent nothing.
        memory: needs of the part that runs on the chip; None if no part does.
        estimates: time of one run, by bus; empty if an operator runs on the CPU, since the time is then unknown.
        per_channel: how many operators have weights with a scale for each channel.
        frames: how many runs common frame sizes need; empty if the device would refuse the model.
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
    frames: tuple[FrameRuns, ...] = ()

    @property
    def refused(self) -> bool:
        """True if the compiler is expected to map nothing."""
        return any(op.verdict is Verdict.REFUSED for op in self.ops)

    @property
    def on_tpu(self) -> int:
        """How many operators are expected to run on the chip."""
        return sum(op.on_tpu for op in self.ops)

    @property
    def on_cpu(self) -> int:
        """How many operators are expected to run on the CPU."""
        return len(self.ops) - self.on_tpu

    @property
    def open(self) -> int:
        """How many operators on the chip have a condition that is unknown."""
        return sum(op.on_tpu and op.verdict is Verdict.OPEN for op in self.ops)

    @property
    def first_on_cpu(self) -> JudgedOp | None:
        """The first operator on the CPU after the part on the chip, or else the first on the CPU."""
        behind = False
        for op in self.ops:
            if op.on_tpu:
                behind = True
            elif behind or not self.on_tpu:
                return op
        return next((op for op in self.ops if not op.on_tpu), None)

    @property
    def holds(self) -> bool:
        """True if the whole model is expected to run on the chip, from the chip's own memory."""
        if self.compiled is not None:
            return not self.compiled.on_cpu and self.compiled.programs == 1
        return not self.faults and self.on_cpu == 0 and (self.memory is None or self.memory.fits)

    @property
    def verdict(self) -> str:
        """The result in one line, with a remedy if there is one."""
        if self.compiled is not None:
            if self.holds:
                return "already compiled: all of it runs on the Edge TPU"
            left = len(self.compiled.on_cpu)
            what = f"{many(left, 'operator')} left on the CPU" if left else f"in {self.compiled.programs} parts"
            return (
                f"already compiled, with {what}. Remedy: `quietcam coral check` of the model that it was compiled from "
                "says why"
            )
        if self.refused:
            culprit = next(op for op in self.ops if op.verdict is Verdict.REFUSED)
            return f"the compiler is expected to refuse the model: {_reason(culprit)}"
        if self.on_cpu:
            first = self.first_on_cpu
            assert first is not None
            return (
                f"{self.on_cpu} of {many(len(self.ops), 'operator')} will run on the CPU, "
                f"beginning with number {first.number}: {_reason(first)}"
            )
        if self.faults:
            return self.faults[0]
        assert self.memory is not None
        if not self.memory.fits:
            count = many(len(self.ops), "operator")
            return f"all {count} map, but not from the chip's own memory: {memory_fault(self.memory)}"
        doubt = f"; for {self.open} this is not certain" if self.open else ""
        return f"all {many(len(self.ops), 'operator')} are expected to run on the Edge TPU{doubt}"

    @property
    def expectation(self) -> str:
        """The verdict without its remedy."""
        return self.verdict.split(". Remedy:")[0]

    @property
    def expected_log(self) -> dict[str, int]:
        """How many operators of each kind are expected on the chip, for comparison with the compiler's log."""
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
            "frames": [asdict(each) for each in self.frames],
            "ops": [op.to_dict() for op in self.ops],
        }


def memory_fault(memory: Memory) -> str:
    """What exceeds the chip's memory, and what to do."""
    parts = []
    if memory.parameters > PARAMETERS_MOST:
        parts.append(
            f"parameters take {memory.parameters / MIB:.1f} MiB, but only {PARAMETERS_MOST / MIB:.1f} fit; the rest is "
            "sent for every run. Remedy: use a narrower network"
        )
    else:
        parts.append(
            f"activations take up to {memory.activations / MIB:.1f} MiB at number {memory.widest}, and parameters take "
            f"{memory.parameters / MIB:.1f} MiB, but only 8 MiB fit in total: a run may take many times as long "
            "(google-coral/edgetpu #502). Remedy: use a smaller size or tile"
        )
    return "; ".join(parts)


def _reason(op: JudgedOp) -> str:
    """Why an operator does not map, and the remedy, in one line."""
    if not op.broken:
        return f"{op.kind} would map, but needs the output of an operator that runs on the CPU"
    finding = op.broken[0]
    return f"{op.kind}: {finding.text}" + (f". Remedy: {finding.remedy}" if finding.remedy else "")


def many(count: int, noun: str) -> str:
    """``1 tensor``, ``2 tensors``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")

"""Reads the Edge TPU compiler's log: what it mapped, how much memory of the chip it used, why it failed.

The format is known from logs in google-coral/edgetpu's issues (#490, #433, #686 of compiler 16; #393, #358 of 15).
This project has never run the compiler itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from convert.coral.conditions import QUANTIZE

__all__ = ["CompileLog", "Failure", "LoggedOp", "explain_failure", "parse_log", "parse_version"]

MAPPED = "Mapped to Edge TPU"

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)"
_VERSION = re.compile(r"Edge TPU Compiler version (\d+(?:\.\d+)*)")
_ROW = re.compile(r"^([A-Z][A-Z0-9_]*(?: [\w-]+)?) {2,}(\d+) {2,}(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class LoggedOp:
    """A row of the log's table: a kind of operator, how many, and their status in the compiler's words."""

    kind: str
    count: int
    status: str

    @property
    def is_mapped(self) -> bool:
        return self.status == MAPPED


@dataclass(frozen=True)
class CompileLog:
    """The log of a successful run. Sizes in bytes; None if the log does not state them."""

    version: str | None
    milliseconds: int | None
    used: int | None
    remaining: int | None
    streamed: int | None
    subgraphs: int | None
    ops: tuple[LoggedOp, ...]

    @property
    def mapped(self) -> dict[str, int]:
        """How many operators of each kind run on the chip."""
        return _sum(each for each in self.ops if each.is_mapped)

    @property
    def on_cpu(self) -> dict[str, int]:
        """How many operators of each kind run on the CPU."""
        return _sum(each for each in self.ops if not each.is_mapped)


@dataclass(frozen=True)
class Failure:
    """Why there is no compiled model, and what to do."""

    cause: str
    remedy: str


def parse_version(text: str) -> str | None:
    """The version, such as ``16.0.384591198``, from the line with which every run begins."""
    found = _VERSION.search(text)
    return found[1] if found else None


def parse_log(text: str) -> CompileLog | None:
    """Parse what the compiler printed; None if it does not state that the model was compiled."""
    done = re.search(r"Model compiled successfully in (\d+) ms", text)
    if done is None or re.search(r"^Compilation failed!", text, re.MULTILINE):
        return None
    return CompileLog(
        version=parse_version(text),
        milliseconds=int(done[1]),
        used=_size(text, "On-chip memory used for caching model parameters"),
        remaining=_size(text, "On-chip memory remaining for caching model parameters"),
        streamed=_size(text, "Off-chip memory used for streaming uncached model parameters"),
        subgraphs=_number(text, "Number of Edge TPU subgraphs"),
        ops=tuple(LoggedOp(row[1].strip(), int(row[2]), row[3]) for row in _ROW.finditer(_table(text))),
    )


# Known messages and what they mean; the first match counts. Issue numbers are those of google-coral/edgetpu.
_SAYINGS: tuple[tuple[str, str, str], ...] = (
    (
        r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'",  # 386, 631, 845
        "it does not know version {1} of {0}",
        "convert with an older TensorFlow (2.8 for compiler 16), or remove that operator",
    ),
    (r"dynamic-sized tensors", "the model has tensors of dynamic size", "convert with a fixed size, batch 1"),  # 829
    (r"due to large activation tensors", "the activations are too large", "a smaller size or tile"),  # 508
    (r"not quantized", "the model is not quantized", QUANTIZE),
    (
        r"unresolved custom op: ([\w-]+)",
        "it does not know the custom operator {0}",
        "give the model as it was before it was compiled, or without that operator",
    ),
    (r"Model could not be parsed", "it cannot read the model", "convert the model again with `quietcam convert`"),
    (
        r"[Tt]imed out",
        "it reached its own time limit",
        "a larger `timeout`, or a smaller tile",
    ),
    (
        r"Segmentation fault",
        "it crashed",
        "run it again, since it does not always crash; if that fails, use a smaller tile",
    ),  # 643
    (
        r"Internal compiler error",
        "it crashed",
        "run it again, since it does not always crash; if that fails, use a smaller tile",
    ),  # 189, 211
    (r"Compilation failed: ([^\n]+)", "{0}", "see the log"),
    (r"Compilation failed!", "it failed without a reason", "a smaller tile, fewer channels; see the log"),  # 800
)


def explain_failure(text: str, code: int) -> Failure:
    """Why a run gave no model. ``code`` is its exit status, negative for a signal."""
    for pattern, cause, remedy in _SAYINGS:
        found = re.search(pattern, text)
        if found is not None:
            return Failure(cause.format(*found.groups()), remedy)
    if code < 0:
        return Failure(f"signal {-code} ended it", "run it again; signal 9 often means a lack of memory")
    last = (text.strip().splitlines() or ["nothing"])[-1]
    return Failure(f"it ended with status {code} and printed: {last[:200]}", "see the log")


def _table(text: str) -> str:
    """The first table of operators. A kept log has a second table, from the compiler's own log file."""
    parts = re.split(r"^Operator +Count +Status *$", text, flags=re.MULTILINE)
    return parts[1] if len(parts) > 1 else ""


def _sum(rows: Iterable[LoggedOp]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in rows:
        found[each.kind] = found.get(each.kind, 0) + each.count
    return found


def _size(text: str, label: str) -> int | None:
    found = re.search(rf"{re.escape(label)}: {_SIZE}", text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def _number(text: str, label: str) -> int | None:
    found = re.search(rf"{re.escape(label)}: (\d+)", text)
    return int(found[1]) if found else None

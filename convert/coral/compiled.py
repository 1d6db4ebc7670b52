"""Reads a compiled model: it contains a custom operator of the compiler, which contains the chip's program.

The layout of that program's package is libedgetpu's `executable/executable.fbs` (read): a flatbuffer of identifier
DWN1, whose fields 0 and 4 are the least runtime version and the compiler's version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from convert.coral.rules import COMPILED_OP
from quietcam.tflite.flatbuffer import BROKEN, TEXT, Field, FlatBuffer, Schema
from quietcam.tflite.graph import Graph

__all__ = ["Compiled", "describe_compiled"]

_IDENTIFIER = b"DWN1"
_UNSAID = -1
_PACKAGE: Schema = {"runtime": Field(0, "i", _UNSAID), "compiler": Field(4, TEXT)}


@dataclass(frozen=True)
class Compiled:
    """A compiled model.

    Attributes:
        programs: how many parts run on the chip; each one after the first costs a round trip to the host.
        bytes: size of all programs, parameters included.
        on_cpu: kinds of the operators that run on the CPU, in their order.
        runtime: the oldest runtime version that can run it (14 for compiler 16); None if it is not stated.
        compiler: the compiler's build as the package states it: a version, or the number of a change list
            (cl/343520747); None if there is no number. Models that Google published state only "cl/".
    """

    programs: int
    bytes: int
    on_cpu: tuple[str, ...]
    runtime: int | None
    compiler: str | None


def describe_compiled(graph: Graph) -> Compiled | None:
    """Describe a compiled ``graph``; None if it is not compiled."""
    programs = [op for op in graph.ops if op.kind == COMPILED_OP]
    if not programs:
        return None
    stored = [op.options if isinstance(op.options, bytes) else b"" for op in programs]
    runtime, compiler = _package(stored[0])
    return Compiled(
        programs=len(programs),
        bytes=sum(map(len, stored)),
        on_cpu=tuple(op.kind for op in graph.ops if op.kind != COMPILED_OP),
        runtime=runtime,
        compiler=compiler,
    )


def _package(options: bytes) -> tuple[int | None, str | None]:
    """Runtime and compiler version of the package, which starts anywhere in the operator's options."""
    front = options.find(_IDENTIFIER) - 4
    if front < 0:
        return None, None
    try:
        package = FlatBuffer(options[front:]).root(_PACKAGE)
    except BROKEN:
        return None, None
    runtime, compiler = package["runtime"], package["compiler"]
    is_version = len(compiler) < 200 and re.fullmatch(r"[ -~]*\d[ -~]*", compiler) is not None
    return (None if runtime == _UNSAID else runtime), (compiler if is_version else None)

"""What a compiled model holds: an operator of the compiler's own, with the chip's program in it.

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
        programs: how many stretches run on the chip; each but the first costs a trip to the host and back.
        bytes: of all programs, parameters included.
        on_cpu: kinds of the operators that stayed on the CPU, in their order.
        runtime: the least runtime version that it asks for (14 for compiler 16); None where it does not say.
        compiler: the build of the compiler as the package names it: a version, or the number of a change list
            (cl/343520747); None where there is no number in it. Those that Google published say "cl/" alone.
    """

    programs: int
    bytes: int
    on_cpu: tuple[str, ...]
    runtime: int | None
    compiler: str | None


def describe_compiled(graph: Graph) -> Compiled | None:
    """What the compiler left in ``graph``; None where it has not been over it."""
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
    """Runtime and compiler version of the package that lies somewhere in the operator's options."""
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

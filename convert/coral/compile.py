"""Compiles a model for the Edge TPU: runs the compiler, reads its log and result, appends the manifest again."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.coral.compiled import Compiled, describe_compiled
from convert.coral.compiler import Compiler, Run
from convert.coral.log import CompileLog, explain_failure, parse_log
from convert.coral.memory import MIB
from convert.coral.report import CheckReport
from quietcam.errors import ModelError, UsageError
from quietcam.files.atomic import make_folder, write_bytes, write_text
from quietcam.tflite.content import read_content
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import (
    Manifest,
    attach_manifest,
    model_sha256,
    read_manifest,
    strip_manifest,
    write_sidecar,
)
from quietcam.tflite.outline import Outline, end_names, read_outline

__all__ = ["SUFFIX", "CompileReport", "adopt_model", "compile_model", "compiled_name"]

SUFFIX = "_edgetpu"
"""Suffix that the compiler appends to a model's name; quietcam keeps it."""


@dataclass(frozen=True)
class CompileReport:
    """The result of compiling one model.

    Attributes:
        path, log_path: the compiled model, and the compiler's log; None if there is no log.
        differences: differences between the preflight's prediction and the compiler's log, in words; empty if none.
    """

    path: Path
    log_path: Path | None
    compiler: str
    log: CompileLog
    compiled: Compiled
    prediction: CheckReport
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """True if the whole model runs on the chip."""
        return not self.compiled.on_cpu and not self.log.on_cpu and self.compiled.programs == 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.prediction.name,
            "path": str(self.path),
            "log": None if self.log_path is None else str(self.log_path),
            "compiler": self.compiler,
            "holds": self.holds,
            "milliseconds": self.log.milliseconds,
            "mapped": self.log.mapped,
            "on_cpu": self.log.on_cpu,
            "ops": [dataclasses.asdict(each) for each in self.log.ops],
            "memory": {"used": self.log.used, "remaining": self.log.remaining, "streamed": self.log.streamed},
            "subgraphs": self.log.subgraphs,
            "compiled": dataclasses.asdict(self.compiled),
            "differences": list(self.differences),
            "prediction": self.prediction.to_dict(),
        }


def compiled_name(model: Path) -> str:
    """The compiled file's name: ``small_256x256_int8_edgetpu.tflite`` for ``small_256x256_int8.tflite``."""
    return f"{model.stem}{SUFFIX}{model.suffix}"


def compile_model(
    model: Path, out: Path, compiler: Compiler, prediction: CheckReport, seconds: float = 600.0
) -> CompileReport:
    """Compile ``model`` into the folder ``out``: the model with its manifest, the sidecar, and the log.

    The compiler gets the model without the appended manifest, in an empty folder. Its log is always kept, as
    ``NAME_edgetpu.log``.

    Raises:
        UsageError: the model is already compiled.
        ModelError: the compiler does not start, fails, crashes, hangs, or does not write a compiled model; the message
            names the log.
        StorageError: a file cannot be written.
    """
    _refuse_compiled(prediction)
    make_folder(out)
    target = out / compiled_name(model)
    log_path = target.with_suffix(".log")
    with tempfile.TemporaryDirectory(prefix="quietcam-coral-") as temporary:
        folder = Path(temporary)
        (folder / model.name).write_bytes(strip_manifest(read_content(model)))
        version = compiler.version(folder)
        run = compiler.compile(folder, model.name, version, seconds)
        said = _whole_log(folder / log_path.name, run)
        write_text(log_path, said)
        made = folder / target.name
        log = parse_log(said)
        if run.timed_out:
            raise ModelError(
                f"The Edge TPU's compiler must end within `timeout`. Received: {model.name}, not done after "
                f"{seconds:g} s; it was stopped, and its output is in {log_path}. "
                "Remedy: a smaller size or tile (a 1080p model did not compile in 12 hours), or a larger `timeout`."
            )
        if log is None or not made.is_file():
            failure = explain_failure(said, run.code)
            raise ModelError(
                f"The Edge TPU's compiler gave no model for {model.name}. Received: {failure.cause}; its log is "
                f"{log_path}. The preflight predicted: {prediction.expectation}. Remedy: {failure.remedy}."
            )
        content = made.read_bytes()
    return _keep(model, target, content, log, version, log_path, prediction)


def adopt_model(model: Path, out: Path, result: Path, prediction: CheckReport) -> CompileReport:
    """Copy ``result``, which the compiler made from ``model`` elsewhere, into ``out`` with the manifest of ``model``.

    A log in the same folder (``NAME.log``) is read and kept.

    Raises:
        UsageError: the model is already compiled, or ``result`` does not exist.
        ModelError: ``result`` is not a compiled model, or was compiled from another model.
        StorageError: a file cannot be written.
    """
    _refuse_compiled(prediction)
    content = strip_manifest(read_content(result))
    log_path: Path | None = None
    log = CompileLog(None, None, None, None, None, None, ())
    beside = result.with_suffix(".log")
    if beside.is_file():
        said = beside.read_text(errors="replace")
        log = parse_log(said) or log
        log_path = (out / compiled_name(model)).with_suffix(".log")
        write_text(log_path, said)
    return _keep(model, out / compiled_name(model), content, log, None, log_path, prediction)


def _refuse_compiled(prediction: CheckReport) -> None:
    if prediction.compiled is not None:
        raise UsageError(
            f"Only a model that is not yet compiled can be compiled. Received: {prediction.name}: "
            f"{prediction.expectation}. Remedy: give the model that it was made from, without {SUFFIX} in its name."
        )


def _keep(
    model: Path,
    target: Path,
    content: bytes,
    log: CompileLog,
    version: str | None,
    log_path: Path | None,
    prediction: CheckReport,
) -> CompileReport:
    """Check the compiler's result for ``model``, write it to ``target`` with the manifest, and report."""
    compiled = describe_compiled(read_graph(content, target.name))
    if compiled is None:
        where = f"; its log is {log_path}" if log_path else ""
        raise ModelError(
            f"A compiled model must have a part for the chip. Received: {model.name}, of which the compiler mapped "
            f"nothing{where}. The preflight predicted: {prediction.expectation}. "
            "Remedy: `quietcam coral check` shows which operators prevent mapping."
        )
    source = strip_manifest(read_content(model))
    manifest = read_manifest(model)
    before, after = read_outline(source, model.name), read_outline(content, target.name)
    expected, found = _ends(before, manifest), _ends(after, manifest)
    if expected != found:
        raise ModelError(
            f"A compiled model must have the inputs and outputs of its source. Received: {target.name} with {found}; "
            f"{model.name} has {expected}. Remedy: give the model that it was compiled from."
        )
    version = version or log.version or compiled.compiler
    if manifest is not None and manifest.inputs:  # the compiler may have put the ends in another order
        inputs, outputs = _held(after, manifest)
        manifest = dataclasses.replace(manifest, inputs=inputs, outputs=outputs)
    _write(target, content, manifest, version, source)
    differences = tuple(_differences(prediction, log, compiled))
    return CompileReport(target, log_path, version or "unknown", log, compiled, prediction, differences)


def _held(outline: Outline, manifest: Manifest | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the inputs and the outputs hold, by the names of their tensors, or else by the manifest."""
    told = (manifest.inputs, manifest.outputs) if manifest else ((), ())
    found = []
    for ends, known, first in ((outline.inputs, told[0], "noisy"), (outline.outputs, told[1], "denoised")):
        names = [each.name for each in ends]
        found.append(end_names((), names, first) or end_names(known, names, first) or ("?",) * len(names))
    return found[0], found[1]


def _ends(outline: Outline, manifest: Manifest | None) -> str:
    """Inputs and outputs in words, with shapes, types and scales; their order does not matter."""
    inputs, outputs = _held(outline, manifest)
    places = [f"input {each}" for each in inputs] + [f"output {each}" for each in outputs]
    ends = (*outline.inputs, *outline.outputs)
    return ", ".join(
        sorted(
            f"{place} {each.dtype}{list(each.shape)} {each.quantization or 'without scale'}"
            for place, each in zip(places, ends, strict=True)
        )
    )


def _write(target: Path, content: bytes, manifest: Manifest | None, version: str | None, source: bytes) -> None:
    """Write the compiled model, with the manifest of its source, updated, if the source has one."""
    if manifest is None:
        write_bytes(target, content)
        return
    tools = manifest.tools | {"edgetpu_compiler": version or "unknown", "compiled_from": model_sha256(source)}
    told = dataclasses.replace(manifest, sha256=model_sha256(content), tools=tools)
    write_bytes(target, attach_manifest(content, told))
    write_sidecar(target, told)


def _whole_log(own: Path, run: Run) -> str:
    """What the compiler printed, and the log file that it wrote."""
    written = own.read_text(errors="replace") if own.is_file() else ""
    return run.said + (f"\n--- {own.name}, written by the compiler ---\n{written}" if written else "")


def _differences(prediction: CheckReport, log: CompileLog, compiled: Compiled) -> list[str]:
    """Where the compiler's result differs from the preflight's prediction."""
    expected, mapped = prediction.expected_log, log.mapped
    if not log.ops:  # without a log, only the model itself can be compared
        left, right = prediction.on_cpu, len(compiled.on_cpu)
        return [] if left == right else [f"{left} predicted on the CPU, {right} found"]
    found = [
        f"{kind}: {expected.get(kind, 0)} predicted on the chip, {mapped.get(kind, 0)} found"
        for kind in sorted(expected.keys() | mapped.keys())
        if expected.get(kind, 0) != mapped.get(kind, 0)
    ]
    if compiled.programs > 1:
        found.append(f"one part for the chip predicted, {compiled.programs} found")
    memory = prediction.memory
    if memory is not None and log.streamed is not None and (log.streamed > 0) != (memory.streamed > 0):
        found.append(
            f"{memory.streamed / MIB:.2f} MiB of parameters predicted to be sent for every run, "
            f"{log.streamed / MIB:.2f} MiB found"
        )
    return found

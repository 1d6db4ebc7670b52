"""Checks that the models that ship give the same pixels here as on the machine that made them."""

from __future__ import annotations

from edge.doctor.machine import Machine
from quietcam.finding import Finding

__all__ = ["check_models"]


def check_models(machine: Machine) -> list[Finding]:
    """Run the golden frame of every model that ships. Models without one are skipped; without a runtime all are."""
    if machine.version("ai-edge-litert") is None and machine.version("tflite-runtime") is None:
        return []
    from edge.network.golden import check_golden
    from edge.network.interpreter import Interpreter

    worst: list[tuple[int, str]] = []
    for path in machine.models():
        with Interpreter(path, threads=1) as interpreter:
            found = check_golden(interpreter)
        if found is None:
            continue
        off, tolerance = found
        if off > tolerance:
            text = f"the pixels of {path.stem} differ by up to {off} of 255 from its maker's; {tolerance} is allowed"
            return [Finding("models", "error", text, f"{machine.pip} --force-reinstall quietcam ai-edge-litert")]
        worst.append((off, path.stem))
    if not worst:
        return []
    off, name = max(worst)
    return [Finding("models", "ok", f"all {len(worst)} give the expected pixels, within {off} of 255 ({name})")]

"""The check that the models which ship give the pixels here that they gave where they were made."""

from __future__ import annotations

from edge.doctor.check import Finding, Machine

__all__ = ["check_models"]


def check_models(machine: Machine) -> list[Finding]:
    """Every model's golden frame, run here. A model without one is passed over, and all of them without a runtime."""
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
            text = f"{path.stem} is up to {off} of 255 off what it gave where it was made; {tolerance} are usual"
            return [Finding("models", "broken", text, f"{machine.pip} --force-reinstall quietcam ai-edge-litert")]
        worst.append((off, path.stem))
    if not worst:
        return []
    off, name = max(worst)
    return [Finding("models", "ok", f"{len(worst)} give the pixels they should, {name} to {off} of 255")]

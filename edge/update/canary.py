"""The canary: a bundle runs its golden frames in a process of its own before a device takes it over."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edge.child.memory import memory_limit
from edge.child.process import GRACE, Child, ChildError
from edge.update.bundle import Bundle
from edge.update.contents import Bounds
from quietcam.errors import GateError, JsonError, QuietcamError, one_line
from quietcam.files.json_fields import number, table, tables, text
from quietcam.files.strict_json import parse_object

__all__ = ["PATIENCE", "Measured", "check_bundle", "too_bad"]

PATIENCE = 900.0
"""Seconds that a canary may take: it starts Python, loads each model and runs all golden frames, and live frames come
first."""

_JOB = "edge.update.canary_job:run"


@dataclass(frozen=True)
class Measured:
    """What one model of a bundle reached on its golden frames, the worst of each.

    Attributes:
        device: where it ran: ``cpu``, or an Edge TPU.
        least_db: PSNR in dB between its output here and its output on the desktop.
        noisy_db: PSNR in dB between the noisy frames and its output here.
        median_ms: median time of one run of the network at its own size.
        peak_mib: memory of the process that ran it, and the models before it.
    """

    device: str
    least_db: float
    noisy_db: float
    median_ms: float
    peak_mib: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measured:
        """Raises ValueError if a value is missing or of another kind."""
        numbers = [number(values, each.name) for each in fields(cls)[1:]]
        return cls(text(values, "device"), *numbers)


def check_bundle(bundle: Bundle, device: str = "cpu", threads: int | None = None) -> dict[str, Measured]:
    """Run a bundle's golden frames in a child process, by the code of live frames.

    Args:
        device: as for ``run``. A model that is compiled for a Coral runs only where ``device`` names one.
        threads: of the CPU's kernels.

    Returns:
        What each model that ran has reached, by its path within the bundle.

    Raises:
        GateError: a model misses the bundle's bounds, crashes, hangs or cannot run here.
        OSError: no process can be started.
    """
    try:
        measured = _measured(bundle.folder, device, threads)
    except QuietcamError as error:
        raise _refused(bundle, one_line(error).partition(" Remedy:")[0].rstrip(".")) from error
    for path, each in measured.items():
        if why := too_bad(each, bundle.contents.bounds):
            raise _refused(bundle, f"{path} {why}")
    return measured


def too_bad(measured: Measured, bounds: Bounds) -> str | None:
    """Which bound a model misses; None if none."""
    if measured.least_db < bounds.least_db:
        return f"is {measured.least_db:.1f} dB from its golden frames, at least {bounds.least_db:.1f} dB are needed"
    if measured.noisy_db > bounds.most_noisy_db:
        return f"leaves the noise: {measured.noisy_db:.1f} dB from noisy frames, at most {bounds.most_noisy_db:.1f} dB"
    if bounds.most_ms is not None and measured.median_ms > bounds.most_ms:
        return f"takes {measured.median_ms:.1f} ms a frame, at most {bounds.most_ms:.1f} ms are allowed"
    if bounds.most_mib is not None and measured.peak_mib > bounds.most_mib:
        return f"takes {measured.peak_mib:.0f} MiB of memory, at most {bounds.most_mib:.0f} MiB are allowed"
    return None


def _measured(folder: Path, device: str, threads: int | None) -> dict[str, Measured]:
    argument = {"folder": str(folder.absolute()), "device": device, "threads": threads}
    with contextlib.ExitStack() as stack:
        child = Child(_JOB, argument, memory=memory_limit())
        stack.callback(child.join, GRACE)
        stack.callback(child.kill)  # it has nothing to clean up
        answer = bytes(child.answer(PATIENCE))
    try:
        values = tables(parse_object(answer))
        return {str(path): Measured.from_dict(table(values, path)) for path in values}
    except (JsonError, ValueError):
        raise ChildError("It sent an invalid answer") from None


def _refused(bundle: Bundle, why: str) -> GateError:
    return GateError(
        f"A bundle must reach its bounds on this device before it takes over. Received: {bundle.id}: {why}. "
        "Remedy: none is needed here: the device goes on with what it has, and waits for another bundle."
    )

"""Records what made a comparison: versions of the tools, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from compare.contenders import Contender
from compare.costs import runtime_of
from edge.network.runtime.instructions import instructions_here

__all__ = ["machine", "tools"]


def tools(contenders: Sequence[Contender]) -> dict[str, str]:
    """Versions by name: quietcam, the runtime of the models, numpy."""
    found = {"quietcam": version("quietcam")}
    if any(each.loaded is not None for each in contenders):
        found["tensorflow"] = version("tensorflow")
    file = next((each.file for each in contenders if each.file is not None), None)
    return found | ({"runtime": runtime_of(file)} if file else {}) | {"numpy": np.__version__}


def machine(threads: int) -> dict[str, Any]:
    """The processor with its int8 instructions, its cores, and the threads that times were measured with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": _cpu(), "cores": cores, "timed_threads": threads}


def _cpu() -> str:
    """The processor's name if Linux reports it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{names[0] if names else platform.machine()} ({instructions_here().name})"

"""The command line in a separate process that Ctrl-C reaches, wherever the tests run."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

# A shell starts background jobs with SIGINT ignored, which their children inherit, and Python does not change that.
_START = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('quietcam', run_name='__main__', alter_sys=True)"
)


_MEASURED = (
    "import sys; from quietcam.app import cli; code = cli.run(sys.argv[1:]); "
    "from edge.run.health import peak_memory_mib; print(peak_memory_mib()); sys.exit(code)"
)


def measure_quietcam(*words: object) -> tuple[str, float]:
    """Run ``quietcam`` to its end: its output, and its peak memory in MiB."""
    command = [sys.executable, "-c", _MEASURED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    return "\n".join(lines), float(peak)


def start_quietcam(*words: object, **options: Any) -> subprocess.Popen[str]:
    """A running ``quietcam`` whose standard error stream can be read as text."""
    command = [sys.executable, "-c", _START, *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)

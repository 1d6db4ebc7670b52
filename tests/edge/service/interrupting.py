"""A process that gets a signal at an instant that a test chooses by the process's own events, not by a clock.

``sitecustomize`` counts what Python reports to audit hooks (imports, opened files, loaded libraries, …) from the moment
the process takes its signals, and sends one at the count that it is told.
"""

from __future__ import annotations

import os
from pathlib import Path

import quietcam

__all__ = ["counted", "environment"]

_SITECUSTOMIZE = """
import _signal, os, sys

instant = os.environ.pop("INSTANT", None)  # so that the process's own children are left alone
count = 0


def hook(event, arguments):
    global count
    if event.partition(".")[0] not in ("import", "open", "ctypes", "socket", "os", "subprocess", "exec"):
        return
    if _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
        return
    count += 1
    os.pwrite(file, b"%d" % count, 0)
    if count == int(instant):
        os.kill(os.getpid(), int(os.environ["NUMBER"]))


if instant is not None:
    file = os.open(os.environ["COUNT"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.addaudithook(hook)
"""


def environment(folder: Path, instant: int, number: int) -> dict[str, str]:
    """For a process that gets signal ``number`` at its ``instant``; 0: never."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    path = os.pathsep.join([str(folder), str(Path(quietcam.__path__[0]).parent)])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "INSTANT": str(instant),
        "NUMBER": str(number),
        "COUNT": f"{folder}/count",
    }


def counted(folder: Path) -> int:
    """The number of instants that the process has had until now."""
    return int((folder / "count").read_bytes() or b"0")

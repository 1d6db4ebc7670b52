"""Packs a data set in children that are killed: ``killing.py DATA OUT MODE``; prints how many were.

It imports everything once and forks, so that a child takes milliseconds. MODE is JSON: ``calls`` kills at every call
that changes the disk, each time in a new folder below OUT; else ``kills`` children die within the time that a whole one
takes here and now, all in OUT.
"""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from quietcam.data.packed import format as shard_format
from quietcam.data.packed import pack
from quietcam.data.packed import writer as shard_writer

shard_format._SHARD_BYTES = 5 * 2 * 16 * 16 * 3
shard_writer._PENDING_BYTES = 7 * 2 * 16 * 16 * 3
data, out, mode = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])


def child(out: Path, action: Callable[[], None] = lambda: None) -> int:
    """The process that packs, after ``action``."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            action()
            pack.pack(data, out, patch=16)
            code = 0
        finally:
            os._exit(code)
    return pid


def run(out: Path, action: Callable[[], None] = lambda: None) -> bool:
    """True if the process finished; False if it was killed."""
    status = os.waitpid(child(out, action), 0)[1]
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
    return status == 0


CALLS = ("open", "pwrite", "write", "fsync", "replace", "rename", "truncate", "unlink", "mkdir")


def die_at_call(number: int, half: bool, names: Sequence[str] = CALLS) -> None:
    """Of the calls that change the disk: before it, or with half of it written."""
    left = [number]

    def watch(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if half and name == "pwrite":
                    fd, pixels, offset = arguments
                    real(fd, pixels[: len(pixels) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in names:
        setattr(os, name, watch(name, getattr(os, name)))


killed = 0
generator = random.Random(mode["seed"])
if mode["calls"]:
    for half, names in ((False, CALLS), (True, ("pwrite",))):
        number = 1
        while not run(out / f"{number}_{half}", functools.partial(die_at_call, number, half, names)):
            killed += 1
            # Those that come after it die too, each somewhere.
            killed += not run(out / f"{number}_{half}", lambda: die_at_call(generator.randrange(1, 30), True))
            assert run(out / f"{number}_{half}")
            number += 1
else:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        assert run(Path(folder) / "whole")
        seconds = time.monotonic() - began
    for _ in range(mode["kills"]):
        pid = child(out)
        time.sleep(generator.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert run(out)
print(killed)

"""Runs in the guest from its boot on and does what the host asks through a virtio port. Standard library alone.

One line of JSON each way; bytes are base64. Requests: ``{"id", "do": "hello" | "run" | "write" | "read", …}``. Answers
carry the same ``id``, and ``error`` if it could not be done.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PORT = "/dev/virtio-ports/quietcam.lab"
MOST_OUTPUT = 4_000_000  # bytes of each stream that an answer carries


def main(path: str) -> None:
    """Serve the port for ever; the host may leave and come back."""
    while not Path(path).exists():
        time.sleep(0.1)
    port = os.fdopen(os.open(path, os.O_RDWR), "r+b", buffering=0)
    while True:
        serve(port, port)
        time.sleep(0.1)  # nobody is at the other end


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end, each in a thread of its own, so that a long command holds up no other."""
    lock = threading.Lock()
    rest = b""
    while part := requests.read(65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            threading.Thread(target=_answer, args=(line, answers, lock), daemon=True).start()


def _answer(line: bytes, answers: BinaryIO, lock: threading.Lock) -> None:
    try:
        request = json.loads(line)
    except ValueError:
        return  # the end of a line that was under way when the host left
    try:
        answer = _DO[request["do"]](request)
    except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    left = memoryview(json.dumps({**answer, "id": request.get("id")}).encode() + b"\n")
    with lock, contextlib.suppress(OSError, ValueError):  # the host may have left, and the channel be closed
        while left:
            left = left[answers.write(left) :]


def _hello(_: dict[str, Any]) -> dict[str, Any]:
    return {"uptime": time.clock_gettime(time.CLOCK_BOOTTIME), "processors": os.cpu_count()}


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """A command in a process group of its own; the whole group ends at the limit."""
    begun = time.monotonic()
    process = subprocess.Popen(
        request["command"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=request.get("folder", "/"),
        env={**os.environ, **request.get("variables", {})},
    )
    late = False
    try:
        out, err = process.communicate(timeout=request["limit"])
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired as left:  # a child in a group of its own holds the pipe
            out, err = left.stdout or b"", left.stderr or b""
    return {
        "code": process.returncode,
        "out": _text(out[-MOST_OUTPUT:]),
        "err": _text(err[-MOST_OUTPUT:]),
        "seconds": time.monotonic() - begun,
        "late": late,
    }


def _write(request: dict[str, Any]) -> dict[str, Any]:
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(request["data"]))
    path.chmod(request["mode"])
    return {}


def _read(request: dict[str, Any]) -> dict[str, Any]:
    return {"data": _text(Path(request["path"]).read_bytes())}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_DO = {"hello": _hello, "run": _run, "write": _write, "read": _read}

if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else PORT)

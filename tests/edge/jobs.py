"""Jobs of the tests' child processes: each gets the link to its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edge.child.link import Link
from quietcam.errors import ModelError
from quietcam.process.native_output import native_output_caught


def echo(link: Link) -> None:
    """Answers with the message."""
    while (message := link.receive()) is not None:
        link.send(bytes(message))


def tell(link: Link) -> None:
    """Reports its argument and its own state."""
    link.send(repr(link.argument).encode())
    while (message := link.receive()) is not None:
        link.send(repr(eval(bytes(message), {"os": os, "sys": sys, "signal": signal})).encode())


def invert(link: Link) -> None:
    """Inverts the memory that came last."""
    while link.receive() is not None:
        values = np.frombuffer(link.shared[-1], np.uint8)
        np.invert(values, out=values)
        link.send()


def refuse(link: Link) -> None:
    """Fails with an error of our own, and then hangs."""
    link.fail(ModelError(f"No: {link.argument}."))
    hang(link)


def hang(link: Link) -> None:
    """Hangs like foreign code: holds Python's lock, blocks every signal, and has started a helper process."""
    helper = subprocess.Popen(["sleep", "1000"])
    link.send(str(helper.pid).encode())
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    ctypes.PyDLL(None).sleep(1000)


def print_much(link: Link) -> None:
    """Prints more than a pipe holds, before each answer and at its end, which is an abort."""
    while link.receive() is not None:
        os.write(2, b"chatter\n" * 50_000)
        link.send()
    os.write(1, b"\nthe last\x1b[31m words\xff\n")
    os.abort()


def print_for_ever(_: Link) -> None:
    """Never answers, and prints without end."""
    while True:
        os.write(2, b"chatter\n" * 1000)


def abort(_: Link) -> None:
    """Aborts as LiteRT does if a model breaks one of its assumptions."""
    os.write(2, b"chatter\n" * 20_000 + b"F0000 check failed: index < size\n")
    os.abort()


def abort_while_caught(link: Link) -> None:
    """The same while this process hides the output of libraries from its reader."""
    with native_output_caught():
        abort(link)


def stumble(_: Link) -> None:
    """Fails with an error that is not ours."""
    raise ValueError("a mistake of ours")


def garbage(link: Link) -> None:
    link._put(b"\1" + link.argument.encode())
    time.sleep(1000)


def take(link: Link) -> None:
    """Allocates this many bytes through C."""
    link.send()
    link.receive()
    size = int(link.argument)
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    if library.malloc(size) is None:
        raise MemoryError
    link.send()


def linger(link: Link) -> None:
    """Cleans up when it should end: writes the file ``argument``; if that is None, it never finishes."""
    link.send()
    link.receive()
    if link.argument is None:
        ctypes.PyDLL(None).sleep(1000)
    Path(link.argument).write_text("cleaned up", encoding="utf-8")


def hang_silently(_: Link) -> None:
    """Never answers."""
    time.sleep(1000)


def try_without_opencv(link: Link) -> None:
    """A trial, where OpenCV cannot be imported."""
    from edge.child.trial_job import run

    sys.modules["cv2"] = None  # type: ignore[assignment]
    run(link)

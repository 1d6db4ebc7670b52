"""What the tests' child processes do: each takes the link to its parent."""

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
    """Answers with what it was told."""
    while (message := link.receive()) is not None:
        link.send(bytes(message))


def tell(link: Link) -> None:
    """Says what it was given and what it is."""
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
    """Fails as our own code does, and then hangs."""
    link.fail(ModelError(f"No: {link.argument}."))
    hang(link)


def hang(link: Link) -> None:
    """Hangs as foreign code does: with Python's lock held, every signal blocked, and a helper of its own started."""
    helper = subprocess.Popen(["sleep", "1000"])
    link.send(str(helper.pid).encode())
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    ctypes.PyDLL(None).sleep(1000)


def print_much(link: Link) -> None:
    """Says more than a pipe holds, before each answer and at its end, which is that of foreign code."""
    while link.receive() is not None:
        os.write(2, b"chatter\n" * 50_000)
        link.send()
    os.write(1, b"\nthe last\x1b[31m words\xff\n")
    os.abort()


def print_for_ever(_: Link) -> None:
    """Never answers, and never is silent."""
    while True:
        os.write(2, b"chatter\n" * 1000)


def abort(_: Link) -> None:
    """Ends as LiteRT does where a model breaks an assumption of its."""
    os.write(2, b"chatter\n" * 20_000 + b"F0000 check failed: index < size\n")
    os.abort()


def abort_while_caught(link: Link) -> None:
    """The same where this process keeps what libraries say from its reader."""
    with native_output_caught():
        abort(link)


def stumble(_: Link) -> None:
    """Fails as our own code must not."""
    raise ValueError("a mistake of ours")


def garbage(link: Link) -> None:
    link._put(b"\1" + link.argument.encode())
    time.sleep(1000)


def take(link: Link) -> None:
    """Takes so many bytes, by way of C."""
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
    """Cleans up when it is to end; ``argument`` is a file that it then writes, or None: it never gets there."""
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

"""The child's side of :mod:`edge.child.process`: its start, its limits, its end, and its messages."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import mmap
import os
import resource
import select
import signal
import socket
import traceback
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from quietcam.errors import QuietcamError
from quietcam.process.native_output import parent_reads_output

__all__ = ["MESSAGE", "Link", "main"]

MESSAGE = 1 << 16
"""Bytes of the longest message. Larger data goes through shared memory."""

_MOST = 4  # blocks of memory that may come with one message
_FIRST_TO_GO = "900"  # of 1000: when the machine runs out of memory, the kernel ends this process first


class Link:
    """The connection of a job in a child process to its parent.

    Attributes:
        argument: what the parent handed over, read from JSON.
        shared: memory that the parent sees, too: buffers for ``numpy.frombuffer`` or ``numpy.ndarray``.
    """

    def __init__(self, connection: socket.socket, shared: Iterable[int]) -> None:
        self._connection = connection
        self._buffer = bytearray(MESSAGE)
        self._space = socket.CMSG_SPACE(_MOST * array("i").itemsize)
        self.shared = [_mapped(each) for each in shared]
        self.argument: Any = json.loads(bytes(self.receive() or b"null"))

    def receive(self) -> memoryview | None:
        """The parent's next message, valid until the next call; None when the child should end."""
        size, given, _, _ = self._connection.recvmsg_into([self._buffer], self._space)
        for _, _, numbers in given:
            self.shared += [_mapped(each) for each in array("i", numbers)]
        return memoryview(self._buffer)[:size] if size else None

    def send(self, message: bytes = b"") -> None:
        """Answer the parent, with at most ``MESSAGE - 1`` bytes."""
        self._put(b"\0" + message)

    def fail(self, error: QuietcamError) -> None:
        """Answer with an error, which the parent raises. Call this before any cleaning up, which may hang."""
        text = str(error)[: MESSAGE // 16]  # a character takes at most 12 bytes of JSON
        self._put(b"\1" + json.dumps([type(error).__name__, text]).encode())

    def _put(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: the next `receive` says so
            self._connection.send(message)


def main(job: str, memory: str, connection: str, watched: str, *shared: str) -> NoReturn:
    """Do ``job`` and end. :class:`edge.child.process.Child` puts these words on the command line."""
    _end_with_the_parent(int(watched))
    _limit(int(memory))
    parent_reads_output()
    link = Link(socket.socket(fileno=int(connection)), map(int, shared))
    module, _, name = job.partition(":")
    code = 0
    try:
        getattr(importlib.import_module(module), name)(link)
    except QuietcamError as error:
        link.fail(error)
    except MemoryError:
        limit = int(memory) >> 20
        link.fail(QuietcamError(f"It needs more memory than a child process may take ({limit} MiB)"))
    except BaseException:  # noqa: BLE001  foreign code may raise anything
        traceback.print_exc()
        code = 1
    os._exit(code)  # a normal end would run foreign code once more


def _mapped(descriptor: int) -> mmap.mmap:
    memory = mmap.mmap(descriptor, 0)
    os.close(descriptor)
    return memory


def _end_with_the_parent(watched: int) -> None:
    """Let the kernel kill this process, and those that it starts, when the parent ends or closes the pipe.

    No code of this process has to run for that, so it also works if this process hangs and holds Python's lock.
    PR_SET_PDEATHSIG would kill it as soon as the *thread* ends that started the child.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # for the parent, which then ends this process
        signal.signal(each, signal.SIG_IGN)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(watched, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(watched, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(watched, fcntl.F_SETFL, fcntl.fcntl(watched, fcntl.F_GETFL) | os.O_ASYNC)
    seen = select.poll()
    seen.register(watched, 0)
    if seen.poll(0):  # the parent ended before this
        os._exit(1)


def _limit(memory: int) -> None:
    for kind, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError), Path("/proc/self/oom_score_adj").open("w", encoding="ascii") as file:
        file.write(_FIRST_TO_GO)

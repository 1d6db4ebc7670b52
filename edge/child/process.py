"""Child: a process for foreign code, which may hang, crash or take all memory without harm to this process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.child.link import MESSAGE, Link
from edge.child.memory import memory_limit
from quietcam import errors
from quietcam.errors import QuietcamError
from quietcam.files.strict_json import parse_json
from quietcam.process.turn import Turn
from quietcam.terminal.secret_names import is_secret

__all__ = ["GRACE", "Child", "ChildError", "Link", "Shared", "inherited"]

GRACE = 1.0
"""Seconds that a child gets to end by itself before it is killed."""

_DYING = 1.0  # seconds to wait for the exit code after the connection has ended
_READS = 32  # of 64 KiB: the most that a pipe holds; of a process that keeps writing, no more is read
_WORDS = 4096  # bytes of its output that are kept
_SHOWN = 300  # characters of its output that are shown

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from quietcam.process.own_packages import find_own_packages_first as find; find(); "
    "from edge.child.link import main; main(*sys.argv[2:])"
)
# For the parent alone: with these, a child could report to the service manager in its name.
_KEPT_BACK = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID")
# A child has no use for numpy's own threads, which take 32 MiB each.
_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class ChildError(QuietcamError, RuntimeError):
    """A child process has ended or was given up. The message says how, and what it printed last.

    Attributes:
        crashed: whether a signal ended it.
    """

    def __init__(self, message: str, crashed: bool = False) -> None:
        super().__init__(message)
        self.crashed = crashed


class Shared:
    """Memory that this process and a child share. It has no name, and is freed with the last process that holds it.

    Args:
        size: bytes.

    Raises:
        OSError: there is not enough memory.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("quietcam", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self.descriptor, 0, size)  # if memory is short, this fails now, instead of SIGBUS later
            # If a child could make it smaller, that would crash this process, too.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, seals)
            self.memory = mmap.mmap(self.descriptor, size)
        except BaseException:
            os.close(self.descriptor)
            raise

    @classmethod
    def holding(cls, content: bytes) -> Shared:
        """Shared memory with a copy of ``content``, which must not be empty."""
        shared = cls(len(content))
        shared.memory[:] = content
        return shared

    def array(self, shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0) -> NDArray[Any]:
        """A view of the memory from byte ``offset`` on. The view keeps the memory alive."""
        return np.ndarray(shape, dtype, buffer=self.memory, offset=offset)

    def close(self) -> None:
        """Free it; if a view is left, when the last one goes. May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            with contextlib.suppress(BufferError):
                self.memory.close()


class Child:
    """A new Python process that does one job. It ends with this process, however that ends.

    It inherits no open file, no signal from a terminal and no secret. The end of its output is kept, and shown only if
    it fails. One thread at a time may use it; ``kill`` and ``close`` may be called from any thread.

    Args:
        job: ``module:function``, called in the child with a :class:`edge.child.link.Link`. The child ends when the
            function returns.
        argument: becomes ``Link.argument`` by way of JSON, of at most ``MESSAGE`` bytes.
        shared: memory that becomes ``Link.shared``. The caller closes it.
        memory: bytes that the child may allocate. Defaults to :func:`edge.child.memory.memory_limit`.

    Raises:
        ChildError: the process cannot be started.
    """

    def __init__(
        self, job: str, argument: Any = None, shared: Sequence[Shared] = (), *, memory: int | None = None
    ) -> None:
        self.memory = memory_limit() if memory is None else memory
        self._buffer = bytearray(MESSAGE)
        self._words = b""
        self._lock, self._using = threading.Lock(), Turn()
        self._ending: threading.Thread | None = None
        given_to_it = _checked(json.dumps(argument).encode())
        with contextlib.ExitStack() as given, contextlib.ExitStack() as kept:
            try:
                self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                kept.callback(self._socket.close)
                given.callback(theirs.close)
                watched, self._held = os.pipe()
                given.callback(os.close, watched)
                kept.callback(self._let_go)
                self._heard, told = os.pipe()
                given.callback(os.close, told)
                kept.callback(os.close, self._heard)
                numbers = [theirs.fileno(), watched, *(each.descriptor for each in shared)]
                words = [str(each) for each in (job, self.memory, *numbers)]
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START, json.dumps(_path()), *words],
                    stdin=subprocess.DEVNULL,
                    stdout=told,
                    stderr=told,
                    pass_fds=numbers,
                    start_new_session=True,  # Ctrl-C at a terminal is not for it
                    env=_environment(),
                )
            except OSError as error:
                raise ChildError(f"No child process can be started. Received: {error.strerror or error}") from error
            self._open = kept.pop_all()
        self._socket.setblocking(False)
        os.set_blocking(self._heard, False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._heard, select.POLLIN)
        self.tell(given_to_it)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still exists. One that was killed and hangs in the kernel does."""
        return self._process.poll() is None

    def ask(self, message: bytes, seconds: float) -> memoryview:
        """``tell``, then ``answer``."""
        self.tell(message)
        return self.answer(seconds)

    def tell(self, message: bytes, shared: Sequence[Shared] = ()) -> None:
        """Send ``message``, 1 to ``MESSAGE`` bytes, without waiting. The next ``answer`` shows whether it arrived.

        ``shared`` is added to ``Link.shared``.
        """
        _checked(message)
        with contextlib.suppress(OSError):
            if shared:
                socket.send_fds(self._socket, [message], [each.descriptor for each in shared])
            else:
                self._socket.send(message)

    def answer(self, seconds: float) -> memoryview:
        """The next message from the child, valid until the next call.

        Raises:
            ChildError: none came within ``seconds``, and the child was killed; or the child has ended.
            QuietcamError: an error of the job, with its own class.
        """
        end = time.monotonic() + seconds
        if not self._using.take():
            raise ChildError("Its process was ended")
        try:
            while True:
                ready = {each for each, _ in self._poll.poll(max(1000 * (end - time.monotonic()), 0))}
                if self._heard in ready:
                    self._listen()
                if self._socket.fileno() in ready:
                    return self._received()
                if time.monotonic() >= end:
                    self.kill()
                    raise ChildError(f"It did not answer within {seconds:g} s{self._last_words()}")
        finally:
            self._using.leave()

    def kill(self) -> None:
        """Kill it and return immediately. May be called twice."""
        self._end(0.0)

    def close(self) -> None:
        """Ask it to end, kill it after ``GRACE`` seconds, and return immediately. May be called twice."""
        self._end(GRACE)

    def join(self, seconds: float) -> bool:
        """After ``close`` or ``kill``, wait at most ``seconds`` for its end. Gives whether it has ended."""
        if self._ending is not None:
            self._ending.join(max(seconds, 0.0))
        return not self.is_alive

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _received(self) -> memoryview:
        size = 0
        with contextlib.suppress(OSError):  # it was killed before it read all messages
            size = self._socket.recv_into(self._buffer)
        if not size:
            raise self._lost()
        message = memoryview(self._buffer)[1:size]
        if self._buffer[0]:
            raise _error(bytes(message))
        return message

    def _listen(self) -> bool:
        """Keep the end of its output. Gives whether there may be more."""
        try:
            said = os.read(self._heard, 1 << 16)
        except OSError:
            return False
        if not said:  # it has closed its error stream
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._heard)
        self._words = (self._words + said)[-_WORDS:]
        return bool(said)

    def _lost(self) -> ChildError:
        """Say how it has ended."""
        for _ in range(_READS):
            if not self._listen():
                break
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_DYING)
        self.kill()
        if code is None:
            how = "Its process is ending"
        elif code < 0:
            how = f"Its process was ended by {_signal(-code)} (it may take {self.memory >> 20} MiB of memory)"
        else:
            how = f"Its process has ended (exit code {code})"
        return ChildError(f"{how}{self._last_words()}", crashed=(code or 0) < 0)

    def _last_words(self) -> str:
        lines = [line for line in self._words.decode(errors="replace").splitlines() if line.strip()]
        text = " ".join("".join(c if c.isprintable() else " " for c in " ".join(lines[-3:])).split())
        return f"; its last words: {text[-_SHOWN:]}" if text else ""

    def _let_go(self) -> None:
        """Close the pipe that the kernel watches. The kernel then kills the child's processes (edge.child.link)."""
        held, self._held = self._held, -1
        if held >= 0:
            os.close(held)

    def _end(self, grace: float) -> None:
        with self._lock:
            if not grace:
                self._let_go()
            if self._ending is not None:
                return
            if not grace:
                self._process.kill()  # the kernel may not watch the pipe yet
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._ending = threading.Thread(target=self._reap, args=(grace,), name="quietcam-reaper", daemon=True)
            self._ending.start()

    def _reap(self, grace: float) -> None:
        """Wait for its end, in a separate thread: a process may hang in the kernel for long."""
        if grace:
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                with self._lock:
                    self._let_go()
                self._process.kill()
        self._process.wait()
        self._using.close(self._free)

    def _free(self) -> None:
        with self._lock:
            self._open.close()


def _path() -> list[str]:
    """Folders in which this process finds packages. The child must find the same ones in any working directory."""
    home = str(Path(__file__).resolve().parents[2])
    found = [str(Path(each).absolute()) for each in sys.path if each]
    return found if home in found else [home, *found]


def inherited() -> dict[str, str]:
    """The variables of this process that another program may have: none of those that the service manager gave it."""
    return {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}


def _environment() -> dict[str, str]:
    return {name: value for name, value in inherited().items() if not is_secret(name)} | _SINGLE


def _checked(message: bytes) -> bytes:
    if not 0 < len(message) <= MESSAGE:
        raise ValueError(f"A message has 1 to {MESSAGE} bytes. Received: {len(message)}")
    return message


def _error(message: bytes) -> QuietcamError:
    """The error that a child sent. A damaged child may send anything."""
    with contextlib.suppress(ValueError, TypeError):
        name, text = parse_json(message)
        kind = getattr(errors, str(name), None)
        if isinstance(kind, type) and issubclass(kind, QuietcamError):
            return kind(str(text))
    return ChildError("It sent an invalid answer")


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in {each.value for each in signal.Signals} else f"signal {number}"

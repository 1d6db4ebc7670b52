"""Link and Monitor: the host's ends of the port to the guest's agent (`lab/in_guest/agent.py`) and of qemu's socket."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import queue
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from lab.errors import CommandError, GoneError

__all__ = ["Done", "Link", "Monitor"]

_ANSWER = 30.0  # seconds that a busy guest may take to answer beyond a command's own limit


@dataclass(frozen=True)
class Done:
    """How a command in the guest ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        out, err: what it printed.
        seconds: by the guest's clock.
        late: it was ended at its limit.
    """

    code: int
    out: str
    err: str
    seconds: float
    late: bool


class Link:
    """Asks the agent; any thread may. ``patience`` multiplies every limit, for a guest that is emulated. ``slack`` is
    how much slower than ours its clock may go, by which it ends a command that is late.
    """

    def __init__(self, connection: socket.socket, patience: float = 1.0, slack: float = 1.0) -> None:
        self._socket = connection
        self._patience, self._slack = patience, slack
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._gone = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._receive, daemon=True, name="lab-link").start()

    def hello(self, limit: float) -> dict[str, Any]:
        """What the guest says of itself as soon as its agent runs: ``uptime``, ``processors``."""
        return self._ask({"do": "hello"}, limit)

    def run(
        self,
        command: str | Sequence[str],
        limit: float = 60.0,
        check: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command as root in the guest; a text is for its shell.

        Args:
            limit: seconds, times ``patience``; then the command is ended.
            check: raise if it fails.
            variables: added to its environment.

        Raises:
            CommandError: it failed or was late, and ``check`` is set.
            GoneError: the guest ended or does not answer.
        """
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        limit *= self._patience
        answer = self._ask({"do": "run", "command": words, "limit": limit, "variables": dict(variables or {})}, limit)
        done = Done(answer["code"], _text(answer["out"]), _text(answer["err"]), answer["seconds"], answer["late"])
        if check and (done.code != 0 or done.late):
            ending = f"did not end within {limit:.0f} s" if done.late else f"ended with {done.code}"
            raise CommandError(f"{command!r} {ending}: {(done.err or done.out).strip()[-600:]}")
        return done

    def push(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file in the guest, with the folders above it."""
        self._ask({"do": "write", "path": path, "data": base64.b64encode(data).decode(), "mode": mode}, 60.0)

    def pull(self, path: str) -> bytes:
        """The content of a file in the guest."""
        return base64.b64decode(self._ask({"do": "read", "path": path}, 60.0)["data"])

    def close(self) -> None:
        """End every call that waits. May be called twice."""
        self._gone.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._wake()

    def _ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        number = next(self._numbers)
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._waiting[number] = answers
        if self._gone.is_set():
            raise GoneError("The guest has ended.")
        most = (limit + _ANSWER * self._patience) * self._slack
        until = time.monotonic() + most
        try:
            with self._lock:
                self._socket.sendall(json.dumps({**request, "id": number}).encode() + b"\n")
            answer = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise GoneError(f"The guest did not answer within {most:.0f} s.") from None
        except OSError as error:
            raise GoneError(f"The guest has ended ({error}).") from error
        finally:
            self._waiting.pop(number, None)
        if answer is None:
            raise GoneError("The guest ended while a command ran in it.")
        if "error" in answer:
            raise CommandError(f"The guest could not {request['do']}: {answer['error']}")
        return answer

    def _receive(self) -> None:
        rest = b""
        try:
            while part := self._socket.recv(65536):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    self._deliver(line)
        except OSError:
            pass
        self._gone.set()
        self._wake()

    def _deliver(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            return  # cut off by a power cut
        if (waiting := self._waiting.get(answer.get("id"))) is not None:
            waiting.put(answer)

    def _wake(self) -> None:
        for waiting in list(self._waiting.values()):
            waiting.put(None)


class Monitor:
    """One conversation with qemu over its control socket (QMP). ``with`` ends it.

    Args:
        path: of the socket.
        limit: seconds that an answer may take.

    Raises:
        GoneError: qemu does not answer, or refuses what it is asked.
    """

    def __init__(self, path: Path, limit: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(limit)
        self._lines: TextIO | None = None
        try:
            self._socket.connect(str(path))
            self._lines = self._socket.makefile("r", encoding="utf-8")
            self._lines.readline()  # its greeting
            self._ask({"execute": "qmp_capabilities"})
        except OSError as error:
            self.close()
            raise GoneError(f"qemu's monitor does not answer: {error}") from error
        except GoneError:
            self.close()
            raise

    def command(self, line: str) -> None:
        """Do what a person would type at qemu's monitor, such as ``savevm warm``; it prints nothing if it succeeds."""
        arguments = {"command-line": line}
        said = self._ask({"execute": "human-monitor-command", "arguments": arguments})
        if said:
            raise GoneError(f"qemu refuses {line!r}: {str(said).strip()}")

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._lines is not None
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = json.loads(self._lines.readline())
                if "error" in answer:
                    raise GoneError(f"qemu's monitor refuses {request['execute']}: {answer['error']['desc']}")
                if "return" in answer:  # and no event
                    return answer["return"]
        except (OSError, ValueError) as error:
            raise GoneError(f"qemu's monitor does not answer: {error}") from error

    def close(self) -> None:
        """May be called twice."""
        if self._lines is not None:
            self._lines.close()
        self._socket.close()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _text(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")

"""Link: the host's end of the port to the guest's agent (`lab/in_guest/agent.py`)."""

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
from typing import Any

from lab.errors import CommandError, GoneError

__all__ = ["Done", "Link"]

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
    """Asks the agent; any thread may. ``patience`` multiplies every limit, for a guest that is emulated."""

    def __init__(self, connection: socket.socket, patience: float = 1.0) -> None:
        self._socket = connection
        self._patience = patience
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
        until = time.monotonic() + limit + _ANSWER * self._patience
        try:
            with self._lock:
                self._socket.sendall(json.dumps({**request, "id": number}).encode() + b"\n")
            answer = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise GoneError(f"The guest did not answer within {limit + _ANSWER * self._patience:.0f} s.") from None
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


def _text(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")

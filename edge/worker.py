"""A thread that runs one interpreter, so that one that hangs can be left behind."""

from __future__ import annotations

import queue
import threading

from edge.delegates import Device
from edge.interpreter import Interpreter
from quietcam.errors import QuietcamError
from quietcam.image import Image

__all__ = ["Answer", "Worker"]


class Worker:
    """Runs one interpreter in a thread of its own. The thread that waits for the answer fetches the result."""

    def __init__(self, device: Device, interpreter: Interpreter, answers: queue.SimpleQueue[Answer]) -> None:
        self.device, self.interpreter = device, interpreter
        self._answers = answers
        self._inbox: queue.SimpleQueue[Image | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"quietcam-{device}", daemon=True)
        self._thread.start()

    def submit(self, noisy: Image) -> None:
        """Have the network run on ``noisy``; the answer is ``(self, error or None)``."""
        self._inbox.put(noisy)

    def answer_to(self, answers: queue.SimpleQueue[Answer]) -> None:
        """Send answers there from now on."""
        self._answers = answers

    def leave(self, patience: float) -> None:
        """Let its thread end and close the interpreter when it can; wait so long for that."""
        self._inbox.put(None)
        self._thread.join(patience)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while (noisy := self._inbox.get()) is not None:
            error = self._try(noisy)
            del noisy
            self._answers.put((self, error))
            del error
        self.interpreter.close()

    def _try(self, noisy: Image) -> QuietcamError | None:
        try:
            self.interpreter.put(noisy)
            self.interpreter.invoke()
        except QuietcamError as error:
            return error
        return None


Answer = tuple[Worker, QuietcamError | None]

"""A thread that runs one interpreter, so that several devices can share a frame."""

from __future__ import annotations

import math
import queue
import threading
import time

from edge.child.tpu import TpuInterpreter
from edge.network.delegates import Device
from edge.network.interpreter import Interpreter
from quietcam.image import Image

__all__ = ["Answer", "Worker"]

_SEVERAL = 4  # times as long as usual is late: it has other work, too, or the machine has
_KILLED = 0.2  # seconds: so soon is a process gone that was killed, unless it hangs in the kernel


class Worker:
    """Runs one interpreter in a thread of its own. The thread that waits for the answer fetches the result.

    Args:
        device, interpreter: where, and what.
        answers: where answers go.
        patience: seconds after which an answer is late; several times the usual ones where these take longer.
        usual: seconds that an answer took.

    Attributes:
        due: when the answer to come is late, as ``time.monotonic`` has it.
    """

    def __init__(
        self,
        device: Device,
        interpreter: Interpreter,
        answers: queue.SimpleQueue[Answer],
        patience: float = math.inf,
        usual: float = 0.0,
    ) -> None:
        self.device, self.interpreter = device, interpreter
        self.due = math.inf
        self._answers, self._patience, self._usual = answers, patience, usual
        self._inbox: queue.SimpleQueue[Image | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"quietcam-{device}", daemon=True)
        self._thread.start()

    def submit(self, noisy: Image) -> None:
        """Have the network run on ``noisy``; the answer is ``(self, error or None)``."""
        self.due = time.monotonic() + max(self._patience, _SEVERAL * self._usual)
        self._inbox.put(noisy)

    @property
    def is_ready(self) -> bool:
        """Whether it would begin at once. A device that is loading another network, of a model to come, would not."""
        return not (isinstance(self.interpreter, TpuInterpreter) and self.interpreter.tpu.is_loading)

    def leave(self) -> None:
        """Let its thread end and close the interpreter when it can. Waits for nothing."""
        self._inbox.put(None)

    def join(self, seconds: float) -> None:
        """After ``leave``, wait until its device is given back, and about so long at most: one that hangs is killed."""
        end = time.monotonic() + seconds
        self._thread.join(max(seconds, 0.0))
        if isinstance(self.interpreter, TpuInterpreter):
            if self._thread.is_alive():
                self.interpreter.tpu.give_up()
            self.interpreter.tpu.join(max(end - time.monotonic(), _KILLED))

    def _run(self) -> None:
        while (noisy := self._inbox.get()) is not None:
            began = time.monotonic()
            error = self._try(noisy)
            del noisy
            if (now := time.monotonic()) < self.due:  # else a device that has become slow would hold up every frame
                self._usual += (now - began - self._usual) / _SEVERAL
            self._answers.put((self, error))
            del error
        self.interpreter.close()

    def _try(self, noisy: Image) -> Exception | None:
        try:
            self.interpreter.put(noisy)
            self.interpreter.invoke()
        except Exception as error:  # noqa: BLE001  whatever it is: without an answer the frame would wait for ever
            return error
        return None


Answer = tuple[Worker, Exception | None]

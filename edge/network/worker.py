"""Worker: a thread that runs one interpreter, so that several devices can share a frame."""

from __future__ import annotations

import math
import queue
import threading
import time
from typing import Any

from numpy.typing import NDArray

from edge.child.tpu import TpuInterpreter
from edge.network.delegates import Device
from edge.network.interpreter import Interpreter
from quietcam.image import Image

__all__ = ["Answer", "Worker"]

_SEVERAL = 4  # an answer is late after this many times its usual time: the device or the machine may be busy
_KILLED = 0.2  # seconds in which a killed process ends, unless it hangs in the kernel


class Worker:
    """Runs one interpreter in its own thread. The thread that waits for an answer fetches the result.

    Args:
        device: that the interpreter runs on.
        interpreter: what the thread runs.
        answers: the queue that answers are put into.
        patience: seconds after which an answer is late; or four times the usual seconds, if that is more.
        usual: seconds that an answer took so far.

    Attributes:
        due: time from which the next answer is late, on the clock ``time.monotonic``.
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
        self._inbox: queue.SimpleQueue[tuple[Image, NDArray[Any] | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"quietcam-{device}", daemon=True)
        self._thread.start()

    def submit(self, noisy: Image, past: NDArray[Any] | None = None) -> None:
        """Run the network on ``noisy``, uint8 ``(H, W, C)``. The answer will be ``(self, error or None)``.

        ``past`` is that of a video network, as for ``Interpreter.put``.
        """
        self.due = time.monotonic() + max(self._patience, _SEVERAL * self._usual)
        self._inbox.put((noisy, past))

    @property
    def is_ready(self) -> bool:
        """Whether it would start immediately. It would not while its device loads another network."""
        return not (isinstance(self.interpreter, TpuInterpreter) and self.interpreter.tpu.is_loading)

    def leave(self) -> None:
        """Make its thread end and close the interpreter as soon as it can. Returns immediately."""
        self._inbox.put(None)

    def join(self, seconds: float) -> None:
        """After ``leave``, wait about ``seconds`` at most until its device is free. A process that hangs is killed."""
        end = time.monotonic() + seconds
        self._thread.join(max(seconds, 0.0))
        if isinstance(self.interpreter, TpuInterpreter):
            if self._thread.is_alive():
                self.interpreter.tpu.give_up()
            self.interpreter.tpu.join(max(end - time.monotonic(), _KILLED))

    def _run(self) -> None:
        while (given := self._inbox.get()) is not None:
            began = time.monotonic()
            error = self._try(*given)
            del given
            if (
                now := time.monotonic()
            ) < self.due:  # a late answer does not count: else a slow device would delay every frame
                self._usual += (now - began - self._usual) / _SEVERAL
            self._answers.put((self, error))
            del error
        self.interpreter.close()

    def _try(self, noisy: Image, past: NDArray[Any] | None) -> Exception | None:
        try:
            self.interpreter.put(noisy, past)
            self.interpreter.invoke()
        except Exception as error:  # noqa: BLE001  without an answer the frame would wait forever
            return error
        return None


Answer = tuple[Worker, Exception | None]

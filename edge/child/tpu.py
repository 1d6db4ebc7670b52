"""Edge TPUs: each has a child process with the delegate library, so that one that hangs or crashes is left behind."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from edge.child.process import GRACE, Child, ChildError, Shared
from edge.child.tpu_job import DROP, LOAD, RUN, describe
from edge.network import gil_window
from edge.network.delegates import Device
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from quietcam.errors import DeviceError, QuietcamError

__all__ = ["Tpu", "TpuInterpreter", "probe"]

_JOB = "edge.child.tpu_job:serve"
_MOST = 256  # networks of one device at a time


class Tpu:
    """One Edge TPU of this process. Only one process at a time can open one, so all networks that run on it share it:
    those of a model and of the one that takes its place, or of the ladder's smaller model.

    Whoever has it from ``take`` gives it back with ``release``; the last one closes it. Once lost it stays so, and the
    next ``take`` starts another child.
    """

    _known: ClassVar[dict[Device, Tpu]] = {}
    _knowing = threading.Lock()

    def __init__(self, device: Device) -> None:
        self.device = device
        self.is_loading = False
        self._users = 0
        self._lost = False
        self._asking = threading.Lock()
        self._free = set(range(_MOST))
        self._child = Child(_JOB, str(device))

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._child.pid

    @classmethod
    def take(cls, device: Device) -> Tpu:
        """The device's child, started where there is none.

        Raises:
            DeviceError: the last one has not ended yet, or no process can be started.
        """
        with cls._knowing:
            last = cls._known.get(device)
        if last is not None and last._lost and not last._child.join(2 * GRACE):
            raise DeviceError(f"The Edge TPU {device} is held by a process that does not end, number {last._child.pid}")
        with cls._knowing:
            tpu = cls._known.get(device)
            if tpu is None or tpu._lost:
                try:
                    tpu = cls._known[device] = cls(device)
                except ChildError as error:
                    raise DeviceError(str(error)) from error
            tpu._users += 1
            return tpu

    def release(self) -> None:
        """Give it back."""
        with self._knowing:
            self._users -= 1
            if not self._users:
                self._lost = True
                self._child.close()

    def give_up(self) -> None:
        """Kill its process, unless others use it, too."""
        with self._knowing:
            if self._users <= 1:
                self._lost = True
                self._child.kill()

    def join(self, seconds: float) -> bool:
        """Where nobody uses it any more, wait for its end, and no longer than ``seconds``. Whether it has ended."""
        return not self._lost or self._child.join(seconds)

    def load(self, about: bytes, shared: Sequence[Shared], seconds: float) -> int:
        """Load a network; its number.

        Raises:
            DeviceError: the device or its library fails, or takes longer than ``seconds``.
            ModelError: it cannot run this model.
        """
        number = self._free.pop()
        try:
            self.is_loading = True
            with self._asking, self._told():
                self._child.tell(bytes((LOAD, number)) + about, shared)
                self._child.answer(seconds)
        except QuietcamError:
            self._free.add(number)
            raise
        finally:
            self.is_loading = False
        return number

    def run(self, message: bytes, seconds: float) -> None:
        """Run the network that ``message`` names.

        Raises:
            DeviceError: the device or its library fails, or takes longer than ``seconds``.
            ModelError: the network fails.
        """
        with self._asking, self._told():
            self._child.tell(message)
            self._child.answer(seconds)

    def drop(self, number: int) -> None:
        """Have a network's memory given back there. Whether that works, the next answer shows."""
        with self._asking:
            self._child.tell(bytes((DROP, number)))
            self._free.add(number)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ChildError as error:
            self._lost = True
            self._child.kill()
            raise DeviceError(str(error)) from error


def probe(seconds: float = 10.0) -> None:
    """Have the delegate library loaded, and an Edge TPU opened, in a process of its own.

    Raises:
        DeviceError: the library is missing, or it finds no device.
        ChildError: the process crashed, or was not ready within ``seconds``.
    """
    with Child("edge.child.tpu_job:probe") as child:
        child.answer(seconds)


class TpuInterpreter(Interpreter):
    """A loaded model on an Edge TPU: what is put, and what is got, lies in memory that its child process sees.

    Args:
        tpu: as it was taken; it is given back when this is closed, or fails to open.
        opening: seconds within which the device must have run it once.
        answering: seconds within which it must answer later.

    Attributes:
        first: seconds that the first run took.

    Raises:
        DeviceError: the device or its library fails, or takes longer.
        ModelError: it cannot run this model.
    """

    def __init__(self, tpu: Tpu, model: ModelFile, threads: int, opening: float, answering: float) -> None:
        self.tpu = tpu
        self._seconds = opening
        self._number: int | None = None
        self._tensors: Shared | None = None
        self._closed = False
        try:
            super().__init__(model, threads)
            began = time.monotonic()
            self.invoke()
            self.first = time.monotonic() - began
        except BaseException:
            self.close()
            raise
        self._seconds = answering

    def invoke(self) -> None:
        gil_window.invoke_begins()
        self.tpu.run(self._message, self._seconds)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._input = self._output = None  # type: ignore[assignment]
        if self._tensors is not None:
            self._tensors.close()
        if self._number is not None:
            self.tpu.drop(self._number)
        self.tpu.release()

    def _load(self, delegate: object) -> None:
        del delegate
        size = math.prod(self.shape) * np.dtype(self.model.ends).itemsize
        try:
            tensors = self._tensors = Shared(2 * size)
            with contextlib.closing(Shared.holding(self.model.content)) as content:
                about = describe(self.model, self.threads)
                self._number = self.tpu.load(about, (content, tensors), self._seconds)
        except OSError as error:
            raise DeviceError(f"No memory for the Edge TPU {self.tpu.device}: {error.strerror}") from error
        self._message = bytes((RUN, self._number))
        height, width, channels = self.shape
        block = self.model.block or 1
        noisy = tensors.array((1, height, width, channels), self.model.ends)
        blocks = 1, height // block, width // block, channels * block**2
        denoised = tensors.array(blocks, self.model.ends, offset=size)
        self._input, self._output = lambda: noisy, lambda: denoised

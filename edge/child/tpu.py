"""Edge TPUs: each has a child process with the delegate library, so that a hang or a crash hurts nothing else."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.child.process import GRACE, Child, ChildError, Shared
from edge.child.tpu_job import DROP, LOAD, RUN, describe
from edge.network.delegates import Device
from edge.network.interpreter import Interpreter, closed
from edge.network.modelfile import ModelFile
from edge.network.runtime import gil_window
from quietcam.errors import DeviceError, QuietcamError
from quietcam.process.turn import Turn

__all__ = ["Tpu", "TpuInterpreter", "probe"]

_JOB = "edge.child.tpu_job:serve"
_MOST = 256  # networks that one device may hold at a time


class Tpu:
    """One Edge TPU of this process.

    Only one process at a time can open an Edge TPU. So all networks that run on it share it: a model, the model that
    replaces it after a reload, and the smaller model of the degrade ladder.

    Call ``take`` to use it and ``release`` afterwards; the last ``release`` closes it. Once lost it stays lost, and the
    next ``take`` starts another child.
    """

    _known: ClassVar[dict[Device, Tpu]] = {}
    _starting: ClassVar[dict[Device, Turn]] = {}
    _knowing = threading.Lock()

    def __init__(self, device: Device) -> None:
        self.device = device
        self.is_loading = False
        self._users = 0
        self._lost = False
        self._asking = Turn()
        self._free = set(range(_MOST))
        self._child = Child(_JOB, str(device))

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    @classmethod
    def take(cls, device: Device) -> Tpu:
        """Use a device. Its child process is started if there is none.

        Raises:
            DeviceError: the last child has not ended yet, or no process can be started.
        """
        with cls._knowing:
            starting = cls._starting.setdefault(device, Turn())
        starting.take()
        try:
            return cls._shared(device) or cls._started(device)
        finally:
            starting.leave()

    @classmethod
    def _shared(cls, device: Device) -> Tpu | None:
        """The device with one more user; None if it has no working child process."""
        with cls._knowing:
            tpu = cls._known.get(device)
            if tpu is None or tpu._lost:
                return None
            tpu._users += 1
            return tpu

    @classmethod
    def _started(cls, device: Device) -> Tpu:
        last = cls._known.get(device)
        if last is not None and not last._child.join(2 * GRACE):
            raise DeviceError(f"The Edge TPU {device} is held by the process {last._child.pid}, which does not end")
        try:
            tpu = cls(device)
        except ChildError as error:
            raise DeviceError(str(error)) from error
        tpu._users = 1
        with cls._knowing:
            cls._known[device] = tpu
        return tpu

    def release(self) -> None:
        """Stop using it. The last user closes it."""
        with self._knowing:
            self._users -= 1
            if not self._users:
                self._lost = True
                self._child.close()

    def give_up(self) -> None:
        """Kill its process, unless it has other users."""
        with self._knowing:
            if self._users <= 1:
                self._lost = True
                self._child.kill()

    def join(self, seconds: float) -> bool:
        """If it has no users any more, wait at most ``seconds`` for its end. False if it has not ended."""
        return not self._lost or self._child.join(seconds)

    def load(self, about: bytes, shared: Sequence[Shared], seconds: float) -> int:
        """Load a network. Gives its number.

        Raises:
            DeviceError: the device or its library fails, or takes longer than ``seconds``.
            ModelError: it cannot run this model.
        """
        number = self._free.pop()
        try:
            self.is_loading = True
            self._ask(bytes((LOAD, number)) + about, seconds, shared)
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
        self._ask(message, seconds)

    def drop(self, number: int) -> None:
        """Let the child free a network's memory after the present request; the next answer shows whether it did."""

        def drop() -> None:
            self._child.tell(bytes((DROP, number)))
            self._free.add(number)

        self._asking.between(drop)

    def _ask(self, message: bytes, seconds: float, shared: Sequence[Shared] = ()) -> None:
        self._asking.take()
        try:
            self._child.tell(message, shared)
            self._child.answer(seconds)
        except ChildError as error:
            self._lost = True
            self._child.kill()
            raise DeviceError(str(error)) from error
        finally:
            self._asking.leave()


def probe(seconds: float = 10.0) -> None:
    """Load the delegate library and open an Edge TPU, in a child process.

    Raises:
        DeviceError: the library is missing, or it finds no device.
        ChildError: the process crashed, or was not ready within ``seconds``.
    """
    with Child("edge.child.tpu_job:probe") as child:
        child.answer(seconds)


class TpuInterpreter(Interpreter):
    """A loaded model on an Edge TPU. Inputs and outputs lie in memory that is shared with the device's child process.

    Args:
        tpu: from ``Tpu.take``. It is released when this is closed, or fails to open.
        model: the model file.
        threads: of the CPU's kernels, for operators that do not run on the Edge TPU.
        opening: seconds within which the device must load the model, and again run it once.
        answering: seconds within which it must answer later.

    Attributes:
        first: seconds that the first run took.

    Raises:
        DeviceError: the device or its library fails, or takes too long.
        ModelError: the device cannot run this model.
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
        self._inputs = dict.fromkeys(self.model.inputs, closed)
        self._outputs = dict.fromkeys(self.model.outputs, closed)
        if self._tensors is not None:
            self._tensors.close()
        if self._number is not None:
            self.tpu.drop(self._number)
        self.tpu.release()

    def _load(self, delegate: object) -> None:
        del delegate
        item = np.dtype(self.model.ends).itemsize
        ends = [*self.model.inputs, *self.model.outputs]
        sizes = [math.prod(self.model.shape_of(end)) * item for end in ends]
        try:
            tensors = self._tensors = Shared(sum(sizes))
            with contextlib.closing(Shared.holding(self.model.content)) as content:
                about = describe(self.model, self.threads)
                self._number = self.tpu.load(about, (content, tensors), self._seconds)
        except OSError as error:
            raise DeviceError(f"No memory for the Edge TPU {self.tpu.device}: {error.strerror}") from error
        self._message = bytes((RUN, self._number))
        views = [
            functools.partial(_itself, tensors.array(self.model.shape_of(end), self.model.ends, offset))
            for end, offset in zip(ends, accumulate(sizes, initial=0), strict=False)
        ]
        count = len(self.model.inputs)
        self._inputs = dict(zip(self.model.inputs, views[:count], strict=True))
        self._outputs = dict(zip(self.model.outputs, views[count:], strict=True))


def _itself(tensor: NDArray[Any]) -> NDArray[Any]:
    return tensor

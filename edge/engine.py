"""The engine: one network on one or several devices that share its work, and the CPU that steps in for them."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.delegates import CPU, Device, load_delegate, parse_devices
from edge.interpreter import Interpreter, check_threads
from edge.modelfile import ModelFile, load_model
from edge.runtime import runtime
from edge.worker import Answer, Worker
from quietcam.errors import DeviceError, ModelError, QuietcamError
from quietcam.image import Image
from quietcam.progress import say

__all__ = ["Engine"]

_COMPILED = "_edgetpu"  # ends the name of a compiled model


class Engine:
    """Runs a network wherever it can.

    The CPU alone runs in the caller's thread. Every Edge TPU has a thread of its own, so that one that hangs can be
    left behind. One that is missing, fails or does not answer is said aloud, its work goes to the others or to the
    CPU, and it is tried again in the background until it comes back.

    Args:
        model: a model file, or its path. With Edge TPUs the compiled one or its twin on the CPU: the other is looked
            for beside it (``NAME_edgetpu.tflite`` and ``NAME.tflite``).
        device: what :func:`edge.delegates.parse_devices` reads.
        threads: of each CPU interpreter.
        tell: takes one line about a device that is lost or back.
        retry: seconds until a lost device is first tried again, and at most, since the wait doubles.
        patience: seconds after which a device that does not answer is given up.

    Raises:
        UsageError: no such model, a wrong device, threads below 1.
        ModelError: a model that cannot be used.
        DeviceError: no Edge TPU starts, and there is no model for the CPU.
    """

    def __init__(
        self,
        model: ModelFile | Path | str,
        device: str = "cpu",
        threads: int | None = None,
        *,
        tell: Callable[[str], None] = say,
        retry: tuple[float, float] = (1.0, 60.0),
        patience: float = 10.0,
    ) -> None:
        self._devices = parse_devices(device)
        self.runtime = runtime().name
        self.threads = check_threads(threads)
        self._tell, self._retry, self._patience = tell, retry, patience
        given = model if isinstance(model, ModelFile) else load_model(model)
        self._cpu_model, self._tpu_model = _twins(given, self._devices)
        self.model = self._tpu_model or given
        self._results: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._cpu: Interpreter | None = None
        self._reasons: dict[Device, str] = {}
        self._retries = 0
        self._left: dict[Device, Worker] = {}  # those that were given up; one that hangs may still hold its device
        self._since = time.time()
        self._returned: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._retrier: threading.Thread | None = None
        self._final: dict[str, Any] | None = None  # the state as of closing
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def interpreter(self) -> Interpreter:
        """One that works now, to time its ``invoke``."""
        return self._workers[0].interpreter if self._workers else self._stand_in() or _nothing()

    @property
    def running(self) -> str | None:
        """Name of the model that runs now: the compiled one, or its twin on the CPU; None where nothing can run."""
        if any(not worker.device.is_cpu for worker in self._workers):
            return None if self._tpu_model is None else self._tpu_model.name
        return None if self._cpu_model is None else self._cpu_model.name

    @property
    def state(self) -> dict[str, Any]:
        """``wanted`` and ``used`` as text (``used`` is none where frames pass untouched), ``reason`` for their
        difference or None, ``since`` when so (seconds since 1970), ``retries`` so far.
        """
        return self._final or {
            "wanted": ",".join(map(str, self._devices)),
            "used": self._used(),
            "reason": "; ".join(list(self._reasons.values())) or None,
            "since": self._since,
            "retries": self._retries,
        }

    def run(self, count: int, part: Callable[[int], Image], take: Callable[[int, Interpreter], None]) -> bool:
        """Run the network on ``count`` pictures, no one of which is larger than the model's.

        Args:
            part: gives picture number i; it is read until ``take`` was called for it.
            take: fetches the result of picture number i from the interpreter; called in this thread, in any order.

        Returns:
            False where nothing is left that could run the network; some of the pictures may have been taken.

        Raises:
            ModelError: the model fails on the CPU.
        """
        self._adopt()
        todo = deque(range(count))
        busy: dict[Worker, tuple[int, float]] = {}
        while todo or busy:
            for worker in self._workers:
                if todo and worker not in busy:
                    index = todo.popleft()
                    busy[worker] = index, time.monotonic() + self._patience
                    worker.submit(part(index))
            if not busy:
                return self._run_here(todo, part, take)
            for worker, error in self._wait(busy):
                index, _ = busy.pop(worker)
                if error is None:
                    take(index, worker.interpreter)
                elif worker.device.is_cpu:
                    self._drain(busy)
                    raise error
                else:
                    self._lose(worker, str(error))
                    todo.appendleft(index)
        return True

    def close(self) -> None:
        """Give all devices back. May be called twice."""
        self._final = self._final or self.state
        self._closing.set()
        if self._retrier is not None:
            self._retrier.join(self._patience)  # the library may hang where it opens a device
            self._retrier = None
        self._adopt()
        for worker in self._workers:
            worker.leave(self._patience)
        self._workers = []
        if self._cpu is not None:
            self._cpu.close()

    def _start(self) -> None:
        if self._devices == (CPU,):
            self._stand_in()
            return
        if self._tpu_model is not None and not self._tpu_model.is_compiled:
            self._tell(
                f"{self._tpu_model.path.name} was not compiled for the Edge TPU: what its library does not take runs "
                "on the CPU. Remedy: `quietcam coral compile`"
            )
        for device in self._devices:
            try:
                self._workers.append(self._open(device))
            except QuietcamError as error:
                if device.is_cpu:
                    raise
                self._reasons[device] = str(error)
        if not self._workers and self._stand_in() is None:
            raise DeviceError("; ".join(self._reasons.values()))
        for reason in self._reasons.values():
            self._tell(f"{reason}; until then {self._instead()}")
        self._watch()

    def _run_here(
        self, todo: deque[int], part: Callable[[int], Image], take: Callable[[int, Interpreter], None]
    ) -> bool:
        cpu = self._stand_in()
        if cpu is None:
            return False
        for index in todo:
            cpu.put(part(index))
            cpu.invoke()
            take(index, cpu)
        return True

    def _stand_in(self) -> Interpreter | None:
        """The CPU's interpreter, made when it is first needed; None without a model for it."""
        if self._cpu is None and self._cpu_model is not None:
            self._cpu = Interpreter(self._cpu_model, self.threads)
        return self._cpu

    def _wait(self, busy: dict[Worker, tuple[int, float]]) -> list[Answer]:
        """What is finished, or has been waited for too long."""
        due = min(deadline for _, deadline in busy.values())
        try:
            result = self._results.get(timeout=max(due - time.monotonic(), 0.0))
        except queue.Empty:
            now = time.monotonic()
            error = DeviceError(f"It did not answer within {self._patience:g} s")
            return [(worker, error) for worker, (_, deadline) in busy.items() if deadline <= now]
        return [result] if result[0] in busy else []  # a worker that was given up may yet finish

    def _drain(self, busy: dict[Worker, tuple[int, float]]) -> None:
        """Wait for the others of a frame that failed, so that they are free for the next."""
        while busy:
            for worker, _ in self._wait(busy):
                busy.pop(worker)

    def _open(self, device: Device) -> Worker:
        """A worker that has answered once."""
        if device.is_cpu:
            assert self._cpu_model is not None
            return Worker(device, Interpreter(self._cpu_model, self.threads), self._results)
        delegate = load_delegate(device)
        model = self._tpu_model
        assert model is not None
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        worker = Worker(device, Interpreter(model, self.threads, delegate), answers)
        worker.submit(np.zeros(worker.interpreter.shape, np.uint8))
        try:
            _, error = answers.get(timeout=self._patience)
        except queue.Empty:
            error = DeviceError(f"The Edge TPU {device} does not answer within {self._patience:g} s")
        if error is not None:
            self._leave(worker)
            raise error
        worker.answer_to(self._results)
        return worker

    def _lose(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        self._leave(worker)
        self._reasons[worker.device] = f"{worker.device}: {reason}"
        self._since = time.time()
        self._tell(f"The Edge TPU {worker.device} is lost: {reason.rstrip('.')}; until it is back {self._instead()}")
        self._watch()

    def _leave(self, worker: Worker) -> None:
        worker.leave(0.0)
        self._left[worker.device] = worker

    def _instead(self) -> str:
        used = self._used()
        if used == "none":
            return "frames pass as they are, since there is no model for the CPU beside the compiled one"
        return f"the network runs on {used}"

    def _used(self) -> str:
        if self._workers:
            return ",".join(str(worker.device) for worker in self._workers)
        return "none" if self._cpu_model is None else "cpu"

    def _watch(self) -> None:
        """Have the lost devices tried again, in a thread of its own."""
        if self._reasons and (self._retrier is None or not self._retrier.is_alive()) and not self._closing.is_set():
            self._retrier = threading.Thread(target=self._try_again, name="quietcam-device", daemon=True)
            self._retrier.start()

    def _try_again(self) -> None:
        wait, longest = self._retry
        while not self._closing.wait(wait):
            wait = min(2 * wait, longest)
            lost = [device for device in self._devices if device in self._reasons]
            for device in lost:
                if device in self._left and self._left[device].is_alive:
                    continue
                self._retries += 1
                try:
                    self._returned.put(self._open(device))
                except QuietcamError as error:
                    self._reasons[device] = str(error)
                else:
                    return  # the next frame takes it in, and has others watched

    def _adopt(self) -> None:
        """Take in devices that came back."""
        while not self._returned.empty():
            worker = self._returned.get()
            self._workers.append(worker)
            self._reasons.pop(worker.device, None)
            self._since = time.time()
            self._tell(f"The Edge TPU {worker.device} is back")
            if not self._closing.is_set():
                if self._retrier is not None:
                    self._retrier.join()
                self._watch()


def _twins(given: ModelFile, devices: tuple[Device, ...]) -> tuple[ModelFile | None, ModelFile | None]:
    """The models for the CPU and for Edge TPUs; None where there is none, or none is wanted."""
    if all(device.is_cpu for device in devices):
        return given, None
    if given.is_compiled:
        stem = given.path.stem.removesuffix(_COMPILED)
        other = given.path.with_name(f"{stem}{given.path.suffix}")
        cpu = load_model(other) if stem != given.path.stem and other.is_file() else None
        tpu = given
    else:
        other = given.path.with_name(f"{given.path.stem}{_COMPILED}{given.path.suffix}")
        cpu, tpu = given, load_model(other) if other.is_file() else given
    if cpu is not None and (cpu.height, cpu.width, cpu.channels) != (tpu.height, tpu.width, tpu.channels):
        raise ModelError(
            f"A compiled model and its twin for the CPU have one size. Received: {tpu.path}: {tpu.width}x{tpu.height}, "
            f"{cpu.path}: {cpu.width}x{cpu.height}. Remedy: compile the model again."
        )
    if cpu is None and any(device.is_cpu for device in devices):
        raise ModelError(
            f"The CPU needs the model that {given.path.name} was compiled from. Received: none beside it. "
            "Remedy: put it there, or leave cpu out of --device"
        )
    return cpu, tpu


def _nothing() -> Interpreter:
    raise DeviceError("No device is left that could run the network. Remedy: plug one in")

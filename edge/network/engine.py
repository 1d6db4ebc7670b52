"""The engine: one network on one or several devices that share its work, and the CPU that steps in for them."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.child.process import GRACE
from edge.child.tpu import Tpu, TpuInterpreter
from edge.network.delegates import CPU, Device, parse_devices
from edge.network.interpreter import Interpreter, check_threads
from edge.network.modelfile import ModelFile
from edge.network.runtime import runtime
from edge.network.variants import ModelVariants, load_variants
from edge.network.worker import Answer, Worker
from quietcam.backoff import Backoff
from quietcam.errors import DeviceError, QuietcamError
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["Engine", "Patience"]

_CLOSING = GRACE + 0.5  # seconds


@dataclass(frozen=True)
class Patience:
    """How long an Edge TPU that does not answer is waited for, in seconds.

    Attributes:
        start: when the engine starts and the CPU can stand in; the device goes on starting in the background.
        opening: until the library has the network ready, and again until it has run once; else it is given up. The
            firmware and the model are sent to the device meanwhile.
        answering: until it has run the network later.
        frame: until the frame goes on without it, or four times as long as its answers usually take.
    """

    start: float = 3.0
    opening: float = 10.0
    answering: float = 2.0
    frame: float = 0.25


class Engine:
    """Runs a network wherever it can.

    The CPU alone runs in the caller's thread. Every Edge TPU has a process of its own, so that one that hangs or
    crashes takes nothing with it. One that is missing, fails or does not answer is said aloud, its work goes to the
    others or to the CPU, and it is tried again in the background until it comes back. Frames do not wait until one that
    does not answer is given up: the others or the CPU do its work meanwhile.

    Args:
        model: a model file, or its path. With Edge TPUs the compiled one or its twin on the CPU: the other is looked
            for beside it (``NAME_edgetpu.tflite`` and ``NAME.tflite``).
        device: what :func:`edge.network.delegates.parse_devices` reads.
        threads: of each CPU interpreter.
        retry: seconds until a lost device is first tried again, and at most, since the wait doubles.
        patience: how long a device that does not answer is waited for.

    Raises:
        UsageError: no such model, a wrong device, threads below 1.
        ModelError: a model that cannot be used.
        DeviceError: no Edge TPU starts, and there is no model for the CPU.
    """

    def __init__(
        self,
        model: ModelVariants | ModelFile | Path | str,
        device: str = "cpu",
        threads: int | None = None,
        *,
        retry: tuple[float, float] = (1.0, 60.0),
        patience: Patience = Patience(),
    ) -> None:
        self._devices = parse_devices(device)
        self.runtime = runtime().name
        self.threads = check_threads(threads)
        self._retry, self._patience = retry, patience
        variants = model if isinstance(model, ModelVariants) else load_variants(model, device)
        self._cpu_model, self._tpu_model, self.model = variants.cpu, variants.tpu, variants.shown
        self._results: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._late: set[Worker] = set()  # of them, whose answer no frame waits for any more
        self._cpu: Interpreter | None = None
        self._reasons: dict[Device, str] = {}
        self._retries = 0
        self._since = time.time()
        self._returned: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()  # held while a device is handed over, which must not happen after closing
        self._opening: dict[Device, Tpu] = {}
        self._openers: dict[Device, threading.Thread] = {}
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
        if any(not worker.device.is_cpu for worker in self._punctual()):
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
        while self._late and not self._results.empty():
            self._heard(*self._results.get())
        todo = deque(range(count))
        busy: dict[Worker, int] = {}
        try:
            while todo or busy:
                for worker in self._punctual():
                    if todo and worker not in busy and worker.is_ready:
                        busy[worker] = todo.popleft()
                        worker.submit(part(busy[worker]))
                if not busy:
                    return self._run_here(todo, part, take)
                try:
                    worker, error = self._results.get(timeout=_longest(min(each.due for each in busy)))
                except queue.Empty:
                    for worker in [each for each in busy if each.due <= time.monotonic()]:
                        self._late.add(worker)
                        self._note(worker.device, f"{worker.device}: It does not answer")
                        todo.appendleft(busy.pop(worker))
                    continue
                index = busy.pop(worker, None)
                works = self._heard(worker, error)
                if index is not None and works:
                    take(index, worker.interpreter)
                elif index is not None:
                    todo.appendleft(index)
        finally:  # of a frame that failed the CPUs read a little longer; whatever else comes is late
            while any(worker.device.is_cpu for worker in busy):
                worker, _ = self._results.get()
                self._late.discard(worker)
                busy.pop(worker, None)
            self._late.update(busy)
        return True

    def close(self) -> None:
        """Give all devices back. Waits about a second for one that hangs, and leaves it behind. May be called twice."""
        self._final = self._final or self.state
        with self._lock:
            self._closing.set()
            opening = list(self._opening.values())
        for tpu in opening:
            tpu.give_up()
        while not self._returned.empty():
            self._workers.append(self._returned.get())
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.leave()
        end = time.monotonic() + process.seconds_left(_CLOSING)
        for opener in self._openers.values():
            opener.join(max(end - time.monotonic(), 0.0))
        for worker in workers:
            worker.join(end - time.monotonic())
        if self._cpu is not None:
            self._cpu.close()

    def _start(self) -> None:
        if self._devices == (CPU,):
            self._stand_in()
            return
        if self._tpu_model is not None and not self._tpu_model.is_compiled:
            log.warning(
                f"{self._tpu_model.path.name} was not compiled for the Edge TPU: what its library does not take runs "
                "on the CPU. Remedy: `quietcam coral compile`"
            )
        for device in self._devices:
            if device.is_cpu:
                assert self._cpu_model is not None
                self._workers.append(Worker(device, Interpreter(self._cpu_model, self.threads), self._results))
            else:
                self._reasons[device] = f"The Edge TPU {device} is still starting"
        # With something to run on, a device that takes long to start comes in later.
        alone = self._cpu_model is None
        end = time.monotonic() + (2 * self._patience.opening + 3 * GRACE if alone else self._patience.start)
        for tried in [self._watch(device, 0.0) for device in self._reasons]:
            tried.wait(max(end - time.monotonic(), 0.0))
        self._adopt(aloud=False)
        if not self._workers and self._stand_in() is None:
            raise DeviceError("; ".join(self._reasons.values()))
        if not any(worker.device.is_cpu for worker in self._workers):
            self._stand_in()  # now: where a device is lost in the middle of a frame, the frame must not wait for it
        for reason in list(self._reasons.values()):
            log.warning(f"{reason}; until then {self._instead()}")

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

    def _open(self, device: Device) -> Worker:
        """A worker that has answered once."""
        model = self._tpu_model
        assert model is not None
        tpu = Tpu.take(device)
        with self._lock:
            self._opening[device] = tpu
            if self._closing.is_set():
                tpu.give_up()
        try:
            patience = self._patience
            interpreter = TpuInterpreter(tpu, model, self.threads, patience.opening, patience.answering)
        finally:
            with self._lock:
                del self._opening[device]
        return Worker(device, interpreter, self._results, patience.frame, interpreter.first)

    def _punctual(self) -> list[Worker]:
        return [worker for worker in self._workers if worker not in self._late]

    def _heard(self, worker: Worker, error: Exception | None) -> bool:
        """Whether a worker that has answered works. One of the CPU must."""
        was_late = worker in self._late
        self._late.discard(worker)
        if error is None:
            if was_late:
                self._note(worker.device, None)
        elif worker.device.is_cpu:
            raise error
        else:
            self._lose(worker, str(error))
        return error is None

    def _note(self, device: Device, reason: str | None) -> None:
        """Why a device is not used now; None: it is."""
        if reason is None:
            self._reasons.pop(device, None)
        else:
            self._reasons[device] = reason
        self._since = time.time()

    def _lose(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.leave()
        self._note(worker.device, f"{worker.device}: {reason}")
        log.warning(f"The Edge TPU {worker.device} is lost: {reason.rstrip('.')}; until it is back {self._instead()}")
        self._watch(worker.device, self._retry[0])

    def _instead(self) -> str:
        used = self._used()
        if used == "none":
            return "frames pass as they are, since there is no model for the CPU beside the compiled one"
        return f"the network runs on {used}"

    def _used(self) -> str:
        if workers := sorted(self._punctual(), key=lambda worker: self._devices.index(worker.device)):
            return ",".join(str(worker.device) for worker in workers)
        return "none" if self._cpu_model is None else "cpu"

    def _watch(self, device: Device, wait: float) -> threading.Event:
        """Have a device opened, in a thread of its own, in ``wait`` seconds and then over and over until it works. The
        event is set when it was tried once.
        """
        tried, name = threading.Event(), f"quietcam-{device}-opening"
        opener = threading.Thread(target=self._keep_trying, args=(device, wait, tried), name=name, daemon=True)
        self._openers[device] = opener
        opener.start()
        return tried

    def _keep_trying(self, device: Device, wait: float, tried: threading.Event) -> None:
        backoff = Backoff(*self._retry)
        while not self._closing.wait(wait):
            self._retries += wait > 0
            try:
                worker = self._open(device)
            except (QuietcamError, RuntimeError) as error:  # the latter: no more threads
                self._reasons[device] = str(error)
                wait = backoff.failed()
            else:
                with self._lock:
                    if self._closing.is_set():
                        worker.leave()
                    else:
                        self._returned.put(worker)  # the next frame takes it in
                return
            finally:
                tried.set()

    def _adopt(self, aloud: bool = True) -> None:
        """Take in devices that came, or came back."""
        while not self._returned.empty():
            worker = self._returned.get()
            self._workers.append(worker)
            self._note(worker.device, None)
            if aloud:
                log.info("The Edge TPU %s is back", worker.device)


def _longest(due: float) -> float | None:
    """Seconds until then; None without end."""
    return None if math.isinf(due) else max(due - time.monotonic(), 0.0)


def _nothing() -> Interpreter:
    raise DeviceError("No device is left that could run the network. Remedy: plug one in")

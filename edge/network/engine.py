"""The engine: one network on one or several devices that share its work. The CPU replaces those that fail."""

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
from edge.network.history import History
from edge.network.interpreter import Interpreter, check_threads
from edge.network.modelfile import ModelFile
from edge.network.runtime.installed import runtime
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
    """How long the engine waits for an Edge TPU, in seconds.

    Attributes:
        start: for its first answer when the engine starts, if the CPU can do the work. The device goes on starting in
            the background.
        opening: for its library to load the network, and again for its first run. Then the device is given up. In this
            time the firmware and the model are sent to it.
        answering: for each later run of the network. Then the device is given up.
        frame: until the others or the CPU take over the frame, or four times its usual seconds if that is more.
    """

    start: float = 3.0
    opening: float = 10.0
    answering: float = 2.0
    frame: float = 0.25


class Engine:
    """Runs a network on the devices that are wanted, and on the CPU where these fail.

    The CPU alone runs in the caller's thread. Every Edge TPU has a child process, so that a hang or a crash hurts
    nothing else. If one is missing, fails or does not answer, the log says so, the other devices or the CPU do its
    work, and it is tried again in the background until it works. No frame waits for a device that does not answer.

    Args:
        model: a model file, its path, or what :func:`edge.network.variants.load_variants` gives. For Edge TPUs either
            the compiled model or that for the CPU: the other one is loaded from the same folder.
        device: as for :func:`edge.network.delegates.parse_devices`.
        threads: of each interpreter on the CPU. Defaults to one per core, up to 4.
        retry: seconds until a lost device is tried again: the first wait, which doubles each time, and the longest.
        patience: how long to wait for a device.

    Raises:
        UsageError: the model does not exist, or ``device`` or ``threads`` is not valid.
        ModelError: the model cannot be used.
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
        self._late: set[Worker] = set()  # workers whose answer no frame waits for any more
        self._cpu: Interpreter | None = None
        self._reasons: dict[Device, str] = {}
        self._retries = 0
        self._since = time.time()
        self._returned: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()  # held while a device is handed over: that must not happen after closing
        self._opening: dict[Device, Tpu] = {}
        self._openers: dict[Device, threading.Thread] = {}
        self._final: dict[str, Any] | None = None  # the state when the engine was closed
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def interpreter(self) -> Interpreter:
        """An interpreter that works now, to measure its ``invoke``."""
        return self._workers[0].interpreter if self._workers else self._stand_in() or _nothing()

    @property
    def running(self) -> str | None:
        """Name of the model that runs now: the compiled one, or that for the CPU; None if none can run."""
        if any(not worker.device.is_cpu for worker in self._punctual()):
            return None if self._tpu_model is None else self._tpu_model.name
        return None if self._cpu_model is None else self._cpu_model.name

    @property
    def state(self) -> dict[str, Any]:
        """The state of the devices, for JSON.

        ``wanted`` and ``used``: devices as text; ``used`` is none where frames pass untouched. ``reason``: why they
        differ, or None. ``since``: time of the last change, in seconds since 1970. ``retries``: their number so far.
        """
        return self._final or {
            "wanted": ",".join(map(str, self._devices)),
            "used": self._used(),
            "reason": "; ".join(list(self._reasons.values())) or None,
            "since": self._since,
            "retries": self._retries,
        }

    def run(
        self,
        count: int,
        part: Callable[[int], Image],
        take: Callable[[int, Interpreter], None],
        history: History | None = None,
    ) -> bool:
        """Run the network on ``count`` pictures, none of which is larger than the model's.

        Args:
            part: gives picture number i. The engine reads it until ``take`` was called for it.
            take: fetches the result of picture number i from the interpreter. Called in this thread, in any order.
            history: gives a video network the past of each picture, and keeps what it gives to remember. It lies in
                this process, so a device that is lost takes nothing with it. None: the pictures have no past.

        Returns:
            False if no device is left that can run the network. Some of the pictures may have been taken then.

        Raises:
            ModelError: the model fails on the CPU.
        """
        self._adopt()
        while self._late and not self._results.empty():
            self._heard(*self._results.get())
        todo = deque(range(count))
        busy: dict[Worker, int] = {}
        if history is not None and self._workers:
            history.settle()  # their threads read it
        try:
            while todo or busy:
                for worker in self._punctual():
                    if todo and worker not in busy and worker.is_ready:
                        busy[worker] = todo.popleft()
                        worker.submit(part(busy[worker]), None if history is None else history.past(busy[worker]))
                if not busy:
                    return self._run_here(todo, part, take, history)
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
                    if history is not None:
                        history.keep(worker.interpreter, index)
                elif index is not None:
                    todo.appendleft(index)
        finally:  # if the frame failed, CPU workers may still read it; answers of others are late now
            while any(worker.device.is_cpu for worker in busy):
                worker, _ = self._results.get()
                self._late.discard(worker)
                busy.pop(worker, None)
            self._late.update(busy)
        return True

    def close(self) -> None:
        """Free all devices. Waits about a second for a device that hangs, then leaves it. May be called twice."""
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
                f"{self._tpu_model.path.name} was not compiled for the Edge TPU, so most of it may run on the CPU. "
                "Remedy: `quietcam coral compile`"
            )
        for device in self._devices:
            if device.is_cpu:
                assert self._cpu_model is not None
                self._workers.append(Worker(device, Interpreter(self._cpu_model, self.threads), self._results))
            else:
                self._reasons[device] = f"The Edge TPU {device} is still starting"
        # If the CPU can do the work, devices that start slowly join later.
        alone = self._cpu_model is None
        end = time.monotonic() + (2 * self._patience.opening + 3 * GRACE if alone else self._patience.start)
        for tried in [self._watch(device, 0.0) for device in self._reasons]:
            tried.wait(max(end - time.monotonic(), 0.0))
        self._adopt(aloud=False)
        if not self._workers and self._stand_in() is None:
            raise DeviceError("; ".join(self._reasons.values()))
        if not any(worker.device.is_cpu for worker in self._workers):
            self._stand_in()  # now, so that no frame waits for this when a device is lost
        for reason in list(self._reasons.values()):
            log.warning(f"{reason}; until then, {self._instead()}")

    def _run_here(
        self,
        todo: deque[int],
        part: Callable[[int], Image],
        take: Callable[[int, Interpreter], None],
        history: History | None,
    ) -> bool:
        cpu = self._stand_in()
        if cpu is None:
            return False
        for index in todo:
            if history is None:
                cpu.put(part(index))
            else:
                history.put(cpu, part(index), index)
            cpu.invoke()
            take(index, cpu)
            if history is not None:
                history.leave(cpu, index)
        return True

    def _stand_in(self) -> Interpreter | None:
        """The CPU's interpreter, made when it is first needed; None without a model for the CPU."""
        if self._cpu is None and self._cpu_model is not None:
            self._cpu = Interpreter(self._cpu_model, self.threads)
        return self._cpu

    def _open(self, device: Device) -> Worker:
        """Open a device. Gives a worker that has answered once."""
        model = self._tpu_model
        assert model is not None
        tpu = Tpu.take(device)
        with self._lock:
            self._opening[device] = tpu
            closing = self._closing.is_set()
        if closing:
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
        """Whether the worker that has answered works. An error on the CPU is raised."""
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
        """Keep why a device is not used now; None if it is used."""
        if reason is None:
            self._reasons.pop(device, None)
        else:
            self._reasons[device] = reason
        self._since = time.time()

    def _lose(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.leave()
        self._note(worker.device, f"{worker.device}: {reason}")
        log.warning(f"The Edge TPU {worker.device} is lost: {reason.rstrip('.')}; until it is back, {self._instead()}")
        self._watch(worker.device, self._retry[0])

    def _instead(self) -> str:
        used = self._used()
        if used == "none":
            return "frames pass unchanged, because there is no model for the CPU beside the compiled one"
        return f"the network runs on {used}"

    def _used(self) -> str:
        if workers := sorted(self._punctual(), key=lambda worker: self._devices.index(worker.device)):
            return ",".join(str(worker.device) for worker in workers)
        return "none" if self._cpu_model is None else "cpu"

    def _watch(self, device: Device, wait: float) -> threading.Event:
        """Start a thread that tries to open a device, first after ``wait`` seconds. The event follows the first try."""
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
            except (QuietcamError, RuntimeError) as error:  # RuntimeError: no more threads can be started
                self._reasons[device] = str(error)
                wait = backoff.failed()
            else:
                with self._lock:
                    if self._closing.is_set():
                        worker.leave()
                    else:
                        self._returned.put(worker)  # the next frame uses it
                return
            finally:
                tried.set()

    def _adopt(self, aloud: bool = True) -> None:
        """Use devices that have started, or have come back."""
        while not self._returned.empty():
            worker = self._returned.get()
            self._workers.append(worker)
            self._note(worker.device, None)
            if aloud:
                log.info("The Edge TPU %s is back", worker.device)


def _longest(due: float) -> float | None:
    """Seconds until ``due``; None if it never comes."""
    return None if math.isinf(due) else max(due - time.monotonic(), 0.0)


def _nothing() -> Interpreter:
    raise DeviceError("No device is left that can run the network. Remedy: plug one in.")

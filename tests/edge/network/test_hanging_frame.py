"""While native code or a child process hangs, calls that report, change, stop or close return immediately."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.child import tpu as tpu_module
from edge.child import trial as trial_module
from edge.child.process import Child
from edge.child.tpu import Tpu
from edge.child.trial import Trial
from edge.network.delegates import parse_devices
from edge.network.denoiser import Denoiser
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from edge.run.reloading import ReloadingDenoiser
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.small_models import picture
from tests.waiting import WAIT, ended, until

AT_ONCE = 60.0  # seconds: far more than it may take


def at_once(work: Callable[[], object]) -> None:
    """Do ``work``, which must not wait for what hangs."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(AT_ONCE)
    assert not thread.is_alive(), "it waits for what hangs"
    for error in failed:
        raise error


class Hanging:
    """A denoiser whose network hangs in one frame, in a thread of its own."""

    def __init__(self, denoiser: Denoiser, inside: threading.Event) -> None:
        self.denoiser = denoiser
        self.frames: list[Image] = []
        self._inside = inside

    def frame(self) -> threading.Thread:
        thread = threading.Thread(target=lambda: self.frames.append(self.denoiser.denoise(picture(32, 32))))
        thread.start()
        assert self._inside.wait(WAIT)
        return thread


@pytest.fixture
def hanging(small: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    inside, invoke = threading.Event(), Interpreter.invoke

    def hangs(interpreter: Interpreter) -> None:
        inside.set()
        assert hang.wait(WAIT)
        invoke(interpreter)

    monkeypatch.setattr(Trial, "of", lambda *_: None)
    with Denoiser(small, 1) as denoiser:
        monkeypatch.setattr(Interpreter, "invoke", hangs)
        yield Hanging(denoiser, inside)
        hang.set()


def test_while_a_frame_hangs_all_else_answers(hanging: Hanging, hang: threading.Event) -> None:
    denoiser = hanging.denoiser
    frame = hanging.frame()
    at_once(lambda: setattr(denoiser, "strength", 0.5))
    at_once(denoiser.report)
    at_once(denoiser.resume)
    assert (denoiser.strength, denoiser.device_state["used"]) == (0.5, "cpu")
    hang.set()
    ended(frame)


def test_while_a_frame_hangs_a_reload_is_asked_for_and_taken_after_it(
    hanging: Hanging, hang: threading.Event, models: Path
) -> None:
    other = models / "small_32x32_float32.tflite"
    reloading = ReloadingDenoiser(hanging.denoiser, hanging.denoiser.reload)
    frame = hanging.frame()
    at_once(lambda: reloading.request(other))
    at_once(lambda: reloading.idle(0.0))
    at_once(reloading.report)
    assert hanging.denoiser.model.ends == "int8"
    hang.set()
    ended(frame)
    until(lambda: reloading.count)
    assert hanging.denoiser.model.ends == "float32"
    reloading.close()


def test_a_denoiser_whose_frame_hangs_is_closed_and_freed_after_it(hanging: Hanging, hang: threading.Event) -> None:
    frame = hanging.frame()
    native = hanging.denoiser.interpreter
    at_once(hanging.denoiser.close)
    at_once(hanging.denoiser.close)
    assert native._native is not None, "the frame still uses it"
    hang.set()
    ended(frame)
    assert native._native is None
    assert len(hanging.frames) == 1
    with pytest.raises(ModelError, match="closed denoiser takes no frame"):
        hanging.denoiser.denoise(picture(32, 32))


def test_reloads_and_frames_that_wait_for_one_that_hangs_end_with_the_denoiser(hanging: Hanging, small: Path) -> None:
    errors: list[str] = []

    def waits(work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except ModelError as error:
                errors.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    hanging.frame()
    denoiser = hanging.denoiser
    threads = [waits(lambda: denoiser.denoise(picture(32, 32))), waits(lambda: denoiser.reload(small))]
    until(lambda: len(denoiser._frames._waiting) == 2)
    threads.append(waits(lambda: denoiser.reload(small)))
    until(lambda: denoiser._reloads._waiting)
    at_once(denoiser.close)
    for thread in threads:
        ended(thread)
    other = "A closed denoiser takes no other model."
    assert sorted(errors) == ["A closed denoiser takes no frame.", other, other]


@pytest.fixture
def starting(hang: threading.Event, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a child process is being started, which hangs."""
    begun = threading.Event()

    class Late(Child):
        def __init__(self, _: str, *words: object, **more: object) -> None:
            begun.set()
            assert hang.wait(WAIT)
            super().__init__("tests.edge.jobs:hang_silently", *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tpu_module, "Child", Late)
    monkeypatch.setattr(trial_module, "Child", Late)
    return begun


def test_while_a_process_is_slow_to_start_the_trial_is_stopped(
    small: Path, hang: threading.Event, starting: threading.Event
) -> None:
    trial, errors = Trial(), list[str]()

    def run() -> None:
        try:
            trial.of(load_model(small), (32, 32, 3), 1)
        except ModelError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert starting.wait(WAIT)
    at_once(trial.stop)
    hang.set()
    ended(thread)
    assert "The run has ended" in errors[0]


def test_while_a_device_is_slow_to_start_another_one_is_given_back(
    hang: threading.Event, starting: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = parse_devices("usb:0,usb:1")
    with monkeypatch.context() as patch:
        patch.setattr(tpu_module, "Child", lambda *_: Child("tests.edge.jobs:hang_silently"))
        there = Tpu.take(first)
    late: list[Tpu] = []
    threads = [threading.Thread(target=lambda: late.append(Tpu.take(second))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert starting.wait(WAIT)
    at_once(there.give_up)
    at_once(there.release)
    hang.set()
    for thread in threads:
        ended(thread)
    assert late[0] is late[1], "it was started once"
    for tpu in late:
        tpu.release()
    for tpu in (there, late[0]):
        tpu._child.kill()
        assert tpu.join(WAIT)


def test_while_a_device_loads_another_network_one_is_dropped_after_it(hang: threading.Event) -> None:
    (device,) = parse_devices("usb:3")
    tpu = Tpu.take(device)
    told: list[bytes] = []

    class Talks:
        def tell(self, message: bytes, _: object = ()) -> None:
            told.append(message[:1])

        def answer(self, _: float) -> None:
            assert hang.wait(WAIT)

    real, tpu._child = tpu._child, Talks()  # type: ignore[assignment]
    thread = threading.Thread(target=lambda: tpu.load(b"", (), WAIT))
    thread.start()
    until(lambda: told)
    at_once(lambda: tpu.drop(7))
    assert told == [b"L"]
    hang.set()
    ended(thread)
    assert told == [b"L", b"D"]
    tpu._child = real
    tpu.release()
    real.kill()
    assert tpu.join(WAIT)


def test_frames_of_several_threads_all_go_through(small: Path) -> None:
    noisy = picture(32, 32)
    with Denoiser(small, 1) as denoiser:
        wanted = denoiser.denoise(noisy)
        found: list[Image] = []
        threads = [threading.Thread(target=lambda: found.append(denoiser.denoise(noisy))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            ended(thread)
    assert len(found) == 8
    assert all(np.array_equal(each, wanted) for each in found)

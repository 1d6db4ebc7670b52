"""Delegate libraries that hang, are slow, fail or crash in any call: frames continue, and closing is quick."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.child import process as child
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine, Patience
from edge.network.interpreter import Interpreter
from quietcam.errors import DeviceError
from quietcam.image import Image
from quietcam.process.native_output import native_output_caught
from tests.edge.bus import Bus
from tests.leaks import children, gone, held, nothing_more
from tests.small_models import picture
from tests.waiting import WAIT, until

ENTRY_POINTS = ("create", "prepare", "init", "invoke", "free", "destroy")
REASONS = {
    "h": r"did not answer within 0\.5 s",
    "0.3 f": "out of order|went away|cannot run",
    "0 a": "ended by SIGABRT .*its last words: .*F0000 fake_edgetpu: check failed at",
}
FAST = (0.01, 0.05)
SHORT = 0.5  # seconds: our own limit of time, for what hangs; what works has all the time it wants
CLOSED = 60.0  # seconds: far more than closing may take, far less than `WAIT`


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with native_output_caught():  # it has a process of its own, which stays
        pass
    before = held()
    yield
    until(lambda: nothing_more(before), lambda: f"{before} is now {held()}")


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """The small model and its compiled variant, side by side."""
    for name in ("small_32x32_int8", "small_32x32_int8_edgetpu"):
        shutil.copy(models / f"{name}.tflite", tmp_path)
    return tmp_path / "small_32x32_int8.tflite"


def denoise(engine: Engine, noisy: Image) -> Image:
    out = np.empty_like(noisy)
    assert engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(out))
    return out


def on_the_cpu(model: Path, noisy: Image) -> Image:
    out = np.empty_like(noisy)
    with Interpreter(model) as interpreter:
        interpreter.run(noisy, out)
    return out


def closed(engine: Engine) -> None:
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < CLOSED
    engine.close()


@pytest.mark.parametrize("how", REASONS)
@pytest.mark.parametrize("where", ENTRY_POINTS)
def test_whatever_it_does_at_the_start_the_cpu_goes_on_and_the_device_comes_when_it_works(
    bus: Bus, model: Path, where: str, how: str, said: list[str]
) -> None:
    bus.plug("usb0")
    bus.misbehave(where, how)
    noisy = picture(32, 32)
    here = on_the_cpu(model, noisy)
    # The library's own time is short, where it hangs; the process before it may take as long as it likes.
    opening = SHORT if how == "h" else WAIT
    patience = Patience(SHORT, opening, WAIT)
    engine = Engine(model, "usb:0", retry=FAST, patience=patience)
    for _ in range(5):
        out = denoise(engine, noisy)
        assert (out == here).all() or (out == 255 - noisy).all()
    if where in ("create", "prepare", "init", "invoke"):
        assert engine.state["used"] == "cpu"
        assert said[0].endswith("until then, the network runs on cpu")
        until(lambda: engine.state["retries"] >= 2)
        until(lambda: re.search(REASONS[how], engine.state["reason"]), lambda: engine.state["reason"])
        bus.misbehave(where, "")
        engine._patience = Patience(WAIT, WAIT, WAIT, WAIT)
        until(lambda: (denoise(engine, noisy) == 255 - noisy).all())
    closed(engine)
    bus.misbehave(where, "")


@pytest.mark.parametrize("how", REASONS)
@pytest.mark.parametrize("where", ENTRY_POINTS)
def test_whatever_it_does_in_mid_run_every_frame_is_the_networks(
    bus: Bus, model: Path, where: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is lost, so that all calls of the library are made: those that free it and those that reopen it."""
    monkeypatch.setattr(child, "GRACE", SHORT)
    bus.plug("usb0")
    noisy = picture(32, 32)
    here = on_the_cpu(model, noisy)
    engine = Engine(model, "usb:0", retry=FAST)
    assert (denoise(engine, noisy) == 255 - noisy).all()
    engine.interpreter._seconds = SHORT if how == "h" else WAIT  # type: ignore[attr-defined]
    bus.misbehave(where, how)
    if where != "invoke":
        bus.unplug("usb0")
    until(lambda: (denoise(engine, noisy) == here).all())
    bus.plug("usb0")
    for _ in range(20):
        out = denoise(engine, noisy)
        assert (out == here).all() or (out == 255 - noisy).all()
    if where in ("create", "prepare", "init", "invoke") and how != "h":
        until(lambda: re.search(REASONS[how], engine.state["reason"] or ""), lambda: engine.state["reason"])
    closed(engine)


@pytest.mark.parametrize("how", ["h", "1.5"])
def test_frames_go_on_at_once_while_a_device_does_not_answer(bus: Bus, model: Path, how: str, said: list[str]) -> None:
    """It is neither lost nor used until it answers: the CPU does its work, and its pictures are shown."""
    bus.plug("usb0")
    noisy = picture(32, 32)
    here = on_the_cpu(model, noisy)
    engine = Engine(model, "usb:0", patience=Patience(WAIT, WAIT, WAIT, SHORT))
    (worker,) = engine._workers
    bus.misbehave("invoke", "h")
    for _ in range(50):
        np.testing.assert_array_equal(denoise(engine, noisy), here)
        assert (engine.running, engine.state["used"]) == ("small_32x32_int8", "cpu")
        assert engine.state["reason"] == "usb:0: It does not answer"
    assert bus.log.count("hangs=invoke") == 1
    bus.misbehave("invoke", "" if how == "h" else how)
    until(lambda: not engine._results.empty())
    out = denoise(engine, noisy)
    if how == "h":
        until(lambda: (denoise(engine, noisy) == 255 - noisy).all())
        until(lambda: denoise(engine, noisy) is not None and engine.state["reason"] is None)
        assert engine.running == "small_32x32_int8_edgetpu"
    else:  # what is slow each time is late each time
        np.testing.assert_array_equal(out, here)
        assert worker._usual < SHORT
    assert said == []
    assert engine._workers == [worker]
    closed(engine)


def test_the_others_do_the_tiles_of_a_device_that_does_not_answer(bus: Bus, model: Path) -> None:
    for device in ("usb0", "usb1"):
        bus.plug(device)
    noisy = picture(150, 200)
    with Denoiser(model, device="usb:0,usb:1") as denoiser:
        one = denoiser._network.engine._workers[0]
        one._patience = SHORT
        bus.hang(str(one.device).replace(":", ""))
        for _ in range(3):
            np.testing.assert_array_equal(denoiser.denoise(noisy), 255 - noisy)
            assert denoiser.device_state["used"] == str(denoiser._network.engine._workers[1].device)
        bus.plug(str(one.device).replace(":", ""))
        until(lambda: denoiser.denoise(noisy) is not None and denoiser.device_state["used"] == "usb:0,usb:1")


def test_without_a_model_for_the_cpu_frames_pass_as_they_are_while_the_device_does_not_answer(
    bus: Bus, model: Path
) -> None:
    bus.plug("usb0")
    alone = shutil.move(model.with_name("small_32x32_int8_edgetpu.tflite"), model.with_name("alone.tflite"))
    noisy = picture(32, 32)
    with Denoiser(alone, device="usb:0") as denoiser:
        denoiser._network.engine._workers[0]._patience = SHORT
        bus.misbehave("invoke", "h")
        for _ in range(3):
            denoised, treatment = denoiser.treat(noisy)
            np.testing.assert_array_equal(denoised, noisy)
            assert (treatment.model, treatment.why) == (None, "no device runs the network")
            assert denoiser.device_state["used"] == "none"
        bus.misbehave("invoke", "")
        until(lambda: (denoiser.denoise(noisy) == 255 - noisy).all())


def test_a_device_whose_opening_hangs_costs_the_frames_nothing(bus: Bus, model: Path) -> None:
    """Frames go through while the library is inside its call, which never returns."""
    bus.misbehave("create", "h")
    noisy = picture(32, 32)
    here = on_the_cpu(model, noisy)
    engine = Engine(model, "usb:0", retry=FAST, patience=Patience(0.0, WAIT, WAIT))
    until(lambda: "hangs=create" in bus.log)
    for _ in range(100):
        np.testing.assert_array_equal(denoise(engine, noisy), here)
    assert engine.state["retries"] == 0, "it was still inside"
    closed(engine)


def test_without_a_model_for_the_cpu_a_library_that_hangs_at_the_start_is_an_error(bus: Bus, model: Path) -> None:
    bus.misbehave("create", "h")
    alone = shutil.move(model.with_name("small_32x32_int8_edgetpu.tflite"), model.with_name("alone.tflite"))
    with pytest.raises(DeviceError, match=r"did not answer within 0\.5 s"):
        Engine(alone, "usb:0", patience=Patience(WAIT, SHORT, WAIT))


def test_several_that_hang_are_waited_for_together(bus: Bus, model: Path, said: list[str]) -> None:
    bus.misbehave("create", "h")
    engine = Engine(model, "usb:0,usb:1,pci:0", retry=FAST, patience=Patience(SHORT, WAIT, WAIT))
    assert engine.state["used"] == "cpu"
    assert [line.partition(" is still starting")[0] for line in said] == [
        f"The Edge TPU {device}" for device in ("usb:0", "usb:1", "pci:0")
    ]
    bus.misbehave("create", "")
    for device in ("usb0", "usb1", "pci0"):
        bus.plug(device)
    noisy = picture(32, 32)
    until(lambda: denoise(engine, noisy) is not None and engine.state["used"] == "usb:0,usb:1,pci:0")
    closed(engine)


@pytest.mark.parametrize("where", ENTRY_POINTS)
def test_twenty_rounds_of_hanging_leave_nothing(
    bus: Bus, model: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture counts descriptors, threads and child processes."""
    monkeypatch.setattr(child, "GRACE", 0.05)
    monkeypatch.setattr("edge.network.engine._CLOSING", 0.1)
    bus.plug("usb0")
    noisy = picture(32, 32)
    for number in range(20):
        bus.misbehave(where, "h")
        with contextlib.closing(
            Engine(model, "usb:0", retry=FAST, patience=Patience(0.05 * (number % 4), WAIT, WAIT))
        ) as engine:
            denoise(engine, noisy)


def test_killed_at_any_moment_a_child_costs_no_frame(bus: Bus, model: Path, said: list[str]) -> None:
    for device in ("usb0", "usb1"):
        bus.plug(device)
    noisy = picture(150, 200)
    random = np.random.default_rng(7)
    with Denoiser(model) as plain:
        here = plain.denoise(noisy)
    killed, ended, others = 0, threading.Event(), children()  # a browser, workers of other tests

    def kill() -> None:
        nonlocal killed
        while not ended.wait(random.uniform(0, 0.05)):
            for pid in children() - others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1

    with Denoiser(model, device="usb:0,usb:1") as denoiser:
        denoiser._network.engine._retry = FAST
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            while killed < 40:
                out = denoiser.denoise(noisy)
                assert ((out == 255 - noisy) | (out == here)).mean() > 0.9  # seams of both are blends
        finally:
            ended.set()
            killer.join()
        until(lambda: (denoiser.denoise(noisy) == 255 - noisy).all())
    assert any("SIGKILL" in line for line in said)


def test_two_networks_share_a_device_and_its_process(bus: Bus, model: Path) -> None:
    """As when a model is replaced: only one process at a time can open an Edge TPU."""
    bus.plug("usb0")
    noisy = picture(32, 32)
    before = children()
    with contextlib.closing(Engine(model, "usb:0")) as one:
        with contextlib.closing(Engine(model, "usb:0")) as two:
            assert len(children() - before) == 1
            for engine in (one, two, one):
                assert (denoise(engine, noisy) == 255 - noisy).all()
        assert (denoise(one, noisy) == 255 - noisy).all()
        assert bus.log.count("destroy=usb0") == 1
        bus.misbehave("create", "0 f")
        with contextlib.closing(Engine(model, "usb:0", retry=(WAIT, WAIT))) as two:
            assert two.state["used"] == "cpu"
        assert (denoise(one, noisy) == 255 - noisy).all(), "another network that does not load takes it with it"
        assert one.state["used"] == "usb:0"


def test_frames_do_not_wait_for_a_device_that_loads_another_network(bus: Bus, model: Path) -> None:
    bus.plug("usb0")
    noisy = picture(32, 32)
    here = on_the_cpu(model, noisy)
    with contextlib.closing(Engine(model, "usb:0")) as one:
        bus.misbehave("create", "h")
        other = threading.Thread(target=lambda: Engine(model, "usb:0").close())
        other.start()
        until(lambda: "hangs=create" in bus.log)
        for _ in range(20):
            np.testing.assert_array_equal(denoise(one, noisy), here)
        assert one.state["used"] == "usb:0", "it is not lost"
        bus.misbehave("create", "")
        other.join()
        until(lambda: (denoise(one, noisy) == 255 - noisy).all())


_PARENT = """
import sys
import numpy as np
from edge.network.engine import Engine, Patience
engine = Engine(sys.argv[1], "usb:0", patience=Patience(*map(float, sys.argv[2:])))
noisy = np.zeros((32, 32, 3), np.uint8)
print("started", flush=True)
while True:
    engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(noisy.copy()))
"""


@pytest.mark.parametrize("where", ["nowhere", "create", "init", "invoke"])
def test_with_a_run_that_is_killed_its_child_goes_while_the_library_hangs(bus: Bus, model: Path, where: str) -> None:
    bus.plug("usb0")
    path = os.pathsep.join(each for each in sys.path if each)
    start = "0" if where in ("create", "init") else str(WAIT)
    if where != "invoke":
        bus.misbehave(where, "h")
    words = [sys.executable, "-c", _PARENT, str(model), start, str(WAIT), str(WAIT)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            bus.misbehave(where, "h")
            until(lambda: f"hangs={where}" in bus.log or (where == "nowhere" and "invoke=usb0" in bus.log))
            until(lambda: len(children(process.pid)) == 1)  # the shell of crash_output is just being started
            pids = children(process.pid)
        finally:
            process.kill()
        process.wait(WAIT)
        until(lambda: all(gone(pid) for pid in pids))

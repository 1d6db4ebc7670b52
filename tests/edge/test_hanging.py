"""Delegate libraries that hang, are slow, fail or crash, wherever they are called: frames go on, closing is quick."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.engine import Engine, Patience
from edge.interpreter import Interpreter
from quietcam.image import Image
from tests.edge.conftest import Bus, picture
from tests.edge.test_child import children, descriptors
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
    before = descriptors(), set(threading.enumerate()), children()
    yield
    until(lambda: (descriptors(), set(threading.enumerate()), children()) == before)


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """The small model, and what the Edge TPU's compiler made of it, lie side by side."""
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
    bus: Bus, model: Path, where: str, how: str
) -> None:
    bus.plug("usb0")
    bus.misbehave(where, how)
    noisy, said = picture(32, 32), []
    here = on_the_cpu(model, noisy)
    # The library's own time is short, where it hangs; the process before it may take as long as it likes.
    opening = SHORT if how == "h" else WAIT
    patience = Patience(SHORT, opening, WAIT)
    engine = Engine(model, "usb:0", tell=said.append, retry=FAST, patience=patience)
    for _ in range(5):
        out = denoise(engine, noisy)
        assert (out == here).all() or (out == 255 - noisy).all()
    if where in ("create", "prepare", "init", "invoke"):
        assert engine.state["used"] == "cpu"
        assert said[0].endswith("until then the network runs on cpu")
        until(lambda: engine.state["retries"] >= 2)
        until(lambda: re.search(REASONS[how], engine.state["reason"]), lambda: engine.state["reason"])
        bus.misbehave(where, "")
        engine._patience = Patience(WAIT, WAIT, WAIT)
        until(lambda: (denoise(engine, noisy) == 255 - noisy).all())
    closed(engine)
    bus.misbehave(where, "")

"""The moment at which a network begins to run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.network.denoiser import Denoiser
from edge.network.interpreter import Interpreter
from edge.network.runtime import gil_window
from edge.run.pipeline import Pipeline
from tests.edge.run.parts import Numbers, PlusOne
from tests.small_models import picture
from tests.waiting import WAIT, ended, until


@pytest.fixture(autouse=True)
def _long(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gil_window, "_LONGEST", 10 * WAIT)
    monkeypatch.setattr(gil_window, "_last", float("-inf"))
    yield
    assert gil_window._waiting == 0


def waiting() -> tuple[threading.Thread, threading.Event]:
    over = threading.Event()

    def run() -> None:
        with gil_window.background_work():
            gil_window.wait_for_invoke()
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, over


def test_it_is_waited_for_where_networks_run(small: Path) -> None:
    with Interpreter(small, 1) as interpreter:
        interpreter.invoke()
        thread, over = waiting()
        until(lambda: gil_window._waiting)
        assert not over.is_set()
        until(lambda: interpreter.invoke() or over.is_set())
        ended(thread)


def test_nobody_waits_once_a_run_has_ended() -> None:
    gil_window.invoke_begins()
    thread, _ = waiting()
    until(lambda: gil_window._waiting)
    Pipeline(Numbers(0), PlusOne(), []).run()
    ended(thread)
    ended(waiting()[0])


def test_nobody_waits_where_no_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ended(waiting()[0])
    monkeypatch.setattr(gil_window, "_last", time.monotonic() - 10)
    monkeypatch.setattr(gil_window, "_LONGEST", 1.0)
    ended(waiting()[0])


def test_where_the_last_one_was_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil_window, "_LONGEST", 0.05)
    gil_window.invoke_begins()
    ended(waiting()[0])


def test_the_caller_that_starts_a_run_does_not_wait() -> None:
    gil_window.invoke_begins()
    gil_window.wait_for_invoke()


@pytest.mark.usefixtures("untried")
def test_a_model_is_loaded_and_given_back_at_such_moments(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Denoiser(small, 1) as denoiser:
        denoiser.denoise(picture(32, 32))
        waits: list[bool] = []
        monkeypatch.setattr(gil_window, "wait_for_invoke", lambda: waits.append(gil_window._here.waits))
        denoiser.reload(small)
        assert waits == [True, True]

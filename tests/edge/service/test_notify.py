"""The messages to systemd, received on a socket like systemd's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.network.treatment import Rung, Treatment
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.service.__main__ import main, unit
from edge.service.notify import Notifier
from edge.service.reload import Reloader, on_hangup
from edge.service.watchdog import PATIENCE, Progress, WatchdogSink
from edge.sinks.null import NullSink
from quietcam.errors import ModelError, StorageError
from quietcam.image import Image
from tests.edge.run.parts import Numbers, PlusOne
from tests.processes import start_quietcam
from tests.waiting import WAIT, until


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(WAIT)

    def next(self) -> str:
        return self._socket.recv(4096).decode()

    def heard(self) -> list[str]:
        """All messages up to now."""
        said = []
        self._socket.setblocking(False)
        try:
            while True:
                said.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            self._socket.settimeout(WAIT)
            return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@quietcam-test-{os.getpid()}"
    listening = Manager(address)
    yield listening
    listening.close()


def report(frames: int, state: str = "live") -> dict[str, object]:
    return {
        "frames": frames,
        "fps_now": 29.97,
        "camera": {"state": state, "reason": "unplugged"},
        "latency_ms": {"denoise": {"count": frames, "p50": 3.25}},
        "temperature_c": 51.4,
        "reload": {"error": None},
    }


def test_ready_with_the_first_frame_then_alive_while_frames_come(manager: Manager) -> None:
    now = [0.0]
    image = np.zeros((2, 2, 3), np.uint8)
    with WatchdogSink(Notifier(manager.environment), lambda: now[0]) as sink:
        sink.status(report(0))
        assert manager.heard() == ["STATUS=30.0 frames/s, 3.2 ms in the network, 51 °C"]
        sink.write(Frame(image, 0.0, 0), image)
        sink.write(Frame(image, 0.0, 1), image)
        assert manager.heard() == ["READY=1"]
        sink.status(report(2))
        assert manager.heard()[0] == "WATCHDOG=1"
        # No frame since, and no report that the camera is lost: a hang.
        sink.status(report(2))
        assert "WATCHDOG=1" not in manager.heard()
    assert manager.heard() == ["STOPPING=1"]


def test_the_status_says_what_really_runs_and_how_much_of_it_is_shown(manager: Manager) -> None:
    sink = WatchdogSink(Notifier(manager.environment), lambda: 0.0)
    small = Treatment(model="small_640x480_int8", gate=0.5)
    sink.status(report(1) | {"work": small.report()})
    work = "50 % denoised (small_640x480_int8)"
    assert manager.heard()[-1] == f"STATUS=30.0 frames/s, {work}, 3.2 ms in the network, 51 °C"
    passed = Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass unchanged")
    hot = {"step": "pass-through", "reason": "95 °C, of at most 80"}
    sink.status(report(2) | {"work": passed.report(), "ladder": hot, "latency_ms": {"denoise": {"count": 1}}})
    assert manager.heard()[-1] == (
        "STATUS=30.0 frames/s, not denoised: the ladder lets frames pass unchanged, 51 °C, "
        "degraded: pass-through (95 °C, of at most 80)"
    )
    sink.status(report(3) | {"sinks": [{"name": "spool:a", "error": None, "waiting": "Cannot write a: it is gone."}]})
    assert manager.heard()[-1].endswith(", degraded: 1 of 1 sinks keeps no frames")


def test_the_status_is_one_line_of_text_whatever_is_told(manager: Manager) -> None:
    Notifier(manager.environment).status("\x1b[2Jname\udcff\nWATCHDOG=1 of rtsp://user:secret@camera/ \u202e")
    assert manager.heard() == ["STATUS=\\x1b[2Jname\\xff WATCHDOG=1 of rtsp://***@camera/ \\u202e"]


def test_a_lost_camera_is_ready_and_alive_but_not_for_ever(manager: Manager) -> None:
    now = [0.0]
    sink = WatchdogSink(Notifier(manager.environment), lambda: now[0])
    sink.status(report(0, "lost"))
    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STATUS=no live video: unplugged"]
    now[0] = PATIENCE + 1
    sink.status(report(0, "lost"))
    assert "WATCHDOG=1" not in manager.heard()


@pytest.mark.parametrize(("camera", "words"), [("live", "30.0 frames/s"), ("lost", "no live video: unplugged")])
def test_the_status_says_that_a_reload_failed_with_or_without_a_camera(
    manager: Manager, camera: str, words: str
) -> None:
    WatchdogSink(Notifier(manager.environment)).status(
        report(1, camera) | {"reload": {"error": "there is no such model"}}
    )
    said = manager.heard()[-1]
    assert said.startswith(f"STATUS={words}")
    assert said.endswith(", the last reload failed")


def test_progress_is_counted_from_the_last_frame() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    assert progress.made(report(5))
    now[0] = 10 * PATIENCE
    assert progress.made(report(6, "lost"))
    now[0] += PATIENCE - 1
    assert progress.made(report(6, "lost"))
    now[0] += 2
    assert not progress.made(report(6, "lost"))
    assert progress.made(report(7))


def test_frames_that_only_the_manager_saw_are_no_progress() -> None:
    """The only other sink fails forever, as on a dead disk."""

    class Dead(NullSink):
        def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
            raise StorageError("the disk is gone")

    dead, watching = Dead(), WatchdogSink(Notifier({}))
    dead.frames = 1  # it once worked, so its failure does not end the run
    health = Pipeline(Numbers(30, live=True, before=lambda _: time.sleep(0.002)), PlusOne(), [dead, watching]).run()
    assert watching.frames > 0
    assert (health.frames, health.dropped) == (0, 30)


def test_while_it_loads_it_asks_for_more_time_and_then_no_more(manager: Manager) -> None:
    """sd_notify(3): microseconds from now on, again before they are over."""
    for over in (Notifier.ready, Notifier.loaded):
        notifier = Notifier(manager.environment, pulse=0.001)
        notifier.loading()
        assert [manager.next() for _ in range(3)] == ["EXTEND_TIMEOUT_USEC=60000000"] * 3
        over(notifier)
        until(lambda: not any(thread.name == "quietcam-loading" for thread in threading.enumerate()))
        manager.heard()
        time.sleep(0.01)
        assert manager.heard() == []


def test_the_requests_come_often_enough_and_end_some_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    notifier = Notifier({"NOTIFY_SOCKET": "/nowhere"})
    monkeypatch.setattr(notifier, "_send", lambda message: asked.append(float(message.split("=")[1]) / 1e6))
    over = threading.Event()
    waited: list[float] = []
    monkeypatch.setattr(over, "wait", lambda seconds: bool(waited.append(seconds)))
    notifier._extend(over)
    assert max(waited) * 3 < min(asked)
    assert 600 <= sum(waited) <= 3600


def test_a_camera_that_was_never_there_is_waited_for_without_an_end(manager: Manager) -> None:
    now = [0.0]
    sink = WatchdogSink(Notifier(manager.environment), lambda: now[0])
    camera = {"state": "lost", "reason": "waiting for a camera: none", "waiting": True}
    sink.status({**report(0), "camera": camera})
    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STATUS=waiting for a camera: none"]
    now[0] = 100 * PATIENCE
    sink.status({**report(0), "camera": camera})
    assert "WATCHDOG=1" in manager.heard()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)
    notifier.ready()
    notifier.status("x")
    assert notifier.wanted == bool(environment.get("NOTIFY_SOCKET"))


class TestReload:
    def test_a_hangup_reloads_and_says_so(self, manager: Manager) -> None:
        done = threading.Event()
        before = signal.getsignal(signal.SIGHUP)
        with on_hangup(Reloader(done.set, pytest.fail, Notifier(manager.environment))):
            os.kill(os.getpid(), signal.SIGHUP)
            assert done.wait(WAIT)
            began, ended = manager.next(), manager.next()
        assert began.startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert ended == "READY=1"
        assert signal.getsignal(signal.SIGHUP) is before

    @pytest.mark.parametrize("error", [ModelError("cut short"), RuntimeError("odd")])
    def test_a_reload_that_fails_ends_for_the_manager_too(self, error: Exception, manager: Manager) -> None:
        """Without READY the unit would stay in its state `reloading`."""

        def work() -> None:
            raise error

        with on_hangup(Reloader(work, lambda _: None, Notifier(manager.environment))):
            os.kill(os.getpid(), signal.SIGHUP)
            assert manager.next().startswith("RELOADING=1")
            assert manager.next() == "READY=1"

    @pytest.mark.parametrize("error", [ModelError("cut short"), RuntimeError("odd")])
    def test_a_refusal_is_told_and_the_next_one_works(self, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
        outcomes = [error, None]
        refused: list[str] = []
        done = threading.Event()

        def work() -> None:
            if (outcome := outcomes.pop(0)) is not None:
                raise outcome
            done.set()

        reloader = Reloader(work, refused.append, Notifier({}))
        with on_hangup(reloader):
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: refused)
            os.kill(os.getpid(), signal.SIGHUP)
            assert done.wait(WAIT)
        assert str(error) in refused[0]
        assert "so nothing changes" in caplog.text

    def test_many_hangups_are_few_reloads(self) -> None:
        reloads: list[int] = []
        begun, free = threading.Event(), threading.Event()

        def work() -> None:
            reloads.append(1)
            begun.set()
            free.wait(WAIT)

        reloader = Reloader(work, pytest.fail, Notifier({}))
        reloader.start()
        reloader.request()
        assert begun.wait(WAIT)
        for _ in range(100_000):  # more than a pipe holds
            reloader.request()
        free.set()
        reloader.close()
        assert 2 <= len(reloads) <= 20


class TestUnit:
    def test_it_names_this_python_and_what_the_service_needs(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = unit("/opt/quietcam/bin/python")
        started = "/usr/bin/env --ignore-signal=HUP /opt/quietcam/bin/python -P -m quietcam run"
        assert f"ExecStart={started} --config /etc/quietcam.toml\n" in text
        for line in (
            "Type=notify",
            "OOMPolicy=continue",
            "DynamicUser=yes",
            "SupplementaryGroups=video render",
            "StateDirectory=quietcam",
        ):
            assert f"\n{line}\n" in text
        assert main(["unit"]) == 0
        assert capsys.readouterr().out == unit()
        assert main(["nonsense"]) == 2

    def test_systemd_finds_no_fault(self, tmp_path: Path) -> None:
        path = tmp_path / "quietcam.service"
        path.write_text(unit())
        try:
            checked = subprocess.run(
                ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("needs systemd-analyze: apt-get install systemd")
        assert (checked.returncode, checked.stderr) == (0, "")


def test_a_service_without_a_camera_shows_its_page_and_ends_at_once(manager: Manager) -> None:
    """As a process of its own, with a model that ships."""
    words = ["run", "--source", "/dev/video63", "--sink", "null", "--model", "nano"]
    process = start_quietcam(*words, env={**os.environ, **manager.environment})
    heard: list[str] = []
    while not heard or not heard[-1].startswith("STATUS=waiting for a camera"):
        heard.append(manager.next())
    assert heard[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert {"READY=1", "WATCHDOG=1"} <= set(heard)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=WAIT)[1]
    assert process.returncode == 130
    assert "Waiting for a camera: There is no such video device" in said
    wrong = start_quietcam(
        "run", "--source", "nowhere.mp4", "--sink", "null", env={**os.environ, **manager.environment}
    )
    assert "none of these" in wrong.communicate(timeout=WAIT)[1]
    assert wrong.returncode == 2

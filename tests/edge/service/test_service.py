"""A run as systemd runs it, in a separate process: ready, watched, reloaded, stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cameras.base import Camera
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.sinks.null import NullSink
from quietcam.data.pictures.files import read_picture
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.edge.service.test_notify import Manager
from tests.edge.treating import Treats
from tests.processes import start_quietcam
from tests.waiting import WAIT, until


class Service:
    """``quietcam run --config`` with a live page on a free port and a spool, told about by a socket."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.config, self.spool = folder / "quietcam.toml", folder / "spool"
        self.write(f'model = "{model}"')
        (folder / "notify").unlink(missing_ok=True)
        self.manager = Manager(str(folder / "notify"))
        environment = {**os.environ, **self.manager.environment}
        self.process = start_quietcam("run", "--config", self.config, env=environment)
        self.said: list[str] = []
        self.notified: list[str] = []
        self._ended = threading.Event()
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._hear)]
        for reader in self._readers:
            reader.start()
        self.until(lambda: self.address is not None)

    def write(self, *lines: str) -> None:
        fixed = [
            'source = "synthetic:size=64x48,fps=50"',
            f'sink = ["web", "spool:{self.spool},every=0.05,twin=yes,format=png"]',
            'listen = "127.0.0.1:0"',
        ]
        self.config.write_text("\n".join([*fixed, *lines]))

    @property
    def address(self) -> str | None:
        found = re.search(r"http://(127\.0\.0\.1:\d+)/", "".join(self.said))
        return found.group(1) if found else None

    def get(self, path: str) -> tuple[int, bytes]:
        """The page's answer. Asks again if it fails: on a machine that stalls, the service drops slow clients."""
        assert self.address is not None
        answers: list[tuple[int, bytes]] = []

        def ask() -> bool:
            connection = http.client.HTTPConnection(self.address, timeout=WAIT)  # type: ignore[arg-type]
            with contextlib.closing(connection), contextlib.suppress(ConnectionError, http.client.HTTPException):
                connection.request("GET", path)
                answer = connection.getresponse()
                answers.append((answer.status, answer.read()))
            return bool(answers)

        self.until(ask)
        return answers[0]

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/status.json")[1]))

    def until(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            assert self.process.poll() is None, "".join(self.said)
            return condition()

        until(holds, lambda: "".join(self.said))

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code. May be called twice."""
        if self._ended.is_set():
            return int(self.process.returncode)
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(WAIT)
        finally:
            self.process.kill()
            self._ended.set()
            for reader in self._readers:
                reader.join()
            self.manager.close()
            assert self.process.stderr is not None
            self.process.stderr.close()

    def _hear(self) -> None:
        while not self._ended.wait(0.02):
            self.notified += self.manager.heard()
        self.notified += self.manager.heard()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)


@pytest.fixture
def service(tmp_path: Path, small: Path) -> Iterator[Service]:
    running = Service(tmp_path, small)
    yield running
    running.end(signal.SIGKILL)


def test_the_life_of_a_service(service: Service, small: Path, models: Path, tmp_path: Path) -> None:
    heard = service.notified
    service.until(lambda: {"READY=1", "WATCHDOG=1"} <= set(heard))
    assert heard.index("READY=1") < heard.index("WATCHDOG=1")
    service.until(lambda: service.get("/healthz")[0] == 200)
    service.until(lambda: service.get("/snapshot.jpg")[0] == 200)

    # Another model, and less of it.
    other = models / "small_80x64_int8.tflite"
    service.write(f'model = "{other}"', "strength = 0.5")
    service.reload()
    service.until(lambda: service.status()["model"]["name"] == other.stem)
    service.until(lambda: service.status()["reload"]["count"] == 1)
    assert service.status()["strength"] == 0.5
    service.until(lambda: any(message.startswith("RELOADING=1") for message in heard))

    # Whatever is wrong now, the old model stays in use, and the log and the page say so.
    garbage = tmp_path / "garbage.tflite"
    garbage.write_bytes(b"no model" * 99)
    wrong = [
        ("modle = 'x'", "is model meant"),
        (f'model = "{garbage}"', "not a TensorFlow Lite model"),
        ('model = "nonsense"', "nonsense"),
        ("strength = 7", "The strength is"),
        ("= = =", "must be TOML"),
    ]
    for line, says in wrong:
        service.write(line)
        service.reload()
        service.until(lambda says=says: says in (service.status()["reload"]["error"] or ""))
        assert says in "".join(service.said)
    frames = service.status()["frames"]
    service.until(lambda: service.status()["frames"] > frames + 5)
    assert service.status()["model"]["name"] == other.stem
    service.until(lambda: service.get("/healthz")[0] == 200)

    # A good model is loaded again; the log names the changes that need a restart.
    service.write(f'model = "{small}"', "viewers = 3")
    service.reload()
    service.until(lambda: service.status()["reload"] == {"count": 2, "error": None})
    service.until(lambda: "used only after a restart: viewers" in "".join(service.said))

    stored = next(each for each in service.status()["sinks"] if each["name"].startswith("spool"))["stored"]
    assert service.end() == 130
    said = "".join(service.said)
    assert "Traceback" not in said
    assert "frames in" in said
    assert heard[-1] == "STOPPING=1"
    assert stored > 0
    pairs = [path for path in service.spool.iterdir() if path.is_dir()]
    assert len(pairs) >= stored
    assert all(
        read_picture(pair / f"{side}.png").shape == (48, 64, 3) for pair in pairs for side in ("noisy", "denoised")
    )
    assert not list(service.spool.glob(".new-*"))


def test_a_hangup_takes_a_still_network_for_a_video_network_and_back(
    service: Service, small: Path, models: Path
) -> None:
    video = models / "video_64x64_int8.tflite"

    def runs(model: Path) -> bool:
        return bool(service.status().get("work", {}).get("model") == model.stem)

    service.until(lambda: runs(small))
    assert service.status()["history"]["on"] is False
    assert service.status()["work"]["history"] is None
    for count, model in enumerate((video, small, video), start=1):
        service.write(f'model = "{model}"')
        service.reload()
        service.until(lambda count=count, model=model: service.status()["reload"]["count"] == count and runs(model))
        status = service.status()
        assert status["history"]["on"] is (model == video)
        assert (status["work"]["history"] is None) is (model == small)
        if model == video:
            service.until(lambda: service.status()["work"]["history"] > 3)
            assert b"quietcam_history_frames" in service.get("/metrics")[1]
    # The model's file is read again: the same network in it forgets, too.
    service.reload()
    service.until(lambda: service.status()["reload"] == {"count": 4, "error": None})
    assert service.status()["history"]["forgotten"]["another model"] >= 2
    assert service.end() == 130
    assert "Traceback" not in "".join(service.said)


def test_kill_9_and_the_next_start(service: Service, small: Path, tmp_path: Path) -> None:
    service.until(lambda: len(list(service.spool.glob("0*"))) > 3)
    assert service.end(signal.SIGKILL) == -signal.SIGKILL
    before = sorted(path.name for path in service.spool.glob("0*"))
    again = Service(tmp_path, small)
    again.until(lambda: len(list(again.spool.glob("0*"))) > len(before))
    assert again.end() == 130
    after = sorted(path.name for path in service.spool.glob("0*"))
    assert after[: len(before)] == before
    assert int(after[len(before)][:10]) == int(before[-1][:10]) + 1


class Counting(Camera):
    """A file of frames, so none may be lost."""

    name = "counting"
    total = 400

    @property
    def size(self) -> tuple[int, int]:
        return 2, 2

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 0):
            yield Frame(np.zeros((2, 2, 3), np.uint8), 0.0, index)


class Reloadable(Treats):
    """A denoiser that needs 100 frames' time to load another model, and waits for them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.denoised = 0
        self.error = error
        self._moved = threading.Condition()
        self.during = 0

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        with self._moved:
            self.denoised += 1
            self._moved.notify_all()
        return noisy if out is None else out

    def reload(self, _: Path | str) -> None:
        with self._moved:
            before = self.denoised
            assert self._moved.wait_for(lambda: self.denoised >= before + 100, WAIT), "frames wait for the model"
            self.during = self.denoised - before
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, ModelError("cut short")])
def test_frames_do_not_wait_for_another_model(error: Exception | None) -> None:
    denoiser, sink = Reloadable(error), NullSink()
    reloading = ReloadingDenoiser(denoiser, denoiser.reload)
    pipeline = Pipeline(Counting(), reloading, [sink])
    reloading.request("another.tflite")
    health = pipeline.run()
    reloading.close()
    assert denoiser.during >= 100
    assert (sink.frames, health.dropped) == (400, 0)
    assert (reloading.count, reloading.error) == ((1, None) if error is None else (0, "cut short"))

"""A report never opens, builds or waits for anything: it answers while all other parts hang or have ended."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.interpreter import Interpreter
from edge.run.degrade.ladder_denoiser import LadderOptions, open_ladder
from edge.run.degrade.temperature import Thermometer
from edge.run.pipeline import Pipeline
from edge.service.watchdog import _line
from edge.sinks.null import NullSink
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.web.access import Access
from edge.web.app import App
from edge.web.controls import RunControls
from edge.web.hub import Hub
from edge.web.metrics import Metrics
from edge.web.state import State
from tests.edge.bus import Bus
from tests.small_models import picture
from tests.waiting import WAIT

_asking = threading.local()
_TOUCHES = ("open", "ctypes", "import", "subprocess", "socket", "os", "mmap", "glob")
_OF_THE_KERNEL = "/proc/"  # what it says of this process: no disk stands behind it


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if (
        getattr(_asking, "on", False)
        and event.partition(".")[0] in _TOUCHES
        and not any(str(each).startswith(_OF_THE_KERNEL) for each in arguments)
    ):
        _asking.touched.append((event, str(arguments)[:200]))


@pytest.fixture(scope="module", autouse=True)
def _watched() -> None:
    sys.addaudithook(_watch)  # there is no taking it away again, so it looks at threads that ask alone


def asked(report: Callable[[], Any]) -> Any:
    """What ``report`` gives to a thread that has done so before, so that all is imported; it must touch nothing."""
    given: list[Any] = []
    touched: list[tuple[str, str]] = []

    def ask() -> None:
        _asking.touched = touched
        _asking.on = True
        given.append(report())
        _asking.on = False

    report()
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WAIT)
    assert not thread.is_alive(), "it waits for something"
    assert touched == []
    return given[0]


class Run:
    """The parts of a run, with all their reports."""

    def __init__(self, denoiser: Denoiser, folder: Path, wrapped: FrameDenoiser | None = None) -> None:
        self.camera = SyntheticCamera(SyntheticOptions((32, 32), fps=200.0, rendered=2))
        self.spool = SpoolSink(SpoolOptions.parse(f"{folder}/spool,every=1"))
        self.pipeline = Pipeline(self.camera, wrapped or denoiser, [self.spool, NullSink()])
        self.state = State()
        self.app = App(
            hub=Hub(80, pytest.fail),
            state=self.state,
            controls=RunControls(denoiser, lambda: self.camera.name),
            access=Access(None, 80),
            names=frozenset(),
            viewers=1,
            warn=pytest.fail,
            warn_of_guesses=pytest.fail,
        )

    def reports(self) -> dict[str, Any]:
        report = self.pipeline.health.report()
        self.state.update(report)
        self.state.frame()
        status = self.app.status()
        metrics = Metrics(self.app.status).text().decode()
        return {"status": json.loads(json.dumps(status)), "metrics": metrics, "line": _line(report)}


@pytest.fixture
def alone(models: Path, tmp_path: Path) -> Path:
    """A compiled model without its twin for the CPU."""
    return Path(shutil.copy(models / "small_32x32_int8_edgetpu.tflite", tmp_path))


@pytest.fixture
def nothing_native(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, whoever builds an interpreter, or looks at a native one, hears of it."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a report touches what is native")

    def forbid() -> None:
        for method in ("__init__", "invoke", "put", "get"):
            monkeypatch.setattr(Interpreter, method, forbidden)
        for name in ("engine.Interpreter", "variants.load_model", "engine.runtime", "denoiser.Engine"):
            monkeypatch.setattr(f"edge.network.{name}", forbidden)

    return forbid


def test_of_a_coral_without_a_twin_that_is_lost(
    bus: Bus, alone: Path, tmp_path: Path, nothing_native: Callable[[], None]
) -> None:
    bus.plug("usb0")
    with Denoiser(alone, device="usb:0") as denoiser:
        run = Run(denoiser, tmp_path)
        assert asked(run.reports)["status"]["device"]["used"] == "usb:0"
        bus.unplug("usb0")
        noisy = picture(32, 32)
        assert (denoiser.denoise(noisy) == noisy).all()
        nothing_native()
        told = asked(run.reports)
    assert told["status"]["device"]["used"] == "none"
    assert told["status"]["model"]["name"] == alone.stem
    assert told["status"]["model"]["runtime"]
    assert "quietcam_model_info" in told["metrics"]


def test_of_a_network_and_a_disk_that_hang(
    small: Path,
    tmp_path: Path,
    hang: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    nothing_native: Callable[[], None],
) -> None:
    """Whatever lock a native call holds, no report waits for it."""
    begun = threading.Barrier(3, timeout=WAIT)

    def stuck(*_: object) -> None:
        begun.wait()
        hang.wait()

    monkeypatch.setattr(Interpreter, "invoke", stuck)
    monkeypatch.setattr(SpoolSink, "_keep", stuck)
    with Denoiser(small) as denoiser, open_ladder(denoiser, LadderOptions(), Thermometer()) as laddered:
        run = Run(denoiser, tmp_path, laddered)
        run.reports()
        in_network = threading.Thread(target=denoiser.denoise, args=(picture(32, 32),))
        in_network.start()
        with run.camera, run.spool:
            frame = next(iter(run.camera))
            in_disk = threading.Thread(target=run.spool.write, args=(frame, frame.image))
            in_disk.start()
            begun.wait()
            try:
                nothing_native()
                assert asked(run.reports)["status"]["source"] == run.camera.name
            finally:
                hang.set()
                monkeypatch.undo()
            in_disk.join()
        in_network.join()

"""Models and fake devices that the runtime's tests share."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.child.trial import Trial
from edge.network.engine import Engine, Patience
from tests.edge.bus import Bus
from tests.small_models import with_manifest
from tests.waiting import WAIT

FAKE_EDGETPU = Path(__file__).with_name("fake_edgetpu.c")


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """An event that is not set: a thread that waits for it hangs."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder of another user, with a file in it."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


@pytest.fixture(autouse=True)
def _patient_with_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises the product's own limits of time, which a busy machine would reach."""
    for name, seconds in {
        "cameras.network.answer._CONNECTING": WAIT,
        "cameras.network.http._LOOKING": WAIT,
        "cameras.network.http._ANSWERING": WAIT,
        "cameras.network.reach.OPENING": WAIT,
        "cameras.network.reach.READING": WAIT,
        "cameras.network.reach._REACHING": WAIT,
        "events.alarm._GRACE": WAIT,
        "events.feed._GRACE": WAIT,
        "run.sink_thread._OPENING": WAIT,
        "run.pipeline._GRACE": WAIT,
        "run.pipeline._SOON": WAIT,
        "run.reloading._SOON": WAIT,
        "run.degrade.temperature._GRACE": WAIT,
        "service.reload._GRACE": WAIT,
        "web.hub._GRACE": WAIT,
        "web.server._GRACE": WAIT,
    }.items():
        monkeypatch.setattr(f"edge.{name}", seconds)


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models take over without a trial, for tests of other things that replace models many times."""
    monkeypatch.setattr(Trial, "of", lambda *_: None)


@pytest.fixture(scope="session")
def fake_edgetpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fake_edgetpu.c` as a library, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc), which makes the delegate library for these tests")
    library = tmp_path_factory.mktemp("delegate") / "libfake_edgetpu.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(FAKE_EDGETPU)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return library


@pytest.fixture
def bus(fake_edgetpu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """No Edge TPU is plugged in yet, and the delegate library is the stand-in."""
    folder = tmp_path / "bus"
    folder.mkdir()
    monkeypatch.setenv("FAKE_EDGETPU", str(folder))
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(fake_edgetpu))
    # A time limit shows that a device hangs: on a busy machine, one that works must not reach it.
    defaults = Engine.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", Patience(WAIT, WAIT, WAIT, WAIT))
    return Bus(folder)


@pytest.fixture
def small(models: Path, tmp_path: Path) -> Path:
    """The small int8 model, 32x32, with a manifest that says how far it looks: 6 pixels in all, stride 2."""
    return with_manifest(
        models,
        tmp_path,
        "small_32x32_int8",
        receptive_field=6,
        stride=2,
        training={"data": "generated scenes", "licence": "Apache-2.0"},
        metrics={"psnr": 31.25},
    )


@pytest.fixture
def cut_short(models: Path, tmp_path: Path) -> Path:
    """A model of which the second half is missing."""
    path = tmp_path / "cut.tflite"
    content = (models / "small_32x32_int8.tflite").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.fixture
def shipped(small: Path, models: Path, tmp_path: Path) -> Path:
    """A folder like that of the models that ship."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    shutil.copy(small, folder / "demo_32x32_int8.tflite")
    shutil.copy(models / "small_80x64_int8.tflite", folder / "demo_80x64_int8.tflite")
    shutil.copy(models / "small_32x32_float32.tflite", folder / "demo_32x32_float32.tflite")
    return folder

"""Models and pictures that the runtime's tests share."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.child.trial import Trial
from edge.network.engine import Engine, Patience
from quietcam.image import Image
from quietcam.tflite.manifest import Manifest, attach_manifest, model_sha256
from tests.waiting import WAIT

FAKE_EDGETPU = Path(__file__).with_name("fake_edgetpu.c")
MODELS = Path(__file__).with_name("models")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder that `make_models.py` filled: nobody writes into it."""
    return MODELS


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Not set: whoever waits for it hangs."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file in it."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


@pytest.fixture(autouse=True)
def _patient_with_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's own limits of time, which a machine that is busy with other things would reach."""
    for name, seconds in {
        "cameras.network.answer._CONNECTING": WAIT,
        "cameras.network.http._LOOKING": WAIT,
        "cameras.network.http._ANSWERING": WAIT,
        "cameras.network.stream._OPENING_MS": int(1000 * WAIT),
        "cameras.network.stream._READING_MS": int(1000 * WAIT),
        "cameras.network.stream._REACHING": WAIT,
        "run.sink_thread._OPENING": WAIT,
        "run.pipeline._GRACE": WAIT,
        "run.pipeline._SOON": WAIT,
        "run.reloading._SOON": WAIT,
        "run.temperature._GRACE": WAIT,
        "service.reload._GRACE": WAIT,
        "web.hub._GRACE": WAIT,
        "web.server._GRACE": WAIT,
    }.items():
        monkeypatch.setattr(f"edge.{name}", seconds)


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models take over without a trial, where something else is tested, many times."""
    monkeypatch.setattr(Trial, "of", lambda *_: None)


@dataclass(frozen=True)
class Bus:
    """Where the stand-in for Edge TPUs is plugged in and out."""

    folder: Path

    def plug(self, device: str) -> None:
        (self.folder / device).write_text("")

    def unplug(self, device: str) -> None:
        (self.folder / device).unlink()

    def hang(self, device: str) -> None:
        """It neither works nor fails until it is plugged in anew."""
        (self.folder / device).write_text("h")

    def misbehave(self, where: str, how: str) -> None:
        """At this entry point of the library, as `fake_edgetpu.c` says; ``how`` empty: no longer."""
        written = self.folder / "written"
        written.write_text(how)
        written.replace(self.folder / f"at_{where}")

    @property
    def log(self) -> list[str]:
        """What the library was asked for, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


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
    # A device that hangs is told by its patience: on a busy machine one that works must not be taken for one.
    monkeypatch.setitem(Engine.__init__.__kwdefaults__, "patience", Patience(WAIT, WAIT, WAIT, WAIT))
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


def with_manifest(models: Path, folder: Path, stem: str, **values: Any) -> Path:
    """A copy of a model in ``folder``, with a manifest that holds ``values``."""
    path = folder / f"{stem}.tflite"
    content = (models / path.name).read_bytes()
    size = next(part for part in stem.split("_") if "x" in part)
    width, height = map(int, size.split("x"))
    manifest = Manifest(
        name="small",
        recipe="int8",
        width=width,
        height=height,
        channels=1 if "gray" in stem else 3,
        sha256=model_sha256(content),
        gmacs=0.001,
        gmacs_256=0.085,
        **values,
    )
    path.write_bytes(attach_manifest(content, manifest))
    return path


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


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Image:
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def expected(image: Image, models: Path) -> np.ndarray:
    """What the networks of `make_models.py` compute, by their formula: float64 in 0 to 255, not rounded."""
    height, width, channels = image.shape
    kernel = np.load(models / "weights.npz")[f"channels{channels}"].astype(np.float64)
    blocks = image.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 1, 3, 4)
    blocks = blocks.reshape(height // 2, width // 2, -1) / 255.0
    wide = np.pad(blocks, ((1, 1), (1, 1), (0, 0)))
    rows, columns = blocks.shape[:2]
    for y in range(3):
        for x in range(3):
            blocks = blocks + wide[y : y + rows, x : x + columns] @ kernel[y, x]
    clipped = np.clip(blocks, 0, 1).reshape(rows, columns, 2, 2, channels).transpose(0, 2, 1, 3, 4)
    return clipped.reshape(height, width, channels) * 255.0

"""The page beside a real run: a photograph behind the simulated camera, denoised by the model that ships.

The photograph is "coffee" by Rachel Michetti, taken at Pikolo Espresso Bar and released under CC0; scikit-image ships
it. `QUIETCAM_SCREENSHOTS=docs/pictures` keeps the pictures that the documentation shows, so every number in them was
measured.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.cameras.folder import FolderCamera
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks.web import WebOptions, WebSink
from edge.web.controls import RunControls
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, sensor
from tests.waiting import WAIT, until

SIZE = (640, 480)
GAIN = 32.0  # of a Raspberry Pi's imx219 in a dark room
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844, "mobile": True}


class Unplugged(SyntheticCamera):
    """A simulated camera whose cable is pulled when the event is set."""

    def __init__(self, options: SyntheticOptions, base: FolderCamera, out: threading.Event) -> None:
        super().__init__(options, base)
        self._out = out

    def open(self) -> None:
        if self._out.is_set():
            raise DataError("the camera was unplugged")
        super().open()

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            if self._out.is_set():
                raise DataError("the camera was unplugged")
            yield frame


@pytest.fixture(scope="module")
def photograph() -> Image:
    """The photograph, wider than a frame, which pans over it: uint8 ``(480, 680, 3)``."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which ships the photograph, is not installed")
    coffee = data.coffee()
    return np.ascontiguousarray(cv2.resize(coffee[:, 10:577], (680, 480), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module", autouse=True)
def _a_network_was_loaded() -> None:
    """The first one of a process opens a descriptor for its native output, which stays."""
    Denoiser(resolve_model("small", SIZE), threads=1).close()


class Run:
    """Camera, network and page of `quietcam run`, in a thread."""

    def __init__(self, photograph: Image, folder: Path) -> None:
        for number in range(10):
            write_picture(folder / f"{number}.png", np.ascontiguousarray(photograph[:, 4 * number : 4 * number + 640]))
        self.unplugged = threading.Event()
        options = SyntheticOptions(SIZE, fps=15.0, sensor="imx219", gain=GAIN, base=folder)
        camera = SupervisedCamera(
            lambda: Unplugged(options, FolderCamera(folder), self.unplugged), WatchRules(silence=WAIT, opening=WAIT)
        )
        self.camera, self.denoiser = camera, Denoiser(resolve_model("small", SIZE), threads=1, gate=True, stream=True)
        self.sink = WebSink(WebOptions.of("127.0.0.1:0", None), RunControls(self.denoiser, lambda: camera.name))
        camera.open()
        self.sink.open()
        self.pipeline = Pipeline(camera, self.denoiser, [self.sink])
        self._thread = threading.Thread(target=self.pipeline.run)
        self._thread.start()

    def close(self) -> None:
        self.pipeline.stop()
        self._thread.join()
        for part in (self.sink, self.denoiser, self.camera):
            part.close()


@pytest.fixture
def running(photograph: Image, tmp_path: Path) -> Iterator[Run]:
    folder = tmp_path / "photographs"
    folder.mkdir()
    run = Run(photograph, folder)
    yield run
    run.close()


def shown(page: Any, name: str) -> str:
    return str(page.evaluate(f"document.getElementById('{name}').textContent"))


def keep(page: Any, name: str) -> None:
    """Save a picture for the documentation, if it is asked for."""
    folder = os.environ.get("QUIETCAM_SCREENSHOTS")
    if folder:
        page.screenshot(Path(folder) / "shot.png")
        picture = cv2.imread(str(Path(folder) / "shot.png"))
        assert picture is not None
        (Path(folder) / "shot.png").unlink()
        cv2.imwrite(str(Path(folder) / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


@pytest.mark.parametrize("window", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_shows_what_the_run_measures(browser: Any, running: Run, window: dict[str, Any]) -> None:
    page = browser.open(running.sink.address, **window)
    until(lambda: running.pipeline.health.frames > 60)
    page.wait("document.getElementById('done').textContent === 'denoised'")
    page.wait("Number(document.getElementById('noise').textContent) > 5")
    # The page asks once a second; a figure that it shows is one that the run reported.
    told: set[str] = set()

    def is_told() -> bool:
        report = running.pipeline.health.report()
        told.add(f"{report['latency_ms']['denoise']['p50']:.1f} ms")
        return shown(page, "network") in told

    until(is_told)
    assert shown(page, "model-name") == "small_640x480_int8"
    assert shown(page, "source") == "synthetic (imx219 at gain 32)"
    assert shown(page, "share") == "100 %"
    assert page.problems == []
    keep(page, "page_phone" if window.get("mobile") else "page")
    if not window.get("mobile"):
        running.unplugged.set()
        page.wait("document.getElementById('gone').textContent.endsWith(': the camera was unplugged')")
        page.wait("document.getElementById('network').textContent === '–'")
        keep(page, "page_lost")
    browser.open("about:blank?", until="true")


def test_a_photograph_behind_a_night_cameras_noise_gains_six_decibels(photograph: Image) -> None:
    """The clean reference is the average of a long burst of that camera."""
    clean = photograph[:, :640]
    camera = SensorCamera(sensor("imx219", GAIN), Isp())
    noisy = camera.expose(np.ascontiguousarray(clean), np.random.default_rng(0))
    truth = camera.clean(np.ascontiguousarray(clean), averaged=True)
    with Denoiser(resolve_model("small", SIZE)) as denoiser:
        denoised = denoiser.denoise(noisy)
    assert psnr(denoised, truth) > psnr(noisy, truth) + 6.0
    if folder := os.environ.get("QUIETCAM_SCREENSHOTS"):
        both = np.hstack([picture[40:440, 60:560] for picture in (noisy, denoised)])
        cv2.imwrite(str(Path(folder) / "before_after.jpg"), both[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])

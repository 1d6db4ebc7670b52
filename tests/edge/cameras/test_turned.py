"""Rotated and flipped frames: against numpy, for every kind of source, and before the network sees them."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import quietcam
from edge.cameras import Camera, open_camera
from edge.cameras.orientation import UPRIGHT, Orientation
from edge.cameras.picamera.camera import PicameraCamera, PicameraOptions
from edge.cameras.supervised import SupervisedCamera
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.cameras.turned import turned
from edge.network.denoiser import Denoiser
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import UsageError
from quietcam.image import Image
from tests.edge.cameras.picamera.picamera2_stand_in import Sensor
from tests.edge.cameras.watched import PATIENT, FakeDevice, Pulled
from tests.small_models import picture
from tests.waiting import until

ROTATIONS, FLIPS = (0, 90, 180, 270), (None, "horizontal", "vertical")
WAYS = list(itertools.product(ROTATIONS, FLIPS))
SOURCE = "synthetic:size=64x48,frames=3,fps=max"


def by_numpy(image: Image, rotate: int, flip: str | None) -> Image:
    rotated = np.rot90(image, -rotate // 90)  # numpy's are counterclockwise
    return rotated if flip is None else np.flip(rotated, 1 if flip == "horizontal" else 0)


class TestOrientation:
    @pytest.mark.parametrize(("rotate", "flip"), WAYS)
    @pytest.mark.parametrize("shape", [(48, 64, 3), (5, 9, 1), (1, 1, 3), (7, 2, 3)])
    def test_it_is_what_numpy_makes(self, rotate: int, flip: str | None, shape: tuple[int, ...]) -> None:
        wide = np.random.default_rng(0).integers(0, 256, (shape[0], shape[1] + 3, shape[2]), np.uint8)
        orientation = Orientation.of(rotate, flip)
        for image in (wide[:, :-3], np.ascontiguousarray(wide[:, :-3])):  # a camera's rows may be padded
            expected = by_numpy(image, rotate, flip)
            assert orientation.shape(image.shape) == expected.shape
            if orientation != UPRIGHT:
                out = np.zeros(expected.shape, np.uint8)
                orientation.turn(image, out)
                np.testing.assert_array_equal(out, expected)

    def test_there_are_eight_ways_to_lay_down_a_picture(self) -> None:
        assert len({Orientation.of(*way) for way in WAYS}) == 8
        assert Orientation.of() == UPRIGHT

    @pytest.mark.parametrize(("rotate", "flip"), [(45, None), (-90, None), (360, None), (0, "both"), (0, "")])
    def test_any_other_way_is_refused(self, rotate: int, flip: str | None) -> None:
        with pytest.raises(UsageError, match="Received: "):
            open_camera(SOURCE, rotate=rotate, flip=flip)


class TestSources:
    @pytest.mark.parametrize(("rotate", "flip"), WAYS)
    def test_frames_and_size_are_turned(self, rotate: int, flip: str | None) -> None:
        with open_camera(SOURCE) as plain, open_camera(SOURCE, rotate=rotate, flip=flip) as camera:
            pairs = [(ours.image.copy(), theirs.image) for ours, theirs in zip(camera, plain, strict=True)]
            assert camera.size == (pairs[0][0].shape[1], pairs[0][0].shape[0])
            assert (camera.name, camera.live, camera.total) == (plain.name, plain.live, plain.total)
        assert len(pairs) == 3
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, by_numpy(theirs, rotate, flip))

    def test_pictures_keep_their_names_and_their_number(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "a.png", picture(8, 9))
        (tmp_path / "b.png").write_bytes(b"no picture")
        with open_camera(tmp_path, rotate=270) as camera:
            [frame] = camera
        assert (frame.name, frame.image.shape) == ("a", (9, 8, 3))
        np.testing.assert_array_equal(frame.image, np.rot90(picture(8, 9)))
        assert (camera.count(), len(camera.skipped)) == (2, 1)

    def test_a_watched_camera_is_turned_and_has_its_memory_back_at_once(self) -> None:
        device = FakeDevice()
        camera = SupervisedCamera(lambda: turned(device.make(), Orientation.of(90)), PATIENT)
        with Pulled(camera) as pulled:
            until(lambda: len(pulled.frames) > 3)
            assert camera.size == (6, 8)
            device.there = False
            until(lambda: camera.state.state == "lost")
            device.there = True
            until(lambda: camera.state.reopened > 0)
        frame = pulled.frames[0]
        np.testing.assert_array_equal(frame.image, np.rot90(picture(6, 8, seed=1), -1))
        before = frame.image
        frame.done()
        assert before.shape == (8, 6, 3)

    def test_the_memory_of_turned_frames_is_used_again(self) -> None:
        camera = turned(SyntheticCamera(SyntheticOptions((64, 48), fps=None, frames=5)), Orientation.of(180))
        with camera:
            places = set()
            for frame in camera:
                places.add(frame.image.ctypes.data)
                frame.done()
        assert len(places) == 1


class TestPicamera:
    """With a stand-in for picamera2 and libcamera; not yet run on hardware."""

    @pytest.fixture
    def sensor(self, monkeypatch: pytest.MonkeyPatch) -> Sensor:
        sensor = Sensor()
        sensor.corner = 60.0
        monkeypatch.setitem(sys.modules, "picamera2", sensor.module())
        monkeypatch.setitem(sys.modules, "libcamera", sensor.libcamera())
        return sensor

    def brightest(self, camera: Camera) -> tuple[int, int]:
        """The row and the column of the brightest quarter of a frame."""
        frame = next(iter(camera))
        height, width = frame.image.shape[:2]
        quarters = frame.image.reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3, 4))
        frame.done()
        row, column = np.unravel_index(quarters.argmax(), (2, 2))
        return int(row), int(column)

    def opened(self, rotate: int, flip: str | None) -> Camera:
        orientation = Orientation.of(rotate, flip)
        return turned(PicameraCamera(PicameraOptions(size=(64, 48)), orientation), orientation)

    @pytest.mark.parametrize(("rotate", "flip"), WAYS)
    def test_each_way_ends_where_it_should(self, sensor: Sensor, rotate: int, flip: str | None) -> None:
        corner = np.zeros((2, 2), np.uint8)
        corner[0, 0] = 1
        row, column = np.unravel_index(by_numpy(corner, rotate, flip).argmax(), (2, 2))
        for sensor.flips in (True, False):
            with self.opened(rotate, flip) as camera:
                assert self.brightest(camera) == (row, column)
                assert camera.size == ((48, 64) if rotate in (90, 270) else (64, 48))

    def test_what_hangs_upside_down_is_turned_by_the_isp_in_the_cameras_own_memory(self, sensor: Sensor) -> None:
        with self.opened(180, None) as camera:
            assert (sensor.configured["transform"].hflip, sensor.configured["transform"].vflip) == (True, True)
            frame = next(iter(camera))
            frame.done()
            assert (frame.image == 0xAA).all(), "it was a copy"

    def test_an_isp_that_cannot_is_told(self, sensor: Sensor, caplog: pytest.LogCaptureFixture) -> None:
        sensor.flips = False
        with self.opened(0, "vertical") as camera:
            assert self.brightest(camera) == (1, 0)
        assert "turned on the CPU" in caplog.text

    def test_without_a_wish_nothing_is_asked_for(self, sensor: Sensor) -> None:
        with self.opened(0, None):
            assert "transform" not in sensor.configured

    def test_the_camera_that_is_found_is_turned_once(self, sensor: Sensor) -> None:
        with open_camera(rotate=180, size=(64, 48)) as camera:
            assert sensor.configured["transform"].hflip
            assert self.brightest(camera) == (1, 1)


class TestRuns:
    def test_the_network_and_every_sink_see_the_turned_frame(self) -> None:
        taken: list[tuple[Image, Image]] = []
        options = quietcam.RunOptions(source=SOURCE, rotate=90, flip="vertical", gate=False, sink="null", model="small")
        with quietcam.open_session(options, lambda frame, out: taken.append((frame.image.copy(), out.copy()))) as run:
            run.run()
            model = run.denoiser.model.path
        with open_camera(SOURCE) as camera, Denoiser(model, gate=False) as denoiser:
            expected = [np.ascontiguousarray(by_numpy(frame.image, 90, "vertical")) for frame in camera]
            assert len(taken) == 3
            for noisy, (seen, denoised) in zip(expected, taken, strict=True):
                np.testing.assert_array_equal(seen, noisy)
                np.testing.assert_array_equal(denoised, denoiser.denoise(noisy))

    def test_capture_saves_turned_frames(self, tmp_path: Path) -> None:
        words = ["capture", "--source", SOURCE, "--count", "3", "--out", str(tmp_path / "frames")]
        assert run([*words, "--rotate", "270", "--flip", "horizontal"]) == 0
        with open_camera(SOURCE) as camera:
            for frame, path in zip(camera, sorted((tmp_path / "frames").glob("*.png")), strict=True):
                np.testing.assert_array_equal(read_picture(path), by_numpy(frame.image, 270, "horizontal"))

    @pytest.mark.parametrize("words", [["--rotate", "45"], ["--rotate", "-1"], ["--rotate", "x"], ["--flip", "up"]])
    def test_a_mistake_is_wrong_usage(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["run", "--source", SOURCE, "--sink", "null", *words]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"Received: {words[1]}" in line or f"Received: '{words[1]}'" in line
        assert f"{words[0]} " in line

"""The cameras: folders, videos, the synthetic one, and their messages about bad input."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import KINDS, open_camera
from edge.cameras.folder import FolderCamera
from edge.cameras.synthetic import _KEYS, SyntheticCamera, SyntheticOptions
from edge.cameras.video import VideoCamera
from edge.models import resolve_model
from quietcam.app.cli import run
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError, UsageError
from quietcam.files.paths import resolved
from quietcam.metrics import psnr
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, sensor
from quietcam.sensor.scenes import generate_scene
from tests.small_models import picture

SMALL = SyntheticOptions(size=(64, 48), fps=None, frames=4)


def write_clip(path: Path, frames: int = 6, codec: str = "MJPG", fps: float = 12.5) -> list[np.ndarray]:
    """Write a clip with OpenCV; returns the frames that OpenCV reads back, as RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for index in range(frames):
        bgr = np.zeros((48, 64, 3), np.uint8)
        bgr[:, :, index % 3] = 8 * index + 15
        writer.write(bgr)
    writer.release()
    capture = cv2.VideoCapture(str(path))
    return [capture.read()[1][..., ::-1] for _ in range(frames)]


class TestFolder:
    def test_pictures_come_in_order_with_their_names(self, tmp_path: Path) -> None:
        for seed, name in enumerate(("a10.png", "a2.png", "b.png")):
            write_picture(tmp_path / name, picture(8, 9, seed=seed))
        with open_camera(tmp_path) as camera:
            frames = list(camera)
        assert [frame.name for frame in frames] == ["a2", "a10", "b"]
        assert [frame.index for frame in frames] == [0, 1, 2]
        assert [frame.timestamp for frame in frames] == sorted(frame.timestamp for frame in frames)
        np.testing.assert_array_equal(frames[0].image, picture(8, 9, seed=1))
        assert (camera.live, camera.total) == (False, 3)

    def test_a_broken_picture_is_skipped_named_and_counted(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_picture(tmp_path / "good.png", picture(40, 40))
        whole = (tmp_path / "good.png").read_bytes()
        (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
        cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((8, 8, 3), np.uint16))
        with FolderCamera(tmp_path) as camera:
            frames = list(camera)
        assert [frame.name for frame in frames] == ["good"]
        assert len(camera.skipped) == 2
        said = caplog.text
        assert "cut.png" in said
        assert "deep.png" in said

    def test_nothing_readable_is_an_error(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for number in range(9):
            (tmp_path / f"{number}.png").write_bytes(b"no picture")
        with (
            FolderCamera(tmp_path) as camera,
            pytest.raises(DataError, match=r"At least one picture .* where none of 9"),
        ):
            list(camera)
        assert len(camera.skipped) == 9
        assert len(caplog.messages) == 6  # five by name, and that there are more

    def test_a_single_picture_that_cannot_be_read_is_its_own_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "a.png").write_bytes(b"no picture")
        with FolderCamera(tmp_path / "a.png") as camera, pytest.raises(DataError, match=r"must be whole .*a\.png"):
            list(camera)
        assert capsys.readouterr().err == ""

    def test_files_of_one_stem_keep_different_names(self, tmp_path: Path) -> None:
        for name in ("a.png", "a.jpg"):
            write_picture(tmp_path / name, picture(8, 8))
        assert len({frame.name for frame in FolderCamera(tmp_path)}) == 2

    def test_one_picture_is_a_source_too(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "one.png", picture(8, 8))
        write_picture(tmp_path / "two.png", picture(8, 8))
        assert [frame.name for frame in open_camera(str(tmp_path / "one.png"))] == ["one"]

    def test_an_empty_folder_and_one_of_folders_are_explained(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="at least one"):
            open_camera(str(tmp_path))
        write_picture(tmp_path / "noisy" / "a.png", picture(8, 8))
        with pytest.raises(DataError, match="give one of these: noisy"):
            open_camera(str(tmp_path))


class TestVideo:
    def test_every_frame_comes_in_order_as_rgb(self, tmp_path: Path) -> None:
        truth = write_clip(tmp_path / "clip.avi")
        with open_camera(str(tmp_path / "clip.avi")) as camera:
            assert (camera.size, camera.fps, camera.total, camera.live) == ((64, 48), 12.5, 6, False)
            frames = list(camera)
        assert len(frames) == 6
        for index, (frame, expected) in enumerate(zip(frames, truth, strict=True)):
            np.testing.assert_array_equal(frame.image, expected)
            assert frame.timestamp == pytest.approx(index / 12.5)
        # The first frame was painted in OpenCV's channel 0, which is blue.
        assert frames[0].image[..., 2].mean() > frames[0].image[..., 0].mean()
        assert not camera.skipped

    def test_a_clip_cut_short_says_so(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "clip.avi"
        write_clip(path, 30)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with VideoCamera(path) as camera:
            frames = list(camera)
        assert 0 < len(frames) < 30
        assert camera.skipped
        assert "is cut short by" in caplog.text

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        for name, content in (("a.mp4", b"text, not a video"), ("b.webm", b""), ("c.txt", b"text")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match="cannot read this file as a video"), open_camera(str(tmp_path / name)):
                pass

    def test_close_may_be_called_twice(self, tmp_path: Path) -> None:
        write_clip(tmp_path / "clip.avi")
        camera = VideoCamera(tmp_path / "clip.avi")
        camera.open()
        camera.close()
        camera.close()


class TestSynthetic:
    def test_it_is_the_scene_behind_the_sensor(self) -> None:
        noise = sensor("imx219", 16)
        with SyntheticCamera(SMALL) as camera:
            frame = next(iter(camera))
        wide = generate_scene(48, 64 + 2 * 63, seed=0)
        clean = SensorCamera(noise, Isp()).clean(np.ascontiguousarray(wide[:, :64]))
        assert 15 < psnr(frame.image, clean) < 40
        with SyntheticCamera(SyntheticOptions(size=(64, 48), fps=None, frames=1, gain=1.0)) as quiet:
            assert psnr(next(iter(quiet)).image, clean) > psnr(frame.image, clean) + 6

    def test_the_same_options_give_the_same_frames_and_another_seed_others(self) -> None:
        first, again, other = (
            next(iter(SyntheticCamera(SyntheticOptions(size=(32, 32), fps=None, frames=1, seed=seed))))
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.image, again.image)
        assert (first.image != other.image).any()

    def test_it_pans_there_and_back_without_a_jump_and_with_fresh_noise(self) -> None:
        options = SyntheticOptions(size=(64, 48), fps=None, frames=200, gain=1.0)
        images = [frame.image.astype(int) for frame in SyntheticCamera(options)]
        assert len(images) == 200
        steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(images)]
        assert min(steps) > 0
        ends = np.abs(images[0] - images[60]).mean()
        assert max(steps) < ends
        np.testing.assert_array_equal(images[62], images[64])  # 63 is where it turns

    def test_frames_cannot_be_written_to(self) -> None:
        frame = next(iter(SyntheticCamera(SMALL)))
        with pytest.raises(ValueError, match="read-only"):
            frame.image[0, 0] = 0

    def test_memory_is_bounded(self) -> None:
        with SyntheticCamera(SyntheticOptions(size=(1920, 1080), fps=None, frames=1, seed=5)) as camera:
            assert 2 <= len(camera._rendered) <= 6
            assert camera.size == (1920, 1080)

    def test_a_live_one_keeps_its_rate_exactly(self) -> None:
        now = [100.0]
        slept = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds

        options = SyntheticOptions(size=(32, 32), fps=20.0, frames=5)
        with SyntheticCamera(options, clock=lambda: now[0], sleep=sleep) as camera:
            assert camera.live
            stamps = []
            for frame in camera:
                stamps.append(frame.timestamp)
                assert now[0] >= frame.timestamp
                now[0] += 0.12 if frame.index == 1 else 0.01  # one frame takes longer than two intervals
        np.testing.assert_allclose(stamps, 100 + np.arange(5) / 20)
        assert all(seconds > 0 for seconds in slept)

    def test_a_stopped_one_ends_soon_and_can_be_played_again(self) -> None:
        with SyntheticCamera(SyntheticOptions(size=(32, 32), fps=0.001, rendered=2)) as camera:
            frames = iter(camera)
            next(frames)
            threading.Timer(0.05, camera.stop).start()
            assert next(frames, None) is None, "it waited a quarter of an hour"
            assert next(iter(camera)).index == 0

    @pytest.mark.parametrize("count", [1, 3])
    def test_only_as_many_frames_are_drawn_as_are_wanted(self, count: int) -> None:
        options = SyntheticOptions(size=(32, 32), fps=None, frames=12, rendered=count)
        assert len({frame.image.tobytes() for frame in SyntheticCamera(options)}) == count

    def test_a_folder_and_a_video_can_stand_before_the_sensor(self, tmp_path: Path) -> None:
        clean = generate_scene(48, 64, seed=3)
        write_picture(tmp_path / "pictures" / "a.png", clean)
        write_clip(tmp_path / "clip.avi")
        for base in ("pictures", "clip.avi"):
            with open_camera(f"synthetic:fps=max,frames=3,base={tmp_path / base}") as camera:
                frames = list(camera)
            assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 3
        assert len({frame.image.tobytes() for frame in frames}) > 1

    def test_options_are_read(self, tmp_path: Path) -> None:
        text = f"size=320x240,fps=12.5,sensor=imx708,gain=4,seed=9,frames=7,rendered=3,base={tmp_path}"
        assert SyntheticOptions.parse(text) == SyntheticOptions((320, 240), 12.5, "imx708", 4.0, 9, 7, 3, tmp_path)
        assert SyntheticOptions.parse("fps=max").fps is None
        assert SyntheticOptions.parse("") == SyntheticOptions()
        assert set(_KEYS) == {field.name for field in fields(SyntheticOptions)}

    @pytest.mark.parametrize(
        "part",
        ["size=640", "size=axb", "size=8x8", "size=9000x20", "fps=0", "fps=-1", "fps=fast", "seed=1.5", "frames=0"],
    )
    def test_a_value_that_does_not_fit_is_named(self, part: str) -> None:
        with pytest.raises(UsageError, match=f"camera's {part.split('=')[0]} is .*{part}"):
            open_camera(f"synthetic:{part}")

    def test_unknown_words_are_answered_with_the_known(self) -> None:
        with pytest.raises(UsageError, match=r"options size, fps, sensor.*Received: color=red"):
            open_camera("synthetic:color=red")
        with pytest.raises(UsageError, match="imx219"):
            open_camera("synthetic:sensor=imx999")
        with pytest.raises(UsageError, match="gain"):
            open_camera("synthetic:gain=1000")


@pytest.mark.parametrize("source", ["camera", "nowhere/at/all", ""])
def test_an_unknown_source_is_answered_with_the_kinds(source: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_camera(source)
    assert all(kind in str(caught.value) for kind in KINDS)


class TestPaths:
    def test_a_folder_that_is_named_after_a_day_is_a_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("20240517", "7"):
            write_picture(tmp_path / name / "a.png", picture(8, 8))
        monkeypatch.chdir(tmp_path)
        for name in ("20240517", "7"):
            assert isinstance(open_camera(name), FolderCamera)
        assert open_camera("8").name == "/dev/video8"
        for number in ("64", "20240518", "٣"):  # the last one is a digit, too
            with pytest.raises(UsageError, match="none of these"):
                open_camera(number)

    def test_in_a_folder_that_the_user_may_not_enter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The system refuses every relative path there; absolute paths and names of models work."""
        write_picture(tmp_path / "a.png", picture(8, 8))
        real = os.stat

        def refusing(path, *words, **more):  # type: ignore[no-untyped-def]
            if isinstance(path, str | Path) and not Path(path).is_absolute():
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *words, **more)

        monkeypatch.setattr(os, "stat", refusing)
        with open_camera(str(tmp_path / "a.png")) as camera:
            assert len(list(camera)) == 1
        assert resolve_model("nano").is_absolute()
        assert resolved(Path("a.png"))
        words = ["run", "--model", "nano", "--strength", "0", "--sink", "null", "--source"]
        assert run([*words, str(tmp_path / "a.png")]) == 0
        assert run([*words, "a.png"]) == 2
        assert "allowed to enter" in capsys.readouterr().err
        for command in (["lint", "a.tflite"], ["compare", "a.tflite", "--data", "set"], ["calibrate", "--data", "set"]):
            assert run(command) in (1, 2)
            assert "unexpected" not in capsys.readouterr().err


def test_a_picture_is_told_by_its_content_and_a_photograph_is_no_video(tmp_path: Path) -> None:
    image = np.full((8, 12, 3), 90, np.uint8)
    write_picture(tmp_path / "a.png", image)
    (tmp_path / "a.png").rename(tmp_path / "IMG_1")
    assert [frame.image.shape for frame in open_camera(str(tmp_path / "IMG_1"))] == [(8, 12, 3)]
    (tmp_path / "x.mov").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400))  # renamed by somebody
    with pytest.raises(DataError, match=r"HEIC pictures are not read.*x\.mov.*heif-convert"):
        list(open_camera(str(tmp_path / "x.mov")))
    (tmp_path / "only" / "inner").mkdir(parents=True)
    (tmp_path / "only" / "b.dng").write_bytes(b"II*\0")
    with pytest.raises(DataError, match="1 camera raw photo is not read"):
        open_camera(str(tmp_path / "only"))


def test_a_size_cannot_be_asked_of_what_has_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for source in (str(tmp_path), "http://camera/stream"):
        with pytest.raises(UsageError, match=r"size"):
            open_camera(source, size=(64, 48))
    with pytest.raises(UsageError, match=r"rtsp://HOST"):
        open_camera("rtsp:///path")

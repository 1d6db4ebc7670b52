"""Sinks of live runs: raw frames into a pipe, clips in parts, disks that fill, windows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import edge.run.sink_thread
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks import open_sink
from edge.sinks.base import SinkEnded
from edge.sinks.null import NullSink
from edge.sinks.stdout import StdoutSink, pipe_lines
from edge.sinks.video import CODECS
from edge.sinks.window import WindowSink, _shows_windows
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import MissingExtraError, StorageError, UsageError
from quietcam.image import Image
from tests.edge.conftest import picture
from tests.edge.sinks.test_sinks import frame, read_clip
from tests.waiting import WAIT, until

QUIETCAM = [sys.executable, "-m", "quietcam"]


class Pipe:
    """A pipe whose front end is a sink's."""

    def __init__(self) -> None:
        self.back, self.front = os.pipe()
        self.sink = StdoutSink(30.0, descriptor=self.front)

    def read(self, size: int) -> bytes:
        content = b""
        while len(content) < size and (more := os.read(self.back, size - len(content))):
            content += more
        return content


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.sink.close()
    for handle in (pipe.front, pipe.back):
        try:
            os.close(handle)
        except OSError:
            continue


class TestRawFrames:
    def test_they_are_the_pixels_one_behind_the_other(self, pipe: Pipe) -> None:
        images = [picture(20, 30, seed=seed) for seed in range(3)]
        with pipe.sink as sink:
            for index, image in enumerate(images):
                sink.write(frame(index), image)
        assert pipe.read(3 * 20 * 30 * 3) == b"".join(image.tobytes() for image in images)
        assert sink.frames == 3

    def test_a_frame_larger_than_any_pipe_comes_whole(self, pipe: Pipe) -> None:
        image = picture(1080, 1920)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(pipe.read(image.nbytes)))
        reader.start()
        with pipe.sink as sink:
            sink.write(frame(0), image)
        reader.join(WAIT)
        assert got == [image.tobytes()]

    def test_gray_and_before_after_and_views_are_rgb(self, pipe: Pipe) -> None:
        with pipe.sink as sink:
            gray = picture(20, 30, 1)
            sink.write(frame(0), gray)
            assert pipe.read(1800) == np.repeat(gray, 3, axis=2).tobytes()
            wide = picture(20, 40)
            sink.write(frame(1), wide[:, 5:35])
            assert pipe.read(1800) == wide[:, 5:35].tobytes()
        both = StdoutSink(30.0, before_after=True, descriptor=pipe.front)
        with both:
            both.write(frame(2), picture(20, 30, seed=9))
        got = np.frombuffer(pipe.read(3600), np.uint8).reshape(20, 60, 3)
        np.testing.assert_array_equal(got[:, 30:], picture(20, 30, seed=9))

    def test_another_size_is_scaled_to_the_first_since_no_reader_could_know(self, pipe: Pipe) -> None:
        with pipe.sink as sink:
            sink.write(frame(0), picture(20, 30))
            sink.write(frame(1), np.full((40, 60, 3), 77, np.uint8))
        pipe.read(1800)
        assert pipe.read(1800) == b"\x4d" * 1800

    def test_a_reader_that_leaves_ends_it(self, pipe: Pipe) -> None:
        with pipe.sink as sink:
            os.close(pipe.back)
            with pytest.raises(SinkEnded):
                sink.write(frame(0), picture(20, 30))
        assert sink.frames == 0

    def test_a_reader_that_does_not_read_does_not_keep_the_run_from_ending(self, pipe: Pipe) -> None:
        ended = threading.Event()

        def write() -> None:
            try:
                while True:
                    pipe.sink.write(frame(0), picture(500, 500))
            except SinkEnded:
                ended.set()

        pipe.sink.open()
        writing = threading.Thread(target=write)
        writing.start()
        assert not ended.wait(0.3)
        pipe.sink.stop()
        assert ended.wait(WAIT)
        writing.join()

    def test_what_others_print_does_not_get_between(self, pipe: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
        with pipe.sink as sink:
            sink.write(frame(0), picture(20, 30))
            os.write(pipe.front, b"a library's chatter")
            sink.write(frame(1), picture(20, 30))
        assert pipe.read(3600) == 2 * picture(20, 30).tobytes()
        assert "a library's chatter" in capfd.readouterr().err
        os.write(pipe.front, b"!")
        assert pipe.read(1) == b"!"

    def test_a_full_disk_is_a_storage_error(self) -> None:
        with (
            Path("/dev/full").open("wb") as full,
            StdoutSink(30.0, descriptor=full.fileno()) as sink,
            pytest.raises(StorageError, match="standard output: No space"),
        ):
            sink.write(frame(0), picture(20, 30))

    def test_a_frame_that_did_not_fit_into_a_file_is_cut_off_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, room = os.write, [2000]

        def write(handle: int, content: memoryview) -> int:
            if not room[0]:
                raise OSError(28, "No space left on device")
            room[0] -= (written := real(handle, content[: room[0]]))
            return written

        with (tmp_path / "raw").open("wb") as file, StdoutSink(30.0, descriptor=file.fileno()) as sink:
            monkeypatch.setattr(os, "write", write)
            sink.write(frame(0), picture(20, 30, seed=0))
            with pytest.raises(StorageError, match="No space"):
                sink.write(frame(1), picture(20, 30, seed=1))
            room[0] = 10_000
            sink.write(frame(2), picture(20, 30, seed=2))
        expected = picture(20, 30, seed=0).tobytes() + picture(20, 30, seed=2).tobytes()
        assert (tmp_path / "raw").read_bytes() == expected

    def test_a_terminal_is_refused_with_the_line_that_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "isatty", lambda _: True)
        with pytest.raises(UsageError, match=r"quietcam run --sink - \| ffmpeg -f rawvideo"):
            open_sink("-")

    def test_the_command_into_a_pipe(self, small: Path, tmp_path: Path) -> None:
        for seed in range(3):
            write_picture(tmp_path / "in" / f"{seed}.png", picture(40, 52, seed=seed))
        words = ["run", "--source", str(tmp_path / "in"), "--model", str(small)]
        report = tmp_path / "report.json"
        done = subprocess.run(
            [*QUIETCAM, *words, "--sink", "-", "--sink", str(tmp_path / "out"), "--json", str(report)],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        images = [read_picture(path) for path in sorted((tmp_path / "out").iterdir())]
        assert done.stdout == b"".join(image.tobytes() for image in images)
        assert json.loads(report.read_text())["frames"] == 3
        assert b"-s 52x40 -r 25 -i -" in done.stderr

    def test_a_broken_pipe_ends_the_command_quietly(self, small: Path) -> None:
        words = ["run", "--source", "synthetic:size=64x48,fps=100,rendered=2", "--model", str(small), "--sink", "-"]
        process = subprocess.Popen([*QUIETCAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(64 * 48 * 3 * 3)) == 64 * 48 * 3 * 3
        process.stdout.close()
        said = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(WAIT) == 0, said
        assert "Error" not in said
        assert "Traceback" not in said

    def test_the_line_for_ffmpeg_works(self, small: Path, tmp_path: Path) -> None:
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg here: apt install ffmpeg")
        words = ["run", "--source", "synthetic:size=64x48,fps=max,frames=12,rendered=2", "--model", str(small)]
        line = pipe_lines(64, 48, 30)["ffmpeg"].split()
        with subprocess.Popen(
            [*QUIETCAM, *words, "--sink", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            subprocess.run(
                [*line[:-1], str(tmp_path / "clip.mp4")], stdin=process.stdout, capture_output=True, check=True
            )
        assert len(read_clip(tmp_path / "clip.mp4")) == 12

    @pytest.mark.parametrize(
        ("fps", "rate", "exact"), [(30.0, "30", "30/1"), (12.5, "12.5", "25/2"), (30000 / 1001, "29.97", "30000/1001")]
    )
    def test_the_rate_is_told_as_each_program_has_it(self, fps: float, rate: str, exact: str) -> None:
        lines = pipe_lines(64, 48, fps)
        assert f"-s 64x48 -r {rate} " in lines["ffmpeg"]
        assert f"framerate={exact} " in lines["GStreamer"]

    def test_the_report_cannot_go_there_too(self, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["run", "--source", "synthetic", "--model", str(small), "--sink", "-", "--json", "-"]
        assert run(words) == 2
        assert "cannot both" in capsys.readouterr().err


class TestClipsInParts:
    def test_another_size_begins_the_next_clip(self, tmp_path: Path) -> None:
        (tmp_path / "clip_2.webm").write_bytes(b"mine")
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            for index in range(9):
                size = (48, 64) if index < 4 else (32, 64)
                sink.write(frame(index), picture(*size))
        assert len(read_clip(tmp_path / "clip.webm")) == 4
        assert (tmp_path / "clip_2.webm").read_bytes() == b"mine"
        second = read_clip(tmp_path / "clip_3.webm")
        assert len(second) == 5
        assert second[0].shape == (32, 64, 3)
        assert sink.frames == 9

    @pytest.mark.parametrize("suffix", CODECS)
    @pytest.mark.parametrize("fps", [4.0, 12.0, 60.0])
    def test_it_plays_as_fast_as_its_frames_came(self, tmp_path: Path, suffix: str, fps: float) -> None:
        path = tmp_path / f"clip{suffix}"
        with open_sink(str(path), 30.0, live=True) as sink:
            for index in range(20):
                sink.write(Frame(picture(48, 64, seed=index), 100.0 + index / fps, 3 * index), picture(48, 64))
        clip = cv2.VideoCapture(str(path))
        assert clip.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=0.01)
        times = []
        while clip.read()[0]:
            times.append(clip.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        np.testing.assert_allclose(times, np.arange(20) / fps, rtol=0.01, atol=0.02)
        if shutil.which("ffprobe") is not None:
            asked = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
            lasts = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            assert float(lasts) == pytest.approx(20 / fps, rel=0.02)

    def test_a_file_keeps_its_rate_whatever_its_timestamps(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.avi"), 30.0) as sink:
            for index in range(5):
                sink.write(Frame(picture(48, 64), float(index), index), picture(48, 64))
        assert cv2.VideoCapture(str(tmp_path / "clip.avi")).get(cv2.CAP_PROP_FPS) == 30.0

    def test_after_a_long_gap_the_next_clip_begins(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            for seconds in (0.0, 0.04, 0.08, 9.0, 9.04):
                sink.write(Frame(picture(48, 64), seconds, 0), picture(48, 64))
        assert [len(read_clip(tmp_path / name)) for name in ("clip.webm", "clip_2.webm")] == [3, 2]

    def test_after_a_full_disk_the_next_part_begins_and_the_first_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = SimpleNamespace(f_frsize=4096, f_bfree=3, f_bavail=3)
        real = os.statvfs
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            sink.write(frame(0), picture(48, 64))
            monkeypatch.setattr(os, "statvfs", lambda _: full)
            with pytest.raises(StorageError, match="No space left"):
                sink.write(frame(1), picture(48, 64))
            sink.close()
            for _ in range(3):
                with pytest.raises(StorageError, match="No space left"):
                    sink.write(frame(2), picture(48, 64))
            monkeypatch.setattr(os, "statvfs", real)
            sink.write(frame(3), picture(48, 64))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.webm", "clip_2.webm"]
        assert [len(read_clip(tmp_path / name)) for name in ("clip.webm", "clip_2.webm")] == [2, 1]


class TestFullDisk:
    """A disk that is really full, under a live run."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("a small disk can be mounted by root only")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)

    def test_the_view_goes_on_and_the_clip_again_once_there_is_room(
        self, disk: Path, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.run.sink_thread, "_FIRST_RETRY", 0.05)
        monkeypatch.setattr(edge.run.sink_thread, "_LAST_RETRY", 0.1)
        filler = disk / "filler"
        filler.write_bytes(bytes(4 << 20))
        options = SyntheticOptions(size=(160, 120), fps=200.0, rendered=4)
        handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with (
            SyntheticCamera(options) as camera,
            Denoiser(small, 1) as denoiser,
            open_sink(str(disk / "clip.avi"), 25.0, live=True) as clip,
        ):
            view = NullSink()
            pipeline = Pipeline(camera, denoiser, [clip, view])
            running = threading.Thread(target=pipeline.run)
            running.start()

            def told() -> dict[str, object]:
                return pipeline.health.report()["sinks"][0]

            until(lambda: told()["error"] is not None)
            assert "No space left" in str(told()["error"])
            seen = view.frames
            until(lambda: view.frames > seen + 10)
            filler.unlink()
            until(lambda: told()["error"] is None)
            taken = clip.frames
            until(lambda: clip.frames > taken + 2)
            pipeline.stop()
            running.join(WAIT)
            assert not running.is_alive()
        assert read_clip(disk / "clip.avi")
        assert not [path for path in disk.iterdir() if path.name.startswith(".")]
        assert len(os.listdir("/proc/self/fd")) <= handles + 1  # noqa: PTH208


class TestWindow:
    def test_without_the_extra_it_is_one_clear_line(self) -> None:
        if _shows_windows(cv2):
            pytest.skip("this OpenCV can show windows")
        with pytest.raises(MissingExtraError, match=r"quietcam\[window\]"):
            open_sink("window")

    def test_without_a_screen_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.sinks.window._shows_windows", lambda _: True)
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(UsageError, match="DISPLAY"):
            WindowSink()

    def test_what_is_shown_and_how_it_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """OpenCV's window replaced by a list."""
        shown: list[Image] = []
        titles: list[str] = []
        key = [-1]
        visible = [1.0]
        for name, stand_in in {
            "namedWindow": lambda *_: None,
            "resizeWindow": lambda *_: None,
            "imshow": lambda _, image: shown.append(image.copy()),
            "waitKey": lambda _: key[0],
            "getWindowProperty": lambda *_: visible[0],
            "setWindowTitle": lambda _, title: titles.append(title),
            "destroyAllWindows": lambda: shown.clear(),
        }.items():
            monkeypatch.setattr(cv2, name, stand_in, raising=False)
        monkeypatch.setattr("edge.sinks.window._shows_windows", lambda _: True)
        monkeypatch.setenv("DISPLAY", ":0")
        with WindowSink() as sink:
            image = picture(60, 90)
            sink.write(frame(0), image)
            np.testing.assert_array_equal(shown[0], image[..., ::-1])
            for _ in range(2):
                sink.status({"camera": {"state": "lost", "since": 1e9, "reason": "unplugged"}})
            assert titles == ["quietcam: no live video (unplugged)"]
            assert len(shown) == 3
            notice = shown[-1]
            assert notice.shape == image.shape
            assert notice.max() > 100 > np.median(notice), "the last frame is still shown"
            sink.status({"camera": {"state": "live", "since": 1e9, "reason": "unplugged"}})
            assert titles[1:] == ["quietcam"]
            key[0] = ord("q")
            with pytest.raises(SinkEnded):
                sink.write(frame(1), image)
            key[0], visible[0] = -1, 0.0
            with pytest.raises(SinkEnded):
                sink.write(Frame(image, 0.0, 2), image)
        assert not _shows_windows(SimpleNamespace(getBuildInformation=lambda: "  GUI:    NONE\n"))
        assert _shows_windows(SimpleNamespace(getBuildInformation=lambda: "  GUI:    QT5\n"))

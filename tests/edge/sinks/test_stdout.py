"""Raw frames on the standard output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.sinks import open_sink
from edge.sinks.base import SinkEnded
from edge.sinks.stdout import StdoutSink, pipe_lines
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import StorageError, UsageError
from tests.edge.sinks.test_sinks import frame, read_clip
from tests.small_models import picture
from tests.waiting import WAIT

QUIETCAM = [sys.executable, "-m", "quietcam"]


class Pipe:
    """A pipe that a sink writes to."""

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

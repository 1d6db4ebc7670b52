"""Clips in H.264: times, colors and sizes that come back, and what is left when everything stops at once."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.video.growing_file import GrowingFile
from edge.sinks.video.opencv_clip import OpenCVClip
from edge.sinks.video.part import FORMATS, Part
from quietcam.errors import MissingExtraError, StorageError
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.edge.sinks.video.films import av, length, read, scene, the_file, write

KILLS = int(os.environ.get("QUIETCAM_KILLS", "2"))
"""How many recordings are killed; `make kills` sets it."""

LEAST = {".mp4": 1 / 90000, ".mkv": 0.001}
"""Seconds that a container's times are exact to."""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
class TestTimes:
    def test_a_clip_of_varying_intervals_has_every_frame_at_its_time(
        self, tmp_path: Path, suffix: str, live: bool
    ) -> None:
        intervals = np.random.default_rng(0).uniform(0.01, 0.4, 60)
        times = (1000.0 + np.cumsum(intervals)).tolist()
        pictures = scene(60)
        path = tmp_path / f"clip{suffix}"
        with open_sink(str(path), 30.0, live=live) as sink:
            write(sink, pictures, times)
        told, shown = read(path)
        np.testing.assert_allclose(told, np.array(times) - times[0], atol=LEAST[suffix])
        assert min(map(psnr, shown, pictures)) > 28
        assert length(path) == pytest.approx(times[-1] - times[0] + intervals[-1], rel=0.02)

    def test_times_that_stand_still_or_leap_follow_at_the_nominal_rate(
        self, tmp_path: Path, suffix: str, live: bool
    ) -> None:
        path = tmp_path / f"clip{suffix}"
        times = [5.0, 5.0, 4.0, 4.1] if live else [5.0, 5.0, 4.0, 4.1, 900.0, 900.5]
        with open_sink(str(path), 10.0, live=live) as sink:
            write(sink, scene(len(times)), times)
        expected = [0.0, 0.1, 0.2, 0.3] if live else [0.0, 0.1, 0.2, 0.3, 0.4, 0.9]
        np.testing.assert_allclose(read(path)[0], expected, atol=0.001)


@pytest.mark.parametrize("suffix", FORMATS)
class TestPictures:
    @pytest.mark.parametrize("size", [(48, 64), (33, 47), (2, 2), (1, 1), (17, 16)])
    def test_sides_get_even_and_lose_nothing(self, tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
        path = tmp_path / f"clip{suffix}"
        pictures = [np.ascontiguousarray(each[: size[0], : size[1]]) for each in scene(3)]
        with open_sink(str(path)) as sink:
            write(sink, pictures)
        _, shown = read(path)
        height, width = size
        assert shown[0].shape == (height + height % 2, width + width % 2, 3)
        if min(size) > 2:
            assert psnr(np.ascontiguousarray(shown[0][:height, :width]), pictures[0]) > 26

    def test_before_stands_on_the_left_of_after(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        pictures = scene(2)
        with open_sink(str(path), before_after=True) as sink:
            write(sink, pictures)
        _, [both, _] = read(path)
        assert psnr(both, np.concatenate([255 - pictures[0], pictures[0]], axis=1)) > 26

    def test_gray_frames_are_gray(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        gray = np.full((32, 32, 1), 90, np.uint8)
        with open_sink(str(path)) as sink:
            sink.write(Frame(gray, 0.0, 0), gray)
        np.testing.assert_allclose(read(path)[1][0], 90, atol=1)


COLORS = [*itertools.product((0, 128, 255), repeat=3), (200, 30, 40), (20, 90, 60), (250, 220, 190)]


def fields() -> Image:
    """One field of 32x32 pixels for each color."""
    rows = np.array(COLORS, np.uint8).reshape(5, 6, 3)
    return np.ascontiguousarray(rows.repeat(32, axis=0).repeat(32, axis=1))


def middles(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return picture[16::32, 16::32].reshape(30, -1).astype(int)


class TestColors:
    @pytest.fixture
    def clip(self, tmp_path: Path) -> Path:
        with open_sink(str(tmp_path / "clip.mp4")) as sink:
            for index in range(3):
                sink.write(Frame(fields(), index / 25, index), fields())
        return tmp_path / "clip.mp4"

    def test_they_are_bt709_in_the_limited_range_and_say_so(self, clip: Path) -> None:
        with av.open(str(clip)) as container:
            context = container.streams.video[0].codec_context
            told = context.colorspace, context.color_primaries, context.color_trc, context.color_range
            frame = next(container.decode(video=0))
            planes = frame.to_ndarray(format="yuv420p")
        assert tuple(map(int, told)) == (1, 1, 1, 1)
        # ITU-R BT.709-6, 3.2 to 3.5, for 8 bits.
        red, green, blue = (np.array(COLORS).T / 255).astype(float)
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        expected = np.stack(
            [16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748], axis=1
        )
        height, width = fields().shape[:2]
        half = planes[height:].reshape(2, height // 2, width // 2)
        found = np.stack(
            [planes[:height][16::32, 16::32].ravel(), *(plane[8::16, 8::16].ravel() for plane in half)], axis=1
        )
        np.testing.assert_allclose(found, expected, atol=2)

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: apt install ffmpeg")
    def test_ffmpeg_shows_the_same(self, clip: Path) -> None:
        asked = ["ffmpeg", "-v", "error", "-i", str(clip), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(asked, capture_output=True, check=True).stdout
        shown = np.frombuffer(raw, np.uint8).reshape(fields().shape)
        np.testing.assert_allclose(middles(shown), middles(fields()), atol=3)


@pytest.mark.parametrize("suffix", FORMATS)
class TestPowerCut:
    def test_what_is_there_can_be_played_after_each_frame(self, tmp_path: Path, suffix: str) -> None:
        """A copy of the file after each frame: what the end of the process leaves."""
        folder, copy = tmp_path / "clips", tmp_path / f"copy{suffix}"
        pictures = scene(100)
        with open_sink(str(folder / f"clip{suffix}"), 25.0, live=True) as sink:
            for index, picture in enumerate(pictures):
                sink.write(Frame(picture, index / 25, index), picture)
                content = the_file(folder).read_bytes()
                copy.write_bytes(content)
                if index >= 55:
                    _, shown = read(copy)
                    assert index - 30 < len(shown) <= index + 1
                    assert min(map(psnr, shown, pictures)) > 28
        assert len(read(folder / f"clip{suffix}")[1]) == 100

    def test_a_fragment_of_which_a_part_is_on_the_disk_hides_no_other(self, tmp_path: Path, suffix: str) -> None:
        """A power cut while the third fragment was written: the file ends anywhere in it."""
        ends, copy = [], tmp_path / f"copy{suffix}"
        path = tmp_path / f"clip{suffix}"
        with path.open("wb") as file:
            growing = GrowingFile(os.dup(file.fileno()))
            growing._sync = lambda _: None  # type: ignore[method-assign]
            part = Part(growing, suffix, (64, 48), 25.0)
            for index, picture in enumerate(scene(80)):
                part.add(picture, index / 25)
                if not ends or growing.whole > ends[-1]:
                    ends.append(growing.whole)
                if len(ends) == 3:
                    growing._show(file.fileno(), growing._hidden_now())
            growing.close()
        content = path.read_bytes()
        assert len(ends) == 4
        for end in {*range(ends[2], ends[3], 297), *range(ends[2], ends[2] + 280, 13)}:
            copy.write_bytes(content[:end])
            assert 50 <= len(read(copy)[1]) <= 77, end

    @pytest.mark.parametrize("seed", range(KILLS))
    def test_kill_9_leaves_every_finished_fragment(self, tmp_path: Path, suffix: str, seed: int) -> None:
        path = tmp_path / f"clip{suffix}"
        code = f"""
import sys, time
from edge.run.frame import Frame
from edge.sinks import open_sink
from tests.edge.sinks.video.films import scene
from tests.waiting import until
pictures = scene(50)
with open_sink({str(path)!r}, 25.0, live=True) as sink:
    for index in range(10**9):
        picture = pictures[index % 50]
        sink.write(Frame(picture, index / 25, index), picture)
        file = sink._video.file
        until(lambda: file.safe == file.whole)
        print(index, flush=True)
"""
        running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        last = 40 + int(np.random.default_rng(seed).integers(60))
        for line in running.stdout:
            if int(line) >= last:
                break
        running.send_signal(signal.SIGKILL)
        written = [line for line in running.communicate()[0].splitlines() if line.isdigit()]
        last = int(written[-1]) if written else last
        times, shown = read(path)
        assert len(shown) > last - 30
        np.testing.assert_allclose(times, np.arange(len(times)) / 25, atol=0.001)
        np.testing.assert_allclose(
            [psnr(a, b) > 28 for a, b in zip(shown, itertools.cycle(scene(50)), strict=False)], 1
        )


@pytest.mark.parametrize("suffix", FORMATS)
class TestNames:
    def test_of_a_camera_it_has_its_name_with_its_first_second(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        with open_sink(str(path), 25.0, live=True) as sink:
            write(sink, scene(20))
            assert not path.exists()
            write(sink, scene(40), [1 + index / 25 for index in range(40)])
            assert [each.name for each in tmp_path.iterdir()] == [path.name]
            with pytest.raises(ZeroDivisionError), sink:
                1 / 0  # noqa: B018  an error after it keeps what was written
        assert len(read(path)[1]) == 60

    def test_of_a_file_it_has_its_name_when_it_is_whole(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        path.write_bytes(b"old")
        with open_sink(str(path), 25.0, overwrite=True) as sink:
            write(sink, scene(60))
            assert path.read_bytes() == b"old"
        assert len(read(path)[1]) == 60
        sink = open_sink(str(path), 25.0, overwrite=True)
        sink.open()
        write(sink, scene(30))
        sink.discard()
        assert len(read(path)[1]) == 60
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    def test_a_clip_that_is_deleted_while_it_is_written_is_noticed_at_once(self, tmp_path: Path, suffix: str) -> None:
        folder = tmp_path / "clips"
        sink = open_sink(str(folder / f"clip{suffix}"), 25.0, live=True)
        with sink:
            write(sink, scene(60))
            the_file(folder).unlink()
            with pytest.raises(StorageError, match="it is gone"):
                write(sink, scene(1), [3.0])
            with pytest.raises(StorageError, match="it is gone"):
                sink.close()
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
class TestFullDisk:
    def test_what_was_written_stays_whole(self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The disk takes half of a fragment."""
        path, real = tmp_path / f"clip{suffix}", os.pwrite
        room = [400_000]

        def full(file: int, content: memoryview, place: int) -> int:
            if room[0] <= 0:
                raise OSError(28, "No space left on device")
            written = real(file, content[: room[0]], place)
            room[0] -= written
            return written

        monkeypatch.setattr("edge.sinks.video.growing_file.os.pwrite", full)
        noise = list(np.random.default_rng(0).integers(0, 256, (90, 96, 128, 3), np.uint8))
        sink = open_sink(str(path), 25.0, live=True)
        sink.open()
        with pytest.raises(StorageError, match="No space left"):
            write(sink, noise)
        sink.close()
        assert path.stat().st_size < 400_000
        assert len(read(path)[1]) >= 20
        done = subprocess.run(
            [sys.executable, "-c", f"import av; list(av.open({str(path)!r}).decode(video=0))"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        with pytest.raises(StorageError, match="No space left"):
            write(sink, noise)
        room[0] = 10**9
        with contextlib.suppress(StorageError):  # nothing of the second part is on the disk
            sink.close()
        write(sink, scene(30))
        sink.close()
        first, second = sorted(tmp_path.iterdir())
        assert first == path
        assert len(read(second)[1]) == 30

    def test_a_disk_that_fails_later_is_noticed(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The kernel takes the bytes, and says at the next sync that they could not be stored."""

        def fails(_: int) -> None:
            raise OSError(5, "Input/output error")

        sink = open_sink(str(tmp_path / f"clip{suffix}"), 25.0, live=True)
        sink.open()
        write(sink, scene(20))
        monkeypatch.setattr("edge.sinks.video.growing_file.os.fsync", fails)
        with pytest.raises(StorageError, match="Input/output error"):
            write(sink, scene(1) * 10**5, [1 + index / 25 for index in range(10**5)])
        sink.discard()


class TestWithoutPyAV:
    @pytest.fixture(autouse=True)
    def without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)

    def test_an_mp4_is_written_by_opencv_which_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with open_sink(str(tmp_path / "clip.mp4")) as sink:
            assert isinstance(sink, OpenCVClip)
            write(sink, scene(2))
        assert "pip install 'quietcam[video]'" in caplog.text
        assert (tmp_path / "clip.mp4").stat().st_size

    def test_an_mkv_names_the_extra(self, tmp_path: Path) -> None:
        with pytest.raises(MissingExtraError, match=r"pip install 'quietcam\[video\]'"):
            open_sink(str(tmp_path / "clip.mkv"))


def test_a_long_clip_of_a_camera_goes_on_in_the_next_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sinks.video.h264_clip._MOST_FRAMES", 30)
    with open_sink(str(tmp_path / "clip.mp4"), 25.0, live=True) as sink:
        write(sink, scene(70))
        assert sink.report() == {"encoder": "libx264"}
    assert [len(read(tmp_path / f"clip{end}.mp4")[1]) for end in ("", "_2", "_3")] == [30, 30, 10]

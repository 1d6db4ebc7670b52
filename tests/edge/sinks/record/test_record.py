"""The recorder: segments by time and by size, oldest out first, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.record.options import RecordOptions
from edge.sinks.record.sink import RecordSink
from edge.sinks.record.unfinished import playable_bytes
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image
from tests.edge.sinks.spool.spools import Clock
from tests.edge.sinks.video.films import read, scene, the_file

SUFFIXES = ("mp4", "mkv")


def recorder(folder: Path, clock: Clock, **options: object) -> RecordSink:
    return RecordSink(RecordOptions(folder, **options), 25.0, False, clock, clock.wall)  # type: ignore[arg-type]


def feed(sink: RecordSink, clock: Clock, count: int, step: float = 0.0625, images: list[Image] | None = None) -> None:
    pictures = images or scene(20)
    for _ in range(count):
        picture = pictures[sink.frames % len(pictures)]
        sink.write(Frame(picture, clock.now, sink.frames), picture)
        clock.now += step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lengths(folder: Path) -> list[int]:
    return [len(read(path)[1]) for path in sorted(folder.iterdir())]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestSegments:
    def test_they_end_by_time_and_hold_every_frame(self, tmp_path: Path, clock: Clock, suffix: str) -> None:
        began = clock.now
        with recorder(tmp_path, clock, minutes=0.1, format=suffix) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 256)
            last = names(tmp_path)[-1]
        assert last == f"0000000002_2023-11-14T22-30-12.000Z_recording.{suffix}", began
        assert names(tmp_path) == [
            f"000000000{number}_2023-11-14T22-30-{seconds}.000Z.{suffix}"
            for number, seconds in enumerate(("00", "06", "12"))
        ]
        assert lengths(tmp_path) == [96, 96, 64]
        assert (sink.stored, sink.trouble.missed) == (256, 0)
        for path in tmp_path.iterdir():
            times = read(path)[0]
            np.testing.assert_allclose(times, np.arange(len(times)) / 16, atol=0.001)

    def test_another_size_and_a_gap_begin_the_next(self, tmp_path: Path, clock: Clock, suffix: str) -> None:
        with recorder(tmp_path, clock, format=suffix) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 30)
            feed(sink, clock, 30, images=scene(5, 32, 64))
            clock.now += 6.0
            feed(sink, clock, 30, images=scene(5, 32, 64))
        assert lengths(tmp_path) == [30, 30, 30]

    def test_the_oldest_go_first_and_the_folder_stays_below_its_size(
        self, tmp_path: Path, clock: Clock, suffix: str
    ) -> None:
        (tmp_path / "mine.mp4").write_bytes(b"mine")
        (tmp_path / f"0000000007_2020-05-17T08-30-00.250Z.{suffix}").write_bytes(b"x" * 4096)
        (tmp_path / "0000000001_2020-05-17T08-30-00.250Z.jpg").write_bytes(b"a frame of a spool")
        noise = list(np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), np.uint8))
        size = 16_000_000
        with recorder(tmp_path, clock, size=size, format=suffix) as sink:
            assert isinstance(sink, RecordSink)
            while sink._segments.evicted < 3:
                feed(sink, clock, 25, images=noise)
                mine = sum(path.stat().st_size for path in tmp_path.iterdir() if path.suffix == f".{suffix}")
                assert mine <= size
        left = names(tmp_path)
        assert "mine.mp4" in left
        assert "0000000001_2020-05-17T08-30-00.250Z.jpg" in left
        segments = [name for name in left if name[:10].isdigit() and name.endswith(suffix)]
        assert segments[0].startswith("0000000010")  # 7 was there, 8 and 9 were recorded
        assert all((tmp_path / name).stat().st_size <= size // 8 for name in segments)

    def test_a_killed_run_leaves_all_that_it_finished(self, tmp_path: Path, clock: Clock, suffix: str) -> None:
        code = f"""
from pathlib import Path
from tests.edge.sinks.record.test_record import *
clock = Clock()
with recorder(Path({str(tmp_path)!r}), clock, minutes=0.05, format={suffix!r}) as sink:
    while True:
        feed(sink, clock, 1)
        file = sink._video.file
        until(lambda: file.safe == file.whole)
        print(sink.frames, flush=True)
"""
        running = subprocess.Popen(
            [sys.executable, "-c", code.replace("clock = C", "from tests.waiting import until\nclock = C", 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) >= 135:
                break
        running.send_signal(signal.SIGKILL)
        running.communicate()
        whole, unfinished = names(tmp_path)[:-1], names(tmp_path)[-1]
        assert unfinished.endswith(f"_recording.{suffix}")
        with recorder(tmp_path, clock, format=suffix) as sink:
            assert isinstance(sink, RecordSink)
            assert names(tmp_path) == [*whole, unfinished.replace("_recording", "_cut")]
            feed(sink, clock, 3)
        *counts, cut, new = lengths(tmp_path)
        assert (counts, new) == ([48, 48], 3)
        assert cut >= 32


class TestTrouble:
    def test_a_full_disk_ends_a_segment_and_nothing_else(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real, room = os.pwrite, [100_000_000]

        def write(file: int, content: memoryview, place: int) -> int:
            if len(content) > room[0]:
                raise OSError(28, "No space left on device")
            return real(file, content, place)

        monkeypatch.setattr("edge.sinks.video.growing_file.os.pwrite", write)
        with recorder(tmp_path, clock) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 60)
            room[0] = 100
            feed(sink, clock, 60)
            assert "No space left" in str(sink.report()["waiting"])
            assert [name[-5:] for name in names(tmp_path)] == ["Z.mp4"]
            room[0] = 10**9
            clock.now += 60
            feed(sink, clock, 30)
            assert sink.report()["waiting"] is None
        assert lengths(tmp_path)[0] >= 48
        assert lengths(tmp_path)[-1] == 30
        assert sink.stored + sink.trouble.missed == 150
        assert caplog.text.count("No space left") == 1
        assert "recording again" in caplog.text

    def test_a_folder_that_is_moved_takes_its_segment_along(self, tmp_path: Path, clock: Clock) -> None:
        folder, was = tmp_path / "record", tmp_path / "was"
        with recorder(folder, clock) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 40)
            folder.rename(was)
            feed(sink, clock, 40)
            clock.now += 2
            feed(sink, clock, 40)
        assert lengths(was)[0] >= 40
        assert sum(lengths(folder)) >= 40
        assert the_file(was).name.endswith("Z.mp4")

    def test_a_segment_that_is_deleted_is_followed_by_another(self, tmp_path: Path, clock: Clock) -> None:
        with recorder(tmp_path, clock) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 40)
            the_file(tmp_path).unlink()
            clock.now += 61  # and the store looks anew
            feed(sink, clock, 200)
            clock.now += 2
            feed(sink, clock, 40)
        assert sum(lengths(tmp_path)) >= 40

    def test_two_recorders_do_not_share_a_folder(self, tmp_path: Path, clock: Clock) -> None:
        with recorder(tmp_path, clock), pytest.raises(UsageError, match="belongs to one process"):
            recorder(tmp_path, clock).open()


class TestUnfinished:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_only_whole_fragments_are_kept(self, tmp_path: Path, clock: Clock, suffix: str) -> None:
        with recorder(tmp_path, clock, format=suffix) as sink:
            assert isinstance(sink, RecordSink)
            feed(sink, clock, 80)
            assert sink._video is not None
            sink._video.file.sync()
            content = the_file(tmp_path).read_bytes()
        for share in (0.0, 0.02, 0.75, 0.9, 1.0):
            copy = tmp_path / f"copy.{suffix}"
            copy.write_bytes(content[: int(len(content) * share)])
            file = os.open(copy, os.O_RDWR)
            kept = playable_bytes(file, f".{suffix}")
            os.ftruncate(file, kept)
            os.close(file)
            assert bool(kept) == (share > 0.1), share
            if kept:
                assert len(read(copy)[1]) >= 80 * share - 30

    def test_one_without_a_fragment_is_removed(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "0000000007_2020-05-17T08-30-00.250Z_recording.mp4").write_bytes(b"\0\0\0\x08free")
        with recorder(tmp_path, clock):
            assert names(tmp_path) == []


class TestOptions:
    def test_they_are_read(self) -> None:
        options = RecordOptions.parse("/a/b,minutes=2.5,size=2GB,segment=50MB,format=mkv")
        assert options == RecordOptions(Path("/a/b"), 2.5, 2 * 10**9, 50 * 10**6, "mkv")
        assert RecordOptions.parse("here") == RecordOptions(Path("here"), 10.0, 8 * 10**9, 10**9, "mp4")

    @pytest.mark.parametrize(
        "text", ["", ",size=1GB", "a,size=1MB", "a,minutes=0", "a,format=avi", "a,b=1", "a,segment=1"]
    )
    def test_wrong_ones_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="Remedy: "):
            RecordOptions.parse(text)

    def test_without_pyav_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'quietcam\[video\]'"):
            open_sink(f"record:{tmp_path}")

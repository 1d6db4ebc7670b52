"""The spool: what is kept, what is given up, and what a full disk, a kill and a wrong clock may do to it."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.frame import Frame
from edge.sinks import open_sink
from edge.sinks.budget import Budget
from edge.sinks.spool import SpoolOptions, SpoolSink
from edge.sinks.store import Store, allocated
from edge.sinks.trigger import Trigger
from quietcam.data.pictures import read_picture
from quietcam.errors import StorageError, UsageError
from quietcam.image import Image
from tests.edge.conftest import picture

HOUR, DAY = 3600.0, 86400.0
SPOOLING = Path(__file__).with_name("spooling.py")


class Clock:
    """Monotonic and wall time, moved by hand."""

    def __init__(self) -> None:
        self.now, self.offset = 1000.0, 1.7e9

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spool(folder: Path, clock: Clock, **options: Any) -> SpoolSink:
    return SpoolSink(SpoolOptions(folder, **({"every": 1.0} | options)), (16, 16), clock, clock.wall)


def feed(sink: SpoolSink, clock: Clock, count: int, step: float = 1.0, image: Image | None = None) -> None:
    for _ in range(count):
        frame = picture(16, 16, seed=sink.frames) if image is None else image
        sink.write(Frame(frame, clock.now, sink.frames), 255 - frame)
        clock.now += step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def on_disk(folder: Path) -> int:
    """Bytes of all entries by the rule, counted from the files."""
    total = 0
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        files = list(path.iterdir()) if path.is_dir() else [path]
        total += sum(-(-each.stat().st_size // 4096) * 4096 for each in files) + (4096 if path.is_dir() else 0)
    return total


class TestWhatIsKept:
    def test_timed(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, every=2.0) as sink:
            feed(sink, clock, 9, step=0.5)
        assert (sink.frames, sink.stored) == (9, 3)  # at 0, 2 and 4 seconds
        assert len(names(tmp_path)) == 3

    def test_png_is_the_denoised_frame(self, tmp_path: Path, clock: Clock) -> None:
        image = picture(16, 16, seed=3)
        with spool(tmp_path, clock, format="png") as sink:
            feed(sink, clock, 1, image=image)
        (name,) = names(tmp_path)
        assert name == "0000000000_2023-11-14T22-30-00.000Z.png"
        np.testing.assert_array_equal(read_picture(tmp_path / name), 255 - image)

    def test_a_pair_is_one_folder(self, tmp_path: Path, clock: Clock) -> None:
        image = picture(16, 16, seed=3)
        with spool(tmp_path, clock, format="png", twin=True) as sink:
            feed(sink, clock, 1, image=image)
        (name,) = names(tmp_path)
        assert names(tmp_path / name) == ["denoised.png", "noisy.png"]
        np.testing.assert_array_equal(read_picture(tmp_path / name / "noisy.png"), image)
        np.testing.assert_array_equal(read_picture(tmp_path / name / "denoised.png"), 255 - image)

    def test_a_change_is_kept_and_noise_and_lamps_are_none(self) -> None:
        rng = np.random.default_rng(0)
        still = np.full((120, 160, 3), 90, np.uint8)
        trigger = Trigger(every=None, change=8.0, gap=1.0)
        assert trigger.wants(still, 0.0)
        trigger.kept(still, 0.0)
        noisy = np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8)
        assert not trigger.wants(noisy, 5.0)
        assert not trigger.wants(still + np.uint8(30), 5.0)
        visitor = still.copy()
        visitor[40:60, 50:70] = 140
        assert trigger.wants(visitor, 5.0)
        assert not trigger.wants(visitor, 0.5)  # within the gap
        trigger.kept(visitor, 5.0)
        assert not trigger.wants(visitor, 60.0)
        assert trigger.wants(still, 60.0)  # it left

    @pytest.mark.parametrize("shape", [(1, 1, 1), (1, 700, 3), (13, 5, 3), (12, 16, 1)])
    def test_change_in_small_and_odd_frames(self, shape: tuple[int, int, int]) -> None:
        trigger = Trigger(None, 5.0, 1.0)
        dark = np.zeros(shape, np.uint8)
        trigger.kept(dark, 0.0)
        assert not trigger.wants(dark, 9.0)

    def test_timed_and_changed_together(self, tmp_path: Path, clock: Clock) -> None:
        still = np.full((48, 64, 3), 90, np.uint8)
        moved = still.copy()
        moved[:16, :16] = 200
        with spool(tmp_path, clock, every=10.0, change=8.0) as sink:
            feed(sink, clock, 9, image=still)
            assert sink.stored == 1
            feed(sink, clock, 1, image=moved)
            assert sink.stored == 2
            feed(sink, clock, 9, image=moved)
            assert sink.stored == 2
            feed(sink, clock, 1, image=moved)  # ten seconds after the change
            assert sink.stored == 3


class TestBound:
    def test_the_oldest_go_first_and_the_bound_holds_always(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, size=5 * 4096) as sink:
            for count in range(1, 12):
                feed(sink, clock, 1)
                assert on_disk(tmp_path) == sink.report()["bytes"] <= 5 * 4096
                assert [int(name[:10]) for name in names(tmp_path)] == list(range(max(0, count - 5), count))
        assert sink.report()["evicted"] == 6

    @given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 20000), min_size=1), max_size=20))
    @settings(max_examples=15, deadline=None)
    def test_any_entries(self, tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, int]]) -> None:
        folder = tmp_path_factory.mktemp("store")
        store = Store(folder, 60_000)
        store.open()
        added = []
        for sizes in entries:
            files = {name: bytes(size) for name, size in sizes.items()}
            if allocated(sizes) <= 60_000:
                added.append(store.add({".x": files.popitem()[1]} if len(files) == 1 else files).name)
            assert on_disk(folder) == store.size <= 60_000
        left = names(folder)
        assert left == added[len(added) - len(left) :]
        store.close()
        again = Store(folder, 60_000)
        again.open()
        assert ([entry.name for entry in again.entries], again.size) == (left, store.size)
        again.close()

    def test_files_of_other_names_stay(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "0001_x.jpg").write_text("mine, too")
        with spool(tmp_path, clock, size=2 * 4096) as sink:
            feed(sink, clock, 9)
        assert len(names(tmp_path)) == 4
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_what_somebody_fetched_and_removed_is_no_trouble(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, size=3 * 4096) as sink:
            feed(sink, clock, 3)
            (tmp_path / names(tmp_path)[0]).unlink()
            feed(sink, clock, 3)
        assert (sink.stored, len(names(tmp_path))) == (6, 3)

    def test_what_cannot_be_removed_stays_in_the_account(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the folder would outgrow its bound when the disk can be written to again."""

        def read_only(_: Path) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        with spool(tmp_path, clock, size=3 * 4096) as sink:
            feed(sink, clock, 3)
            with monkeypatch.context() as patch:
                patch.setattr("edge.sinks.store._remove", read_only)
                feed(sink, clock, 100)
                assert "Read-only" in str(sink.waiting)
                assert on_disk(tmp_path) == sink.report()["bytes"] == 3 * 4096
            clock.now += 100
            feed(sink, clock, 4)
            assert sink.waiting is None
            assert on_disk(tmp_path) == sink.report()["bytes"] == 3 * 4096

    def test_a_smaller_bound_holds_from_the_start(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock) as sink:
            feed(sink, clock, 6)
        with spool(tmp_path, clock, size=2 * 4096):
            assert [int(name[:10]) for name in names(tmp_path)] == [4, 5]


class TestClock:
    def test_order_is_by_number_whatever_the_clock_says(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, size=4 * 4096) as sink:
            for jump in (0.0, -3e8, 6e8, -1.7e9 - 5e5, 1e12):
                clock.offset += jump
                feed(sink, clock, 1)
        assert sink.stored == 5
        assert [int(name[:10]) for name in names(tmp_path)] == [1, 2, 3, 4]
        clock.offset = 0.0
        with spool(tmp_path, clock, size=4 * 4096) as sink:
            feed(sink, clock, 1)
        assert [int(name[:10]) for name in names(tmp_path)] == [2, 3, 4, 5]

    def test_numbers_go_on_after_all_was_fetched(self, tmp_path: Path, clock: Clock) -> None:
        """Not within one run only: a spool that is emptied and opened again may begin anew."""
        with spool(tmp_path, clock) as sink:
            feed(sink, clock, 2)
            for name in names(tmp_path):
                (tmp_path / name).unlink()
            feed(sink, clock, 1)
            assert names(tmp_path)[0].startswith("0000000002")

    def test_a_jump_neither_hurries_nor_stops_timed_frames(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, every=10.0) as sink:
            for jump in (0.0, DAY, -3 * DAY, 0.0):
                clock.offset += jump
                feed(sink, clock, 5)
        assert sink.stored == 2


class TestBudget:
    def test_no_more_than_a_days_in_any_day(self, tmp_path: Path, clock: Clock) -> None:
        """Checked against all that was written: in no 24 hours is it more than the limit."""
        budget = Budget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        written: list[tuple[float, int]] = []
        rng = np.random.default_rng(0)
        for _ in range(700):
            size = int(rng.integers(1, 60))
            if budget.allows(size):
                budget.wrote(size)
                written.append((clock.now, size))
            clock.now += float(rng.exponential(400))
            clock.offset += float(rng.choice([0, 0, 0, 1e6, -1e6]))
        for at, _ in written:
            assert sum(size for when, size in written if at <= when < at + DAY) <= 1000
        days = (clock.now - 1000) / DAY
        assert sum(size for _, size in written) > 0.9 * 1000 * (days - 1)  # and it is used

    @given(
        st.lists(st.tuples(st.integers(1, 400), st.sampled_from([1.0, HOUR, 30 * HOUR]), st.booleans()), max_size=40)
    )
    @settings(max_examples=25, deadline=None)
    def test_a_power_cut_never_loses_a_byte_of_the_count(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float, bool]]
    ) -> None:
        clock = Clock()
        path = tmp_path_factory.mktemp("budget") / "b.json"
        budget = Budget(1000, path, clock, clock.wall)
        budget.load()
        written: list[tuple[float, int]] = []
        for size, pause, cut in steps:
            if budget.allows(size):
                budget.wrote(size)
                written.append((clock.now, size))
            clock.now += pause
            if cut:  # without close: what is on the disk is all there is
                budget = Budget(1000, path, clock, clock.wall)
                budget.load()
        for at, _ in written:
            assert sum(size for when, size in written if at <= when < at + DAY) <= 1000

    def test_a_clean_end_gives_back_what_was_set_aside(self, tmp_path: Path, clock: Clock) -> None:
        budget = Budget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(3)
        budget.wrote(3)
        budget.close()
        again = Budget(1000, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.spent == 3
        assert again.allows(997)
        again.wrote(997)
        assert not again.allows(1)

    def test_a_clock_that_went_back_while_it_was_off_gives_nothing(self, tmp_path: Path, clock: Clock) -> None:
        budget = Budget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(100)
        budget.wrote(100)
        budget.close()
        clock.offset -= 40 * DAY
        again = Budget(100, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert not again.allows(1)
        clock.now += 25 * HOUR
        assert again.allows(1)

    def test_a_night_without_power_counts(self, tmp_path: Path, clock: Clock) -> None:
        budget = Budget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(100)
        budget.close()
        clock.offset += 26 * HOUR
        again = Budget(100, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.allows(100)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"hours": [1], "into_hour": 0, "saved": 0}', "\x00\x00", "nul"])
    def test_a_damaged_count_is_taken_for_a_spent_day(self, tmp_path: Path, clock: Clock, text: str) -> None:
        (tmp_path / "b.json").write_text(text)
        budget = Budget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert not budget.allows(1)
        clock.now += 25 * HOUR
        assert budget.allows(100)

    def test_leftovers_of_a_save_are_removed(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "..budget.0123abcd.json").write_text("{")
        with spool(tmp_path, clock, daily=10**6):
            assert not (tmp_path / "..budget.0123abcd.json").exists()

    def test_the_spool_leaves_frames_out(
        self, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with spool(tmp_path, clock, daily=3 * 4096) as sink:
            feed(sink, clock, 10)
            assert (sink.stored, sink.over_budget) == (3, 7)
            clock.now += 25 * HOUR
            feed(sink, clock, 1)
            assert sink.stored == 4
        assert capsys.readouterr().err.count("budget") == 1


class TestTrouble:
    def test_a_full_disk_is_waited_for_and_the_run_goes_on(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The frame in hand is stored in the end; those that came meanwhile are counted."""
        full = [False]
        real = os.fsync

        def fsync(handle: int) -> None:
            if full[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        with spool(tmp_path, clock, twin=True, format="png") as sink:
            feed(sink, clock, 2)
            full[0] = True
            feed(sink, clock, 20)
            assert sink.stored == 2
            assert "No space left" in sink.report()["waiting"]
            assert all(len(names(tmp_path / name)) == 2 for name in names(tmp_path))
            full[0] = False
            clock.now += 61
            sink.status({})  # also while no frames come
            assert (sink.stored, sink.missed, sink.report()["waiting"]) == (3, 19, None)
            feed(sink, clock, 1)
        pairs = names(tmp_path)
        assert [int(name[:10]) for name in pairs] == [0, 1, 2, 3]
        np.testing.assert_array_equal(read_picture(tmp_path / pairs[2] / "noisy.png"), picture(16, 16, seed=2))
        assert not list(tmp_path.glob(".new-*"))
        said = capsys.readouterr().err
        assert said.count("No space left") == 1
        assert "19 frames were missed" in said

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
    def test_a_disk_that_is_really_full(self, tmp_path: Path, clock: Clock) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("no disk can be mounted here")
        try:
            others = disk / "of_others"
            with spool(disk / "spool", clock, twin=True) as sink:
                feed(sink, clock, 2)
                with pytest.raises(OSError, match="No space"):
                    _fill(others)
                feed(sink, clock, 5)
                assert (sink.stored, sink.missed) == (2, 4)
                kept = names(disk / "spool")
                others.unlink()
                clock.now += 61
                feed(sink, clock, 1)
                assert sink.stored == 4  # the one in hand and the new one
                assert names(disk / "spool")[:2] == kept  # nothing that was stored is given up for it
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_a_full_disk_when_it_ends_is_said_and_nothing_half_is_left(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink = spool(tmp_path, clock)
        sink.open()
        monkeypatch.setattr(os, "fsync", _full)
        feed(sink, clock, 1)
        sink.close()
        sink.close()
        assert sink.waiting is not None
        assert names(tmp_path) == []

    def test_a_power_cut_leaves_nothing_half(self, tmp_path: Path, clock: Clock) -> None:
        """As a killed process leaves it: a temporary folder, a pair that is whole, and one that was being removed."""
        (tmp_path / ".new-0011aabb").mkdir()
        (tmp_path / ".new-0011aabb" / "noisy.jpg").write_bytes(b"half")
        (tmp_path / ".new-22334455").write_bytes(b"half")
        with spool(tmp_path, clock) as sink:
            feed(sink, clock, 1)
            assert not list(tmp_path.glob(".new-*"))
            assert sink.report()["bytes"] == on_disk(tmp_path)

    @pytest.mark.parametrize("twin", [False, True], ids=["single", "pairs"])
    def test_kill_9_loses_nothing_that_was_acknowledged(self, tmp_path: Path, twin: bool) -> None:
        """Killed again and again while it writes without a pause: every entry is whole, every number that was told as
        stored is there or was evicted as the oldest, the account is right.
        """
        folder = tmp_path / "spool"
        limit = 40 * 4096
        told: set[int] = set()
        for round_ in range(4):
            process = subprocess.Popen(
                [sys.executable, str(SPOOLING), str(folder), str(limit), str(int(twin))], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            for _ in range(5 + 17 * round_):
                told.add(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            told |= {int(line) for line in process.communicate()[0].split(b"\n")[:-1]}
            there = names(folder)
            numbers = [int(name[:10]) for name in there]
            for name in there:
                files = sorted((folder / name).iterdir()) if twin else [folder / name]
                assert len(files) == (2 if twin else 1)
                levels = [int(read_picture(each)[0, 0, 0]) for each in files]
                assert levels == [int(name[:10]) % 256] * len(files)
            assert {number for number in told if number >= numbers[0]} <= set(numbers)
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            store = Store(folder, limit)
            store.open()
            assert store.size == on_disk(folder) <= limit
            assert not list(folder.glob(".new-*"))
            store.close()
        assert len(told) > 90

    def test_the_folder_belongs_to_one(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock), pytest.raises(UsageError, match="belongs to one process"):
            spool(tmp_path, clock).open()
        with spool(tmp_path, clock):
            pass

    def test_a_camera_that_comes_back_larger_stops_nothing(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, size=2 * 4096) as sink:
            feed(sink, clock, 1)
            feed(sink, clock, 1, image=picture(200, 200))
            feed(sink, clock, 1)
        assert (sink.stored, sink.missed) == (2, 1)


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in itertools.count():
            file.write(bytes(4096))


class TestUsage:
    def test_options(self) -> None:
        options = SpoolOptions.parse("/x/y,size=2GiB,daily=500MB,every=5,change=8,gap=2,twin=yes,format=png")
        assert options == SpoolOptions(Path("/x/y"), 2 << 30, 500_000_000, 5.0, 8.0, 2.0, True, "png")
        assert SpoolOptions.parse("/x").every == 60
        assert SpoolOptions.parse("/x,change=8").every is None
        sizes = {"4096": 4096, "1k": 1000, "1KiB": 1024, "1.5M": 1_500_000, "2gb": 2 * 10**9, "1TB": 10**12}
        assert {text: SpoolOptions.parse(f"/x,size={text}").size for text in sizes} == sizes

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "needs a folder"),
            ("/x,colour=red", "has the options"),
            ("/x,size=big", "size is a number of bytes"),
            ("/x,size=-1", "size is"),
            ("/x,size=nan", "size is"),
            ("/x,size=MB", "size is"),
            ("/x,every=0", "every is seconds"),
            ("/x,every=nan", "every is seconds"),
            ("/x,change=300", "change is steps"),
            ("/x,twin=perhaps", "twin is yes or no"),
            ("/x,format=webp", "format is jpg or png"),
        ],
    )
    def test_options_that_are_none(self, text: str, says: str) -> None:
        with pytest.raises(UsageError, match=says):
            open_sink(f"spool:{text}")

    @pytest.mark.parametrize("key", ["size", "daily"])
    def test_room_for_less_than_a_frame(self, tmp_path: Path, clock: Clock, key: str) -> None:
        with pytest.raises(UsageError, match=f"{key} must have room for one frame.*Remedy"):
            _small(tmp_path, clock, key).open()

    def test_room_for_less_than_a_frame_of_a_camera_that_does_not_tell_its_size(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        sink = SpoolSink(SpoolOptions(tmp_path, size=5000, every=1.0), None, clock, clock.wall)
        with sink, pytest.raises(UsageError, match="room for one frame"):
            sink.write(Frame(picture(100, 100), 0.0, 0), picture(100, 100))

    def test_a_folder_that_cannot_be_written_to(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="Cannot write"):
            spool(tmp_path / "file" / "spool", clock).open()

    def test_the_count_is_readable(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, daily=10**6) as sink:
            feed(sink, clock, 2)
        assert sum(json.loads((tmp_path / ".budget.json").read_text())["hours"]) == 2 * 4096


def _small(folder: Path, clock: Clock, key: str) -> SpoolSink:
    return SpoolSink(SpoolOptions(folder, **{key: 100_000}), (640, 480), clock, clock.wall)  # type: ignore[arg-type]


def test_what_is_not_kept_is_not_encoded(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    monkeypatch.setattr("edge.sinks.spool.encode_picture", lambda _, suffix: encoded.append(suffix) or b"x")
    with spool(tmp_path, clock, every=10.0, twin=True) as sink:
        feed(sink, clock, 25)
    assert encoded == [".jpg"] * 6

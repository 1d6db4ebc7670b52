"""The spool in trouble: a full disk, a kill, a missing folder, a camera that changes its size."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.sinks.spool.store import Store
from edge.sinks.spool.write_budget import WriteBudget
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture
from quietcam.errors import UsageError
from tests.edge.sinks.spool.spools import Clock, feed, names, on_disk, spool
from tests.small_models import picture

SPOOLING = Path(__file__).with_name("spooling.py")


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestTrouble:
    def test_a_full_disk_is_waited_for_and_the_run_goes_on(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The waiting frame is stored in the end; the frames that came meanwhile are counted."""
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
        said = caplog.text
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
                assert sink.stored == 4  # the waiting frame and the new one
                assert names(disk / "spool")[:2] == kept  # no stored frame is removed for it
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
        assert (sink.stored, sink.missed) == (0, 1)
        assert names(tmp_path) == []

    def test_a_power_cut_leaves_nothing_half(self, tmp_path: Path, clock: Clock) -> None:
        """A killed process leaves a temporary folder, a whole pair, and a pair that was being removed."""
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


def test_a_run_whose_frames_were_not_stored_has_failed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", _full)
    source = ["--source", "synthetic:size=64x48,rendered=2", "--model", str(small), "--no-ladder"]
    assert run(["run", *source, "--sink", f"spool:{tmp_path / 'spool'}", "--frames", "3"]) == 1
    assert "Every sink must take all frames to the end" in capsys.readouterr().err
    assert names(tmp_path / "spool") == []


def test_bytes_are_those_that_are_there_also_when_frames_are_fetched(tmp_path: Path, clock: Clock) -> None:
    with spool(tmp_path, clock, size=5 * 4096) as sink:
        feed(sink, clock, 4)
        for name in names(tmp_path)[:3]:
            (tmp_path / name).unlink()
        clock.now += 61
        sink.status({})
        assert sink.report()["bytes"] == on_disk(tmp_path) == 4096
        feed(sink, clock, 4)
        assert (sink.report()["bytes"], sink.report()["evicted"]) == (5 * 4096, 0)
        (tmp_path / "0000000099_2026-05-17T08-30-00.250Z.jpg").write_bytes(b"x")  # another user's
        clock.now += 61
        sink.status({})
        assert sink.report()["bytes"] == on_disk(tmp_path) == 5 * 4096
        feed(sink, clock, 1)
        assert names(tmp_path)[-1].startswith("0000000100_")


class TestFolderThatGoes:
    """The report is true: either frames are stored where the path leads, or ``waiting`` says why not."""

    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
    def test_frames_go_on(self, tmp_path: Path, clock: Clock, how: str) -> None:
        folder = tmp_path / "spool"
        with spool(folder, clock, daily=10**6) as sink:
            feed(sink, clock, 2)
            shutil.rmtree(folder) if how == "deleted" else folder.rename(tmp_path / "was")
            if how == "replaced":
                folder.mkdir()
            sink.status({})  # within a second, also while no frame comes
            assert (sink.waiting, sink.report()["bytes"], names(folder)) == (None, 0, [])
            with pytest.raises(UsageError, match="belongs to one process"):
                spool(folder, clock).open()
            feed(sink, clock, 2)
            assert (sink.stored, sink.missed, sink.waiting) == (4, 0, None)
            assert [int(name[:10]) for name in names(folder)] == [2, 3]
            # The day's budget moved along, and is on the disk.
            assert sum(json.loads((folder / ".budget.json").read_text())["hours"]) >= 4 * 4096

    @pytest.mark.parametrize("instead", ["a file", "a link", "a dangling link", "a pipe"])
    def test_a_path_that_is_not_a_folder_is_named_and_waited_for(
        self, tmp_path: Path, clock: Clock, instead: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "spool"
        with spool(folder, clock) as sink:
            feed(sink, clock, 2)
            folder.rename(tmp_path / "was")
            {
                "a file": lambda: folder.write_text("mine"),
                "a link": lambda: folder.symlink_to(tmp_path / "was"),
                "a dangling link": lambda: folder.symlink_to(tmp_path / "nothing"),
                "a pipe": lambda: os.mkfifo(folder),
            }[instead]()
            sink.status({})
            assert "Cannot write" in str(sink.report()["waiting"])
            feed(sink, clock, 4)
            clock.now += 100
            sink.status({})
            assert (sink.stored, sink.missed) == (2, 3)
            assert sink.waiting is not None
            assert sorted(path.name for path in tmp_path.iterdir()) == ["spool", "was"]
            assert len(names(tmp_path / "was")) == 2
            folder.unlink()
            clock.now += 100
            sink.status({})
            assert (sink.stored, sink.missed, sink.waiting, len(names(folder))) == (3, 3, None, 1)
        assert caplog.text.count("Cannot write") == 1

    def test_another_process_that_took_it_is_said(self, tmp_path: Path, clock: Clock) -> None:
        folder = tmp_path / "spool"
        with spool(folder, clock) as sink:
            feed(sink, clock, 1)
            shutil.rmtree(folder)
            with spool(folder, clock) as other:
                feed(sink, clock, 2)
                assert "belongs to one process" in sink.report()["waiting"]
                feed(other, clock, 1)
                assert len(names(folder)) == 1
            clock.now += 100
            sink.status({})
            assert (sink.stored, sink.missed, sink.waiting) == (2, 1, None)
            assert len(names(folder)) == 2

    def test_a_folder_that_goes_between_the_budget_and_the_frame(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The count must be in the folder before a frame is, and in no other one that got the number of its handle."""
        folder = tmp_path / "spool"
        with spool(folder, clock, daily=10**6) as sink:
            feed(sink, clock, 1)
            real = WriteBudget.allows

            def allows(budget: WriteBudget, size: int) -> bool:
                allowed = real(budget, size)
                shutil.rmtree(folder)
                return allowed

            with monkeypatch.context() as patch:
                patch.setattr(WriteBudget, "allows", allows)
                feed(sink, clock, 1)
            assert (sink.stored, "gone" in str(sink.waiting), folder.exists()) == (1, True, False)
            clock.now += 61
            sink.status({})
            assert (sink.stored, sink.missed, sink.waiting) == (2, 0, None)
            assert sum(json.loads((folder / ".budget.json").read_text())["hours"]) >= 2 * 4096

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
    @pytest.mark.parametrize("inside", [False, True], ids=["at the folder", "above it"])
    def test_a_disk_that_is_taken_away_is_waited_for_and_nothing_written_beneath(
        self, tmp_path: Path, clock: Clock, inside: bool
    ) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        folder = disk / "spool" if inside else disk
        _mount(disk)
        try:
            with spool(folder, clock, daily=10**6) as sink:
                feed(sink, clock, 2)
                subprocess.run(["umount", "-l", str(disk)], check=True)
                sink.status({})
                assert "disk is gone" in sink.report()["waiting"]
                feed(sink, clock, 3)
                assert (sink.stored, list(disk.iterdir())) == (2, [])
                _mount(disk)
                clock.now += 100
                sink.status({})
                assert (sink.stored, sink.missed, sink.waiting, len(names(folder))) == (3, 2, None, 1)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
    def test_a_disk_that_is_mounted_over_it_is_used(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path / "spool", clock) as sink:
            feed(sink, clock, 2)
            _mount(tmp_path / "spool")
            try:
                feed(sink, clock, 2)
                assert (sink.stored, sink.waiting) == (4, None)
                assert [int(name[:10]) for name in names(tmp_path / "spool")] == [2, 3]
            finally:
                subprocess.run(["umount", "-l", str(tmp_path / "spool")], check=True)

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
    def test_a_disk_that_turns_read_only(self, tmp_path: Path, clock: Clock) -> None:
        _mount(tmp_path)
        try:
            with spool(tmp_path / "spool", clock, size=2 * 4096, daily=10**6) as sink:
                feed(sink, clock, 3)
                subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
                feed(sink, clock, 3)
                assert (sink.stored, sink.missed, len(names(tmp_path / "spool"))) == (3, 2, 2)
                assert "Read-only" in str(sink.waiting)
                subprocess.run(["mount", "-o", "remount,rw", str(tmp_path)], check=True)
                clock.now += 100
                feed(sink, clock, 2)
                assert (sink.stored, sink.missed, sink.waiting) == (6, 2, None)
                assert on_disk(tmp_path / "spool") == sink.report()["bytes"] == 2 * 4096
        finally:
            subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def _mount(folder: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in itertools.count():
            file.write(bytes(4096))

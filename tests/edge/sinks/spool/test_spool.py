"""The spool: which frames it keeps, which it removes, and in which order."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sinks.spool.entries import allocated
from edge.sinks.spool.store import Store
from edge.sinks.spool.trigger import Trigger
from quietcam.data.pictures.files import read_picture
from tests.edge.sinks.spool.spools import DAY, HOUR, Clock, feed, names, on_disk, spool
from tests.small_models import picture


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
        """If not, the folder would outgrow its limit when the disk can be written to again."""

        def read_only(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        with spool(tmp_path, clock, size=3 * 4096) as sink:
            feed(sink, clock, 3)
            with monkeypatch.context() as patch:
                patch.setattr(os, "unlink", read_only)
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
        """Only within one run: a spool that is emptied and opened again may start at the first number."""
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
    def test_leftovers_of_a_save_are_removed(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "..budget.0123abcd.json").write_text("{")
        with spool(tmp_path, clock, daily=10**6):
            assert not (tmp_path / "..budget.0123abcd.json").exists()

    def test_the_spool_leaves_frames_out(self, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        with spool(tmp_path, clock, daily=3 * 4096) as sink:
            feed(sink, clock, 10)
            assert (sink.stored, sink.over_budget) == (3, 7)
            clock.now += 25 * HOUR
            feed(sink, clock, 1)
            assert sink.stored == 4
        assert caplog.text.count("budget") == 1


def test_what_is_not_kept_is_not_encoded(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    monkeypatch.setattr("edge.sinks.spool.sink.encode_picture", lambda _, suffix: encoded.append(suffix) or b"x")
    with spool(tmp_path, clock, every=10.0, twin=True) as sink:
        feed(sink, clock, 25)
    assert encoded == [".jpg"] * 6

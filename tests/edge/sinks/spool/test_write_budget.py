"""The daily write budget: no 24 hours exceed it, whatever happens to the clock, the power and the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sinks.spool.write_budget import WriteBudget
from quietcam.errors import StorageError
from tests.edge.sinks.spool.spools import DAY, HOUR, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestCount:
    def test_no_more_than_a_days_in_any_day(self, tmp_path: Path, clock: Clock) -> None:
        """Compared with all bytes that were written: no 24 hours have more than the limit."""
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
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
        budget = WriteBudget(1000, path, clock, clock.wall)
        budget.load()
        written: list[tuple[float, int]] = []
        for size, pause, cut in steps:
            if budget.allows(size):
                budget.wrote(size)
                written.append((clock.now, size))
            clock.now += pause
            if cut:  # without close: what is on the disk is all there is
                budget = WriteBudget(1000, path, clock, clock.wall)
                budget.load()
        for at, _ in written:
            assert sum(size for when, size in written if at <= when < at + DAY) <= 1000

    def test_a_clean_end_gives_back_what_was_set_aside(self, tmp_path: Path, clock: Clock) -> None:
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(3)
        budget.wrote(3)
        budget.close()
        again = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.spent == 3
        assert again.allows(997)
        again.wrote(997)
        assert not again.allows(1)

    def test_a_clock_that_went_back_while_it_was_off_gives_nothing(self, tmp_path: Path, clock: Clock) -> None:
        budget = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(100)
        budget.wrote(100)
        budget.close()
        clock.offset -= 40 * DAY
        again = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert not again.allows(1)
        clock.now += 25 * HOUR
        assert again.allows(1)

    def test_a_night_without_power_counts(self, tmp_path: Path, clock: Clock) -> None:
        budget = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(100)
        budget.close()
        clock.offset += 26 * HOUR
        again = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.allows(100)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"hours": [1], "into_hour": 0, "saved": 0}', "\x00\x00", "nul"])
    def test_a_damaged_count_is_taken_for_a_spent_day(self, tmp_path: Path, clock: Clock, text: str) -> None:
        (tmp_path / "b.json").write_text(text)
        budget = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert not budget.allows(1)
        clock.now += 25 * HOUR
        assert budget.allows(100)


class TestFile:
    @pytest.mark.parametrize(
        "text",
        [
            '{"hours": [Infinity], "into_hour": 0, "saved": 0}',
            json.dumps({"hours": [0] * 25, "into_hour": 0, "saved": 1e999}),
            json.dumps({"hours": [0] * 25, "into_hour": float("nan"), "saved": 0}),
            json.dumps({"hours": [0] * 24 + [-1], "into_hour": 0, "saved": 0}),
            json.dumps({"hours": [0.5] * 25, "into_hour": 0, "saved": 0}),
            json.dumps({"hours": [False] * 25, "into_hour": 0, "saved": 0}),
            json.dumps({"hours": ["0"] * 25, "into_hour": 0, "saved": 0}),
            json.dumps({"hours": {"0": 0}, "into_hour": 0, "saved": 0}),
            json.dumps({"hours": [0] * 25, "into_hour": "0", "saved": None}),
            '{"hours": [' + "0," * 24 + "1" + "0" * 5000 + '], "into_hour": 0, "saved": 0}',
            "[" * 100_000,
            '{"hours":' * 5000,
            '"' + "x" * 1_000_000 + '"',
            '{"hours": "\\ud800"}',
        ],
        ids=lambda text: text[:20],
    )
    def test_a_hostile_count_is_taken_for_a_spent_day(self, tmp_path: Path, clock: Clock, text: str) -> None:
        (tmp_path / "b.json").write_text(text)
        budget = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert (budget.spent, budget.allows(1)) == (100, False)
        clock.now += 25 * HOUR
        assert budget.allows(100)

    @pytest.mark.parametrize(
        "make",
        [
            lambda path: os.mkfifo(path),
            lambda path: path.symlink_to(path.with_name("other")),
            lambda path: path.symlink_to(path.with_name("nothing")),
            lambda path: path.mkdir(),
        ],
        ids=["pipe", "link", "dangling link", "folder"],
    )
    def test_a_path_that_is_not_a_regular_file_is_neither_read_nor_written(
        self, tmp_path: Path, clock: Clock, make: Callable[[Path], None]
    ) -> None:
        """It counts as a spent day; a count that could not be saved allows nothing, even once there is room again."""
        count = json.dumps({"hours": [0] * 25, "into_hour": 0, "saved": clock.wall()})
        (tmp_path / "other").write_text(count)
        make(tmp_path / "b.json")
        budget = WriteBudget(100, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert not budget.allows(1)
        clock.now += 25 * HOUR
        if (tmp_path / "b.json").is_symlink():
            assert budget.allows(100)
            assert not (tmp_path / "b.json").is_symlink()
        else:
            with pytest.raises(StorageError):
                budget.allows(100)
        assert (tmp_path / "other").read_text() == count
        assert not (tmp_path / "nothing").exists()

    def test_only_our_leftovers_are_removed(self, tmp_path: Path, clock: Clock) -> None:
        names = [".b.0123abcd.json", ".b.notours1.json", ".b.0123abcd.txt", "b.0123abcd.json"]
        for name in names:
            (tmp_path / name).write_text("{")
        WriteBudget(100, tmp_path / "b.json", clock, clock.wall).load()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


class TestSavedFirst:
    def test_a_count_that_could_not_be_saved_allows_nothing(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often it is asked; after a kill, the count has all bytes that were written."""
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(10)
        with monkeypatch.context() as patch:
            patch.setattr("edge.sinks.spool.write_budget.write_json", _full)
            for _ in range(3):
                with pytest.raises(StorageError):
                    budget.allows(90)
            assert budget.spent == 0
            assert budget.allows(10)  # set aside before
            budget.wrote(10)
        again = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.spent >= 10
        assert budget.allows(90)

    def test_bytes_that_nobody_set_aside_count_too(self, tmp_path: Path, clock: Clock) -> None:
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        budget.wrote(900)
        again = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert (budget.spent, again.spent, again.allows(101)) == (900, 900, False)

    def test_a_close_that_cannot_be_saved_gives_nothing_back(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load()
        assert budget.allows(300)
        budget.wrote(200)
        with monkeypatch.context() as patch:
            patch.setattr("edge.sinks.spool.write_budget.write_json", _full)
            with pytest.raises(StorageError):
                budget.close()
        again = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        again.load()
        assert again.spent == 300
        budget.close()
        again.load()
        assert again.spent == 200

    def test_kill_9_between_saving_and_writing(self, tmp_path: Path) -> None:
        """The process writes what it was allowed, and is killed: the saved count is never too low."""
        code = """
import os, sys
from pathlib import Path
from edge.sinks.spool.write_budget import WriteBudget
budget = WriteBudget(100_000, Path(sys.argv[1]) / "b.json")
budget.load()
out = open(Path(sys.argv[1]) / "out", "ab", 0)
while budget.allows(700):
    budget.wrote(out.write(bytes(700)))
    if out.tell() % 31_500 == 0:
        os.kill(os.getpid(), 9)
"""
        for _ in range(4):
            subprocess.run([sys.executable, "-c", code, tmp_path], check=False, cwd=Path(__file__).parents[4])
            written = (tmp_path / "out").stat().st_size
            assert written <= sum(json.loads((tmp_path / "b.json").read_text())["hours"]) <= 100_000


class TestMoved:
    def test_it_goes_along_to_another_folder(self, tmp_path: Path, clock: Clock) -> None:
        """Bytes that were written count in the new folder too, before more are written."""
        first, second = _held(tmp_path / "a"), _held(tmp_path / "b")
        budget = WriteBudget(1000, tmp_path / "a" / "b.json", clock, clock.wall)
        folders = [first]
        budget.load(lambda: folders[-1])
        assert budget.allows(600)
        budget.wrote(595)
        folders.append(second)
        budget.moved()
        assert (budget.spent, budget.allows(406)) == (595, False)
        assert budget.allows(1)
        assert sum(json.loads((tmp_path / "b" / "b.json").read_text())["hours"]) >= 595
        for folder in (first, second):
            os.close(folder)

    def test_a_count_that_is_there_is_not_forgotten(self, tmp_path: Path, clock: Clock) -> None:
        folder = _held(tmp_path / "a")
        there = WriteBudget(1000, tmp_path / "a" / "b.json", clock, clock.wall)
        there.load()
        assert there.allows(900)
        there.wrote(900)
        there.close()
        folders = [_held(tmp_path / "b"), folder]
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load(lambda: folders[0])
        budget.wrote(50)
        os.close(folders.pop(0))
        budget.moved()
        assert (budget.spent, budget.allows(101), budget.allows(100)) == (900, False, True)
        os.close(folder)

    def test_a_move_that_cannot_be_saved_allows_nothing(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders = [_held(tmp_path / "a"), _held(tmp_path / "b")]
        budget = WriteBudget(1000, tmp_path / "b.json", clock, clock.wall)
        budget.load(lambda: folders[0])
        assert budget.allows(10)
        budget.wrote(5)
        os.close(folders.pop(0))
        budget.moved()
        with monkeypatch.context() as patch:
            patch.setattr("edge.sinks.spool.write_budget.write_json", _full)
            for _ in range(2):
                with pytest.raises(StorageError):
                    budget.allows(1)
        assert budget.allows(1)
        os.close(folders[0])


def _held(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _full(*_: object) -> None:
    raise StorageError("full")

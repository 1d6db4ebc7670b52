"""The spool's folder when other users change it: files that they put there or remove."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sinks.spool.store import Store
from quietcam.errors import StorageError
from tests.edge.sinks.spool.spools import FILE, STAMP, names, opened

PAIR = {"noisy.jpg": b"x" * 100, "denoised.jpg": b"y" * 100}
LEFTOVER = ".new-0123abcd"


def _link(to: str) -> Callable[[Path, Path], None]:
    return lambda path, other: path.symlink_to(other / to if to else other)


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        there = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(there)


def _folder(*inside: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    def make(path: Path, other: Path) -> None:
        path.mkdir()
        (path / "noisy.jpg").write_bytes(b"x")
        for number, each in enumerate(inside):
            each(path / f"in_{number}", other)

    return make


FOREIGN = {
    "dangling link": _link("nothing"),
    "link to a file": _link("mine.txt"),
    "link to a folder": _link(""),
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": _socket,
    "folder with a link": _folder(_link("mine.txt")),
    "folder with a dangling link": _folder(_link("nothing")),
    "folder with a folder": _folder(lambda path, _: path.mkdir()),
    "folder with a pipe": _folder(lambda path, _: os.mkfifo(path)),
}


class TestForeign:
    @pytest.mark.parametrize("kind", FOREIGN)
    @pytest.mark.parametrize("name", [f"0000000003_{STAMP}.jpg", LEFTOVER])
    def test_what_is_no_file_of_ours_is_left_alone(self, tmp_path: Path, other: Path, kind: str, name: str) -> None:
        """At the start, and when the oldest must go."""
        folder = tmp_path / "spool"
        folder.mkdir()
        FOREIGN[kind](folder / name, other)
        before = _described(folder / name)
        store = opened(folder, 2)
        assert (store.entries, store.size) == ((), 0)
        for _ in range(5):
            store.add(FILE)
        assert (len(store.entries), store.size, store.evicted) == (2, 2 * 4096, 3)
        store.close()
        opened(folder, 1).close()
        assert _described(folder / name) == before
        assert (other / "mine.txt").read_text() == "mine"

    @pytest.mark.parametrize(
        "name",
        [
            f"9999999999_{STAMP}.jpg",
            f"9000000000_{STAMP}.jpg",
            f"٠٠٠٠٠٠٠٠٠١_{STAMP}.jpg",  # digits, but not ours
            f"0000000001_{STAMP}.jpg\n",
            f"0000000001_{STAMP}.JPG",
            "0000000001_\udcff.jpg",
        ],
    )
    def test_names_that_are_not_ours(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"mine")
        store = opened(tmp_path, 2)
        for number in range(4):
            assert store.add(FILE).name.startswith(f"{number:010d}_")
        store.close()
        again = opened(tmp_path, 2)
        assert [int(each.name[:10]) for each in again.entries] == [2, 3]
        assert again.add(FILE).name.startswith("0000000004_")
        again.close()
        assert (tmp_path / name).read_bytes() == b"mine"

    def test_a_high_number_does_not_use_up_the_numbers(self, tmp_path: Path) -> None:
        """The entry keeps its place in the order, with a low number."""
        for number in (3, 4, 8_999_999_998, 8_999_999_999):
            (tmp_path / f"{number:010d}_{STAMP}.jpg").write_bytes(str(number).encode())
        store = opened(tmp_path)
        assert [int(each.name[:10]) for each in store.entries] == [3, 4, 5, 6]
        assert [(tmp_path / each.name).read_bytes()[-1:] for each in store.entries] == [b"3", b"4", b"8", b"9"]
        assert store.add(FILE).name.startswith("0000000007_")
        store.close()

    def test_a_number_that_stands_twice(self, tmp_path: Path) -> None:
        for name in (f"0000000005_{STAMP}.jpg", f"0000000005_{STAMP}.png", f"0000000005_{STAMP}"):
            (tmp_path / name).write_bytes(b"x")
        store = opened(tmp_path, 3)
        assert (len(store.entries), store.size) == (3, 3 * 4096)
        assert store.add(FILE).name.startswith("0000000006_")
        assert (store.size, store.evicted) == (3 * 4096, 1)
        store.close()

    @pytest.mark.parametrize("files", [FILE, PAIR], ids=["file", "pair"])
    def test_what_has_the_next_name_is_not_replaced(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        store = opened(tmp_path)
        name = store.add(files).name
        taken = tmp_path / name.replace("0000000000", "0000000001")
        if files is FILE:
            taken.write_bytes(b"mine")
        else:
            taken.mkdir()
        with pytest.raises(StorageError):
            store.add(files)
        assert store.add(files).name == name.replace("0000000000", "0000000002")
        assert taken.is_dir() or taken.read_bytes() == b"mine"
        assert not list(tmp_path.glob(".new-*"))
        store.close()

    def test_a_pair_that_became_somebody_elses_is_left_alone(self, tmp_path: Path) -> None:
        store = opened(tmp_path / "spool", 3)
        first = tmp_path / "spool" / store.add(PAIR).name
        (first / "more").mkdir()
        (first / "more" / "notes").write_text("mine")
        for _ in range(2):
            store.add(PAIR)
        assert (first / "more" / "notes").read_text() == "mine"
        assert (first / "noisy.jpg").exists()
        assert store.size == 3 * 4096
        store.close()

    @pytest.mark.parametrize("files", [FILE, PAIR], ids=["file", "pair"])
    def test_what_may_not_be_on_the_disk_is_taken_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
    ) -> None:
        """The folder could not be synced: the frame is stored again, and must not exist twice."""
        store = opened(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(
                "edge.sinks.spool.store.sync_folder", lambda each: _fails() if each == store.descriptor else None
            )
            with pytest.raises(StorageError):
                store.add(files)
        assert (store.entries, store.size, list(tmp_path.iterdir())) == ((), 0, [])
        store.add(files)
        assert len(names(tmp_path)) == 1
        store.close()

    def test_what_is_being_written_is_no_leftover(self, tmp_path: Path) -> None:
        """Only at the start it is certain that nobody writes."""
        now = [0.0]
        store = Store(tmp_path, 10**6, lambda: 1.7e9, lambda: now[0])
        store.open()
        (tmp_path / LEFTOVER).write_bytes(b"half")
        now[0] = 100.0
        assert not store.ensure()
        assert (tmp_path / LEFTOVER).exists()
        assert (store.size, store.stuck) == (0, 0)
        store.close()
        store.open()
        assert not (tmp_path / LEFTOVER).exists()
        store.close()


class TestFetched:
    @pytest.mark.parametrize("files", [FILE, PAIR], ids=["files", "pairs"])
    def test_files_that_go_while_the_folder_is_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
    ) -> None:
        """A program that fetches: between the list of names and the look at each of them, it takes every second one."""
        store = opened(tmp_path)
        added = [store.add(files).name for _ in range(10)]
        store.close()
        real = os.stat

        def stat(path: Any, **options: Any) -> os.stat_result:
            if path in added[::2] and (tmp_path / path).exists():
                (tmp_path / path).rename(tmp_path / f"fetched_{path}")
            return real(path, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", stat)
            store = opened(tmp_path)
        assert [each.name for each in store.entries] == added[1::2]
        store.close()

    def test_a_start_while_all_is_moved_away(self, tmp_path: Path) -> None:
        away, folder = tmp_path / "away", tmp_path / "spool"
        away.mkdir()
        store = opened(folder)
        for each in range(120):
            store.add(PAIR if each % 2 else FILE)
        store.close()
        begin = threading.Barrier(2)

        def fetch() -> None:
            begin.wait()
            for path in sorted(folder.iterdir()):
                path.rename(away / path.name)

        fetching = threading.Thread(target=fetch)
        fetching.start()
        begin.wait()
        while fetching.is_alive():
            opened(folder).close()
        fetching.join()
        assert len(names(away)) == 120
        assert opened(folder).size == 0


class TestStuck:
    def test_one_that_cannot_be_removed_is_passed_over_and_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(tmp_path, 3)
        first = store.add(FILE).name
        with _immutable(monkeypatch, first):
            for _ in range(5):
                store.add(FILE)
            assert (store.stuck, len(store.entries), store.size) == (1, 3, 3 * 4096)
            assert first in names(tmp_path)
            assert store.evicted == 3
        for _ in range(2):
            store.add(FILE)
        assert (store.stuck, len(store.entries), store.size) == (0, 3, 3 * 4096)
        assert first not in names(tmp_path)
        store.close()

    def test_when_nothing_can_be_removed_it_says_so_and_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(tmp_path, 300)
        for _ in range(300):
            store.add(FILE)
        tried: list[str] = []
        with _immutable(monkeypatch, "", tried):
            with pytest.raises(StorageError, match="not permitted"):
                store.add(FILE)
            assert 0 < len(tried) <= 200
            assert store.size == 300 * 4096 == 4096 * len(names(tmp_path))
        store.add(FILE)
        assert (store.size, len(store.entries)) == (300 * 4096, 300)
        store.close()

    def test_a_start_above_the_bound_when_nothing_can_be_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(tmp_path)
        for _ in range(4):
            store.add(FILE)
        store.close()
        with _immutable(monkeypatch, ""):
            store = opened(tmp_path, 2)
            assert store.size == 4 * 4096
            with pytest.raises(StorageError, match="not permitted"):
                store.add(FILE)
        store.add(FILE)
        assert store.size == 2 * 4096
        store.close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a file immutable")
    def test_a_file_that_is_really_immutable(self, tmp_path: Path) -> None:
        store = opened(tmp_path, 2)
        first = tmp_path / store.add(FILE).name
        if subprocess.run(["chattr", "+i", first], capture_output=True, check=False).returncode:
            pytest.skip("this file system has no immutable files")
        try:
            for _ in range(4):
                store.add(FILE)
            assert (store.stuck, store.size, first.exists()) == (1, 2 * 4096, True)
        finally:
            subprocess.run(["chattr", "-i", first], check=True)
        for _ in range(2):
            store.add(FILE)
        assert (store.stuck, store.size, first.exists()) == (0, 2 * 4096, False)
        store.close()


def _fails() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _described(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    inside = sorted(each.name for each in path.iterdir()) if path.is_dir() and not path.is_symlink() else []
    return found.st_ino, found.st_mode, inside


@contextlib.contextmanager
def _immutable(monkeypatch: pytest.MonkeyPatch, name: str, tried: list[str] | None = None) -> Iterator[None]:
    """Within the block no file ``name`` can be removed; or no entry."""
    real = os.unlink

    def unlink(path: Any, **options: Any) -> None:
        if Path(path).name.startswith(name or "0"):
            if tried is not None:
                tried.append(path)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        yield

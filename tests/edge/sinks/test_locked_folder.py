"""A locked folder that is deleted, moved, replaced, locked by another process, or reached through a link."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quietcam.errors import StorageError, UsageError
from tests.edge.sinks.spool.spools import FILE, STAMP, names, opened


class TestGone:
    def test_a_deleted_folder_is_made_again_and_locked(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "spool"
        store = opened(folder)
        store.add(FILE)
        shutil.rmtree(folder.parent)
        assert store.ensure()
        assert not store.ensure()
        assert (store.entries, store.size) == ((), 0)
        assert store.add(FILE).name[:10] == "0000000001"  # numbers continue
        assert len(names(folder)) == 1
        with pytest.raises(UsageError, match="belongs to one process"):
            opened(folder)
        store.close()

    @pytest.mark.parametrize("moved", [True, False], ids=["moved", "deleted"])
    def test_a_folder_in_its_place_is_taken_with_what_is_in_it(self, tmp_path: Path, moved: bool) -> None:
        folder = tmp_path / "spool"
        store = opened(folder, 3)
        store.add(FILE)
        folder.rename(tmp_path / "was") if moved else shutil.rmtree(folder)
        folder.mkdir()
        for number in range(7, 9):
            (folder / f"{number:010d}_{STAMP}.jpg").write_bytes(b"x")
        with pytest.raises(StorageError, match="gone"):
            store.add(FILE)
        assert store.ensure()
        assert store.add(FILE).name[:10] == "0000000009"
        assert ([int(each.name[:10]) for each in store.entries], store.size) == ([7, 8, 9], 3 * 4096)
        assert not moved or len(names(tmp_path / "was")) == 1
        store.close()

    def test_a_folder_that_another_process_took_meanwhile_is_not_shared(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        store = opened(folder)
        store.add(FILE)
        shutil.rmtree(folder)
        second = opened(folder)
        for _ in range(2):
            with pytest.raises(StorageError, match="belongs to one process"):
                store.ensure()
            with pytest.raises(StorageError, match="gone"):
                store.add(FILE)
        assert names(folder) == []
        second.add(FILE)
        second.close()
        assert store.ensure()
        assert store.add(FILE).name[:10] == "0000000001"
        store.close()

    def test_nothing_is_shared_however_the_lock_is_tampered_with(self, tmp_path: Path) -> None:
        """Any user who may write in the folder can delete a lock file; so the folder itself is the lock."""
        store = opened(tmp_path)
        for path in tmp_path.iterdir():
            path.unlink()
        open_it = "import sys; from pathlib import Path; from edge.sinks.spool.store import Store; "
        open_it += "Store(Path(sys.argv[1]), 9999).open()"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        done = subprocess.run(
            [sys.executable, "-c", open_it, tmp_path], capture_output=True, text=True, check=False, env=environment
        )
        assert "belongs to one process" in done.stderr
        store.close()

    def test_a_folder_that_is_replaced_before_it_is_locked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "spool"
        real, times = fcntl.flock, [0]

        def flock(handle: int, how: int) -> None:
            real(handle, how)
            times[0] += 1
            if times[0] < 4:
                folder.rename(tmp_path / f"was_{times[0]}")

        monkeypatch.setattr(fcntl, "flock", flock)
        store = opened(folder)
        store.add(FILE)
        assert len(names(folder)) == 1
        store.close()

    def test_a_link_is_followed_at_the_start_and_never_again(self, tmp_path: Path, other: Path) -> None:
        real, link = tmp_path / "real", tmp_path / "spool"
        real.mkdir()
        link.symlink_to(real)
        store = opened(link)
        store.add(FILE)
        assert len(names(real)) == 1
        real.rename(tmp_path / "was")
        real.symlink_to(other)  # by somebody who may write beside it
        with pytest.raises(StorageError):
            store.ensure()
        with pytest.raises(StorageError):
            store.add(FILE)
        assert names(other) == ["mine.txt"]
        real.unlink()
        assert store.ensure()
        store.add(FILE)
        assert len(names(real)) == 1
        store.close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a link away")
    def test_a_link_of_another_user_is_not_followed(self, tmp_path: Path, other: Path) -> None:
        link = tmp_path / "spool"
        link.symlink_to(other)
        os.lchown(link, 12345, 12345)
        with pytest.raises(StorageError, match="another user"):
            opened(link)
        assert names(other) == ["mine.txt"]

    def test_a_link_to_nothing_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "spool").symlink_to(tmp_path / "nothing")
        with pytest.raises(StorageError, match="link"):
            opened(tmp_path / "spool")
        assert not (tmp_path / "nothing").exists()

"""Files are there whole or not at all: on a full disk, on Ctrl-C, on any error."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from quietcam.atomic import atomic_path, make_folder, write_bytes, write_json, write_text
from quietcam.errors import StorageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there(tmp_path):
    write_bytes(tmp_path / "new" / "a.bin", b"\0\1")
    write_text(tmp_path / "b.txt", "grün\n")
    write_json(tmp_path / "c.json", {"x": [1, 2.5, None]})
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "b.txt").read_bytes() == "grün\n".encode()
    assert json.loads((tmp_path / "c.json").read_text()) == {"x": [1, 2.5, None]}
    assert names(tmp_path) == ["b.txt", "c.json", "new"]


def test_temporary_name_keeps_suffix_and_folder(tmp_path):
    with atomic_path(tmp_path / "clip.webm") as temporary:
        assert temporary.suffix == ".webm"
        assert temporary.parent == tmp_path
        assert temporary.name != "clip.webm"
        temporary.write_bytes(b"x")
        assert not (tmp_path / "clip.webm").exists()
    assert names(tmp_path) == ["clip.webm"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "atomic", b"")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_longest_possible_name(tmp_path):
    name = "n" * 251 + ".txt"
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


def test_full_disk_while_writing(tmp_path):
    def fills():
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=r"Cannot write .*a.bin: No space left on device. Remedy: free some space"):
        fills()
    assert names(tmp_path) == []


def test_a_write_that_the_kernel_cuts_leaves_nothing(tmp_path):
    # The kernel's limit on the size of a file stops a write in the middle, just as a full disk does.
    code = (
        "import resource, sys; from pathlib import Path; from quietcam.atomic import write_bytes;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "write_bytes(Path(sys.argv[1]), bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.bin"], capture_output=True, text=True, check=False)
    assert "StorageError: Cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="choose another place"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(StorageError, match="Is a directory"):
        write_text(tmp_path / "folder", "x")
    with pytest.raises(StorageError, match="Is a directory"):
        write_text(Path(), "x")
    with pytest.raises(StorageError, match="Not a directory"):
        make_folder(tmp_path / "file")
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_without_permission(tmp_path, monkeypatch):
    # By the answer of the system call, since root may write anywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match=r"Permission denied\. Remedy: make it writable"):
        make_folder(tmp_path / "a")


def test_a_folder_on_a_read_only_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(StorageError, match=r"Read-only file system\. Remedy: choose another place"):
        make_folder(tmp_path / "a")


def test_make_folder_twice(tmp_path):
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == make_folder(folder) == folder
    assert folder.is_dir()

"""Files are written whole or not at all: on a full disk, after Ctrl-C, after any error."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from quietcam.errors import StorageError
from quietcam.files.atomic import Draft, atomic_path, make_folder, write_bytes, write_json, write_new, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_has_its_content(tmp_path):
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


def test_a_write_that_fails_halfway_leaves_nothing(tmp_path):
    # The kernel's limit on the size of a file stops a write in the middle, just as a full disk does.
    code = (
        "import resource, sys; from pathlib import Path; from quietcam.files.atomic import write_bytes;"
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


@pytest.mark.parametrize(
    "name", ["\U0001f4f7" * 62 + ".txt", "é" * 120, "a." + "b" * 250], ids=["4 bytes", "2", "suffix"]
)
def test_long_names_in_any_letters(tmp_path, name):
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("write", [write_text, lambda path, text: _by_path(path, text)], ids=["bytes", "path"])
def test_only_files_are_replaced(tmp_path, write):
    """The pipe is an example of a device: for root, ``--json /dev/null`` would replace the device by a file."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(StorageError, match="not a file"):
            write(path, "x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.parametrize("there", [True, False], ids=["link to a file", "dangling"])
def test_a_link_is_replaced_and_never_followed(tmp_path, there):
    other = tmp_path / "other"
    if there:
        other.write_text("mine")
    (tmp_path / "a.txt").symlink_to(other)
    write_text(tmp_path / "a.txt", "x")
    assert not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "a.txt").read_text() == "x"
    assert other.exists() == there
    assert not there or other.read_text() == "mine"


@pytest.mark.parametrize("kind", ["link", "pipe", "nothing"])
def test_a_temporary_path_that_is_no_file_any_more_never_gets_the_final_name(tmp_path, kind):
    path, other = tmp_path / "a.txt", tmp_path / "other"
    other.write_text("mine")

    def swapped():
        with atomic_path(path) as temporary:
            temporary.unlink()
            if kind == "link":
                temporary.symlink_to(other)
            elif kind == "pipe":
                os.mkfifo(temporary)

    with pytest.raises(StorageError):
        swapped()
    assert names(tmp_path) == ["other"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "x")
        _by_path(tmp_path / "b", "x")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666 & ~mask}


@pytest.mark.parametrize(("number", "raised"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)])
def test_a_disk_that_fails_to_sync_a_folder_is_an_error(tmp_path, monkeypatch, number, raised):
    """A file system that cannot sync folders is no error."""
    real = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for write in (write_text, _by_path):
        if raised:
            with pytest.raises(StorageError, match=os.strerror(number)):
                write(tmp_path / "a.txt", "x")
        else:
            write(tmp_path / "a.txt", "x")


def test_with_a_folder_descriptor_only_the_name_of_the_path_counts(tmp_path):
    """The folder is moved and replaced by another: the file is written to the folder of the descriptor."""
    (tmp_path / "held").mkdir()
    handle = os.open(tmp_path / "held", os.O_RDONLY)
    (tmp_path / "held").rename(tmp_path / "moved")
    (tmp_path / "held").mkdir()
    try:
        write_json(tmp_path / "held" / "c.json", {"x": 1}, handle)
    finally:
        os.close(handle)
    assert names(tmp_path / "held") == []
    assert json.loads((tmp_path / "moved" / "c.json").read_text()) == {"x": 1}


def test_a_disk_that_writes_parts_gets_all_of_them(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:7]))
    write_bytes(tmp_path / "a.bin", bytes(range(100)))
    assert (tmp_path / "a.bin").read_bytes() == bytes(range(100))


def _by_path(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_new_file_does_not_replace_anything(tmp_path, kind):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    path = tmp_path / "new"
    if kind == "file":
        path.write_bytes(b"mine")
    else:
        path.symlink_to(other if kind == "link" else "nothing")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            write_new(folder, "new", b"x")
    finally:
        os.close(folder)
    assert (names(tmp_path), other.read_bytes()) == (["new", "other"], b"mine")
    assert kind != "file" or path.read_bytes() == b"mine"


def test_a_draft_that_may_not_replace_a_file_can_be_kept_under_another_name(tmp_path):
    (tmp_path / "a").write_bytes(b"mine")
    draft = Draft(tmp_path / "a")
    draft.temporary.write_bytes(b"x")
    with pytest.raises(FileExistsError):
        draft.keep(replace=False)
    draft.keep(tmp_path / "b", replace=False)
    assert names(tmp_path) == ["a", "b"]
    draft.drop()
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"mine", b"x")

"""The lock of a run directory: an old run is kept until the new one has begun, and a failed run leaves nothing."""

import subprocess
import sys

import pytest

from quietcam.errors import UsageError
from train.run_directory.lock import check_free, run_lock


@pytest.fixture
def old(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "train.npz").write_text("state")
    (run / "model.keras").write_text("old")
    (run / "notes.txt").write_text("somebody's own")
    return run


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def work(run, *files, **how):
    """A run that writes these files and fails."""
    with run_lock(run, **how):
        for name in files:
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text("new")
        raise ZeroDivisionError


def test_what_is_overwritten_comes_back_when_the_new_run_fails(old):
    before = content(old)
    with pytest.raises(ZeroDivisionError):
        work(old, "config.toml", overwrite=True)
    assert content(old) == before


def test_what_is_overwritten_goes_once_there_is_a_state(old):
    with pytest.raises(ZeroDivisionError):
        work(old, "checkpoints/train.npz", overwrite=True)
    assert content(old) == {"checkpoints/train.npz": "new", "notes.txt": "somebody's own"}


@pytest.mark.parametrize("has_begun", [True, False])
def test_after_a_kill_the_next_process_puts_it_in_order(old, has_begun):
    before = content(old)
    files = ["config.toml", "model.keras"][: 1 + has_begun]
    killed = (
        "import os, sys, pathlib\n"
        "from train.run_directory.lock import run_lock\n"
        "run = pathlib.Path(sys.argv[1])\n"
        "lock = run_lock(run, overwrite=True)\n"
        "lock.__enter__()\n"
        "[(run / name).write_text('new') for name in sys.argv[2:]]\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", killed, old, *files], check=False).returncode == 9
    assert not (old / "checkpoints").exists()
    with run_lock(old, resume=True):
        found = content(old)
    assert found == (dict.fromkeys(files, "new") | {"notes.txt": "somebody's own"} if has_begun else before)


@pytest.mark.parametrize("name", ["checkpoints", "model.keras", ".replaced"])
def test_what_a_link_leads_to_is_never_deleted(old, tmp_path, name):
    """For example checkpoints on a larger disk. Only the link belongs to the run."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "state").write_text("somebody's own")
    (old / "model.keras").unlink()
    if name == "checkpoints":
        (old / "checkpoints" / "train.npz").unlink()
        (old / "checkpoints").rmdir()
    (old / name).symlink_to(other)
    with pytest.raises(ZeroDivisionError):
        work(old, "config.toml", overwrite=True)
    with run_lock(old, overwrite=True):
        (old / "model.keras").write_text("new")
    assert content(other) == {"state": "somebody's own"}
    assert content(old) == {"model.keras": "new", "notes.txt": "somebody's own"}


def test_a_run_that_kept_nothing_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        work(tmp_path / "new", "config.toml")
    assert not (tmp_path / "new").exists()


def test_a_config_of_the_users_own_is_not_written_over(tmp_path):
    (tmp_path / "config.toml").write_text("mine")
    with (
        pytest.raises(UsageError, match=r"which has config\.toml\. Remedy: `overwrite` deletes it"),
        run_lock(tmp_path),
    ):
        pass
    assert content(tmp_path) == {"config.toml": "mine"}


def test_a_run_does_not_take_the_folder_of_one_that_it_reads(old, tmp_path):
    with pytest.raises(UsageError, match="must not be written to a folder that it reads from"):
        check_free(tmp_path / "other" / ".." / "run", reads=[old], overwrite=True)
    check_free(tmp_path / "other", reads=[old])

"""Packing that is killed anywhere, on a full disk, over links, in little memory: it continues where it stopped."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from quietcam.app import cli
from quietcam.data.packed.pack import pack
from quietcam.errors import StorageError
from tests.processes import measure_quietcam
from tests.quietcam.data.packed.packing import SIDD, content
from tests.waiting import until


def written(folder):
    """Names and sizes of the files below a folder that something may be writing into."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found


def drive(data, out, *, calls=False, kills=0, seed=0):
    """Pack in children of a process that kills them; how many it has killed."""
    mode = {"calls": calls, "kills": kills, "seed": seed}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killing.py")), str(data), str(out), json.dumps(mode)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_killed_at_every_call_that_touches_the_disk(few, tmp_path):
    broken = few / "clean" / f"{SIDD.format(2, 2)}.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert drive(few, tmp_path / "whole") == 0
    expected = content(tmp_path / "whole")
    assert sorted(expected) == ["complete.json", "index.jsonl", "pack.json", *(f"shard_0000{i}.u8" for i in range(3))]
    killed = drive(few, tmp_path / "parts", calls=True)
    assert killed > 100
    for folder in (tmp_path / "parts").iterdir():
        assert content(folder) == expected, folder.name


def test_killed_at_random_times(pictures, tmp_path):
    seed = random.randrange(1 << 30)
    drive(pictures, tmp_path / "whole")
    drive(pictures, tmp_path / "parts", kills=40, seed=seed)
    assert content(tmp_path / "parts") == content(tmp_path / "whole"), seed


def test_the_command_killed_and_resumed(pictures, tmp_path):
    command = [sys.executable, "-m", "quietcam", "data", "pack", str(pictures), "--patch", "16", "--out"]
    done = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = tmp_path / "parts"
    for _ in range(4):
        before = written(parts)
        with subprocess.Popen([*command, str(parts)], stderr=subprocess.DEVNULL) as process:
            until(lambda before=before, process=process: written(parts) != before or process.poll() is not None)
            process.send_signal(signal.SIGKILL)
    done = subprocess.run([*command, str(tmp_path / "parts")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("needs to be root and allowed to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_leaves_a_set_that_can_be_resumed(dataset, tmp_path, small_disk, capfd):
    big = dataset({SIDD.format(i, 1 + i // 3): i for i in range(1, 7)}, height=256, width=256)
    whole = tmp_path / "whole"
    assert cli.run(["data", "pack", str(big), "--out", str(whole), "--patch", "32"]) == 0
    capfd.readouterr()
    assert cli.run(["data", "pack", str(big), "--out", str(small_disk / "set"), "--patch", "32"]) == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("quietcam: ")]
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert "run the same command again" in said[0]
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert cli.run(["data", "pack", str(big), "--out", str(small_disk / "set"), "--patch", "32"]) == 0
    assert content(small_disk / "set") == content(whole)


def test_a_disk_that_fills_at_any_write(pictures, tmp_path, monkeypatch):
    """The same with a stand-in, if mounting is not permitted: each write in turn finds the disk full."""
    from quietcam.data.packed import format as shard_format
    from quietcam.data.packed import writer as shard_writer

    monkeypatch.setattr(shard_format, "_SHARD_BYTES", 5 * 2 * 16 * 16 * 3)
    monkeypatch.setattr(shard_writer, "_PENDING_BYTES", 7 * 2 * 16 * 16 * 3)
    pack(pictures, tmp_path / "whole", patch=16)
    real, room = os.pwrite, 0

    def full(descriptor, pixels, offset):
        nonlocal room
        if room <= 0:
            raise OSError(28, os.strerror(28))
        written = real(descriptor, pixels[:room], offset)
        room -= written
        return written

    monkeypatch.setattr(os, "pwrite", full)
    tries = 0
    while True:
        room = 15_000
        try:
            pack(pictures, tmp_path / "packed", patch=16)
            break
        except StorageError as error:
            assert "No space left" in str(error)  # noqa: PT017
            tries += 1
    assert tries > 5
    assert content(tmp_path / "packed") == content(tmp_path / "whole")


@pytest.mark.slow
def test_full_size_frames_take_less_than_1_gib(tmp_path):
    """SIDD's own size, four pairs, so that look-ahead and commits are in it: peak of the real command."""
    rows, columns = np.mgrid[:3000, :5328]
    frame = ((rows * 7 + columns * 3) % 251).astype(np.uint8)
    frame = np.stack([frame, frame // 2, 255 - frame], -1)
    noise = np.random.default_rng(0).integers(0, 9, frame.shape, np.uint8)
    sides = (("NOISY", frame // 2 + noise), ("GT", frame // 2))
    encoded = {
        name: cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes() for name, pixels in sides
    }
    for number in range(1, 5):
        for name, coded in encoded.items():
            folder = tmp_path / "Data" / SIDD.format(number, number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}_SRGB_010.PNG").write_bytes(coded)
    said, peak = measure_quietcam("data", "pack", tmp_path / "Data", "--out", tmp_path / "packed")
    assert f"{4 * 220} patches" in said
    assert peak < 1024, f"{peak:.0f} MiB"


@pytest.mark.parametrize("name", ["shard_00000.u8", "index.jsonl"])
def test_the_target_of_a_link_is_neither_written_nor_cut(dataset, tmp_path, name):
    """Resumed after a kill, with a link in the place of a file."""
    few = dataset({f"{i:04d}_{i:03d}_S6_00100_00060_3200_L": i for i in range(1, 4)}, height=40, width=50)
    packed, other = tmp_path / "packed", tmp_path / "other"
    pack(few, packed, patch=16)
    (packed / "complete.json").unlink()
    index = (packed / "index.jsonl").read_bytes()
    (packed / "index.jsonl").write_bytes(index[: index.index(b"\n") + 1] + b"half a line")
    (packed / name).rename(other)
    (packed / name).symlink_to(other)
    before = other.read_bytes()
    with pytest.raises(StorageError):
        pack(few, packed, patch=16)
    assert other.read_bytes() == before

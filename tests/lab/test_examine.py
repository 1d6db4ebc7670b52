"""What is read of a disk after a power cut: real file systems, pictures, videos and bundles, whole and torn."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.update.slots.state import Installed
from edge.update.slots.store import Store
from lab.device.examine import Disk, open_disk, read_pictures, read_update, read_videos
from lab.errors import LabError
from lab.tools import find
from tests.edge.update.bundles import make_bundle
from tests.small_models import MODELS, with_manifest

NAME = "{:010d}_2026-05-17T08-30-00.250Z"


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def clip(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            pixels = np.full((48, 64, 3), number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))


@pytest.mark.skipif(not (find("mke2fs") and find("debugfs")), reason="needs e2fsprogs, which Debian has")
def test_a_disk_is_checked_and_read_without_a_mount(tmp_path: Path) -> None:
    (tmp_path / "root/var/spool").mkdir(parents=True)
    (tmp_path / "root/var/spool" / "a.txt").write_text("here")
    words = [str(find("mke2fs")), "-q", "-t", "ext4", "-d", str(tmp_path / "root"), str(tmp_path / "disk"), "8M"]
    subprocess.run(words, check=True)
    checked = subprocess.run([str(find("e2fsck")), "-fp", str(tmp_path / "disk")], capture_output=True, check=False)
    assert checked.returncode == 0
    disk = Disk(tmp_path / "disk", "")
    assert (disk.fetch("/var/spool", tmp_path / "out") / "a.txt").read_text() == "here"
    assert list(disk.fetch("/var/nothing", tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not (find("qemu-img") and find("mke2fs")), reason="needs qemu-utils and e2fsprogs, as the lab does")
def test_a_file_system_that_needs_a_person_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    subprocess.run([str(find("mke2fs")), "-q", "-t", "ext4", str(disk), "8M"], check=True)
    (tmp_path / "copy").mkdir()
    assert open_disk(disk, tmp_path / "copy").faults == ""
    with disk.open("r+b") as file:  # the inodes of the root folder and its kin
        file.seek(40 << 10)
        file.write(b"\xa5" * (500 << 10))
    assert open_disk(disk, tmp_path / "copy").faults
    with pytest.raises(LabError, match="qemu-img cannot read"):
        open_disk(tmp_path / "missing", tmp_path / "copy")


def test_pictures_decode_or_are_named(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{NAME.format(number)}.jpg").write_bytes(picture(number))
    (tmp_path / f"{NAME.format(3)}_untouched.jpg").write_bytes(picture(3))
    (tmp_path / ".budget.json").write_text("{}")
    good = read_pictures(tmp_path)
    assert (good.frames, good.faults, good.following) == ({0: 1, 1: 1, 2: 1, 3: 1}, (), 4)
    assert good.since(2) == 2
    (tmp_path / f"{NAME.format(4)}.jpg").write_bytes(picture(4)[:-100])
    (tmp_path / f"{NAME.format(5)}.jpg").write_bytes(b"")
    torn = read_pictures(tmp_path)
    assert [each.split("_")[0] for each in torn.faults] == ["0000000004", "0000000005"]
    assert (torn.since(0), torn.following) == (4, 4)


def test_videos_decode_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME.format(7)}.mp4"
    clip(path, 12)
    found = read_videos(tmp_path)
    assert (found.frames, found.faults) == ({7: 12}, ())
    assert list(found.hashes) == [path.name]
    growing = tmp_path / f"{NAME.format(8)}_recording.mp4"
    growing.write_bytes(b"")
    found = read_videos(tmp_path)
    assert (found.frames, found.faults, found.following) == ({7: 12, 8: 0}, (), 8)
    assert list(found.hashes) == [path.name]
    cut = tmp_path / f"{NAME.format(9)}_cut.mp4"
    cut.write_bytes(path.read_bytes()[:300])
    assert read_videos(tmp_path).faults[0].startswith(cut.name)


def test_a_bundle_in_use_is_whole_or_its_fault_is_named(tmp_path: Path) -> None:
    from edge.update.bundle import read_bundle

    model = with_manifest(MODELS, tmp_path, "small_32x32_int8")
    store = Store(tmp_path / "update")
    with store.updating() as staging:
        bundle = read_bundle(make_bundle(staging / "bundle", model))
        installed = Installed.of(bundle)
        store.fill_slot(bundle.folder, installed)
        store.change(lambda state: state.install(installed, None, 12.5))
    found = read_update(store.folder)
    assert (found.version, found.history, found.faults) == ("small-1", ((12.5, "installed", "small-1"),), ())
    part = store.slot(installed.slot) / "models/small_32x32_int8.tflite"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"x")
    assert read_update(store.folder).faults == (f"{installed.slot}/models/{part.name} is not what was signed",)
    part.write_bytes(content)
    described = store.slot(installed.slot) / "bundle.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "made_with": {}}))
    assert "another one" in read_update(store.folder).faults[0]
    shutil.rmtree(store.slot(installed.slot))
    assert "FileNotFoundError" in read_update(store.folder).faults[0]
    (store.folder / "state.json").write_bytes(b"{")
    assert "state.json" in read_update(store.folder).faults[0]
    store.folder.joinpath("state.json").write_text(json.dumps({"current": "factory", "history": []}))
    assert read_update(store.folder) == type(found)("factory")

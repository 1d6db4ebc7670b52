"""The spool on a disk that fails at any one system call, once or for good: nothing acknowledged is lost, nothing
half is seen, the account is the disk's, and it goes on when the disk does.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from edge.run.frame import Frame
from edge.sinks.spool.entries import allocated
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.sinks.spool.store import Store
from quietcam.data.pictures.files import read_picture
from quietcam.errors import StorageError
from tests.edge.faulty import Disk
from tests.small_models import picture

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)  # full or over quota, broken or read-only, not permitted
ROOM = 3  # entries


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(folder: Path, clock: Clock, twin: bool) -> SpoolSink:
    entry = 3 * 4096 if twin else 4096
    options = SpoolOptions(folder, ROOM * entry, daily=1000 * entry, every=1.0, twin=twin, format="png")
    sink = SpoolSink(options, (16, 16), clock, lambda: 1.7e9 + clock.now)
    sink.open()
    return sink


def feed(sink: SpoolSink, clock: Clock) -> None:
    clock.now += 1
    image = picture(16, 16, seed=sink.frames)
    sink.write(Frame(image, clock.now, sink.frames), 255 - image)


def there(folder: Path) -> dict[int, int]:
    """Bytes by the number of each entry that is seen; all are whole."""
    found = {}
    for path in folder.iterdir():
        if not path.name.startswith("."):
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            assert not path.is_dir() or [each.name for each in files] == ["denoised.png", "noisy.png"]
            for each in files:
                assert read_picture(each).shape == (16, 16, 3)
            found[int(path.name[:10])] = allocated({each.name: each.stat().st_size for each in files})
    return found


def hidden(folder: Path) -> int:
    """Bytes of leftovers."""
    return sum(len(list(path.iterdir())) + 1 if path.is_dir() else 1 for path in folder.glob(".new-*")) * 4096


def spent(folder: Path) -> int:
    return sum(json.loads((folder / ".budget.json").read_text())["hours"])


def check(sink: SpoolSink, folder: Path, wrote: int) -> None:
    seen = there(folder)
    # A leftover that the disk may keep is counted with its intended size, and is removed when the disk allows it.
    assert sum(seen.values()) + hidden(folder) <= sink.report()["bytes"] <= sink.options.size
    assert sink.report()["stuck"] or sink.report()["bytes"] == sum(seen.values())
    assert spent(folder) >= wrote


@pytest.mark.parametrize("twin", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_any_call_may_fail_while_a_frame_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin: bool, for_good: bool
) -> None:
    disk = Disk(monkeypatch)
    number = calls = 0
    while number <= calls:  # the first pass fails no call, and counts them
        for error in ERRORS if number else (0,):
            clock, folder = Clock(), tmp_path / f"{number}_{error}"
            sink = opened(folder, clock, twin)
            entry = sink.options.size // ROOM
            for _ in range(ROOM):
                feed(sink, clock)
            clock.now += 61  # all entries are looked at, too
            with disk.failing(number - 1, error, for_good):
                feed(sink, clock)
            if not number:
                calls = len(disk.calls)
                assert {"open", "write", "rename", "unlink", "stat"} <= set(disk.calls)
            check(sink, folder, sink.stored * entry)
            # A folder that could not be read was released and is locked again; it still has all its frames.
            assert {sink.stored - 2, sink.stored - 1} <= set(there(folder))
            assert sink.stored == ROOM + (sink.waiting is None)
            for _ in range(3):  # the disk is well again
                clock.now += 61
                sink.status({})
            assert (sink.waiting, sink.missed, sink.stored) == (None, 0, ROOM + 1), (number, error)
            check(sink, folder, sink.stored * entry)
            assert not hidden(folder)
            feed(sink, clock)
            assert (sink.stored, sink.report()["stuck"]) == (ROOM + 2, 0)
            assert len(there(folder)) == ROOM
            account = sink.report()["bytes"]
            sink.close()
            again = Store(folder, sink.options.size)
            again.open()
            assert again.size == account == sum(there(folder).values())
            again.close()
        number += 1
    assert calls > 10


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_any_call_may_fail_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_good: bool) -> None:
    disk, clock = Disk(monkeypatch), Clock()
    sink = opened(tmp_path, clock, twin=True)
    for _ in range(ROOM):
        feed(sink, clock)
    sink.close()
    kept = there(tmp_path)
    number = calls = 0
    while number <= calls:
        for error in ERRORS if number else (0,):
            (tmp_path / ".new-0123abcd").write_bytes(b"half")
            with disk.failing(number - 1, error, for_good):
                try:
                    sink.open()
                except StorageError:
                    assert number
            calls = calls or len(disk.calls)
            sink.close()
            assert there(tmp_path) == kept
            sink = opened(tmp_path, clock, twin=True)
            assert sink.report()["bytes"] == sum(kept.values())
            assert not hidden(tmp_path)
            sink.close()
        number += 1
    assert calls > 10

"""Power fails after each single file operation of an update, and after each of a rollback and of a start."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.update.install import roll_back
from edge.update.slots.running import SlotModel
from edge.update.slots.store import Store
from tests.edge.update.slots.devices import check_whole, install

CHANGES = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir", "rmdir", "link", "chown", "truncate")
"""Functions of ``os`` that change a disk, or a descriptor that does; every module of Python uses these."""


class PowerCut(BaseException):
    """No code of ours handles it. All file operations after it raise it, too, since a dead process does none."""


class Power:
    """Counts the file operations and cuts the power after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        self.seen: Callable[[str, tuple[Any, ...]], None] = lambda *_: None
        for name in CHANGES:
            monkeypatch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self.left <= 0:
                raise PowerCut
            self.left -= 1
            self.seen(name, given)
            result = None if name == "fsync" else real(*given, **named)  # a kill loses nothing, and syncing is slow
            self.done.append((name, given))
            return result

        return call


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


def cuts(power: Power, work: Callable[[], object]) -> Iterator[int]:
    """Do ``work`` again and again, with the power cut one file operation later each time, until it is done."""
    for point in range(10_000):
        power.left = point
        try:
            work()
        except PowerCut:
            power.left = float("inf")
            yield point
            continue
        power.left = float("inf")
        assert point >= 10, "nothing was cut"
        return


@pytest.fixture
def device(store: Store, versions: dict[str, Path]) -> Path:
    """A folder in which small-1 was kept and small-2 is in use, to copy for each cut."""
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"], 0.0)
    return store.folder


def fresh(device: Path, folder: Path) -> Store:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(device, folder)
    return Store(folder)


@pytest.mark.slow
def test_an_update(device: Path, tmp_path: Path, versions: dict[str, Path], power: Power) -> None:
    place, seen = tmp_path / "cut", set()

    def work() -> None:
        left, power.left = power.left, float("inf")
        store = fresh(device, place)
        power.left = left
        install(store, versions["small-3"])

    for _ in cuts(power, work):
        store = Store(place)
        seen.add(check_whole(store, {"small-2", "small-3"}))
        install(store, versions["small-4"])
        assert check_whole(store, {"small-4"})
        assert sorted(path.name for path in place.iterdir()) == ["busy", "lock", "slots", "state.json"]
        assert {path.name for path in (place / "slots").iterdir()} == set(store.read().slots)
    assert seen == {"small-2", "small-3"}


def test_the_first_update(store: Store, versions: dict[str, Path], power: Power) -> None:
    def work() -> None:
        left, power.left = power.left, float("inf")
        shutil.rmtree(store.folder, ignore_errors=True)
        power.left = left
        install(store, versions["small-1"])

    seen = {check_whole(store, {"factory", "small-1"}) for _ in cuts(power, work)}
    assert seen == {"factory", "small-1"}


@pytest.mark.parametrize("kind", ["rollback", "start"])
def test_going_back(kind: str, device: Path, tmp_path: Path, versions: dict[str, Path], power: Power) -> None:
    """By hand, or at a start after three that failed."""
    store = Store(device)
    if kind == "start":
        install(store, versions["small-3"])
        for _ in range(3):
            SlotModel(store).start()
        old, new = "small-2", "small-3"
    else:
        old, new = "small-1", "small-2"
    place, seen = tmp_path / "cut", set()

    def work() -> None:
        left, power.left = power.left, float("inf")
        store = fresh(device, place)
        power.left = left
        roll_back(store) if kind == "rollback" else SlotModel(store).start()

    for _ in cuts(power, work):
        seen.add(check_whole(Store(place), {old, new}))
        SlotModel(Store(place)).start()
        install(Store(place), versions["small-4"])
    assert seen == {old, new}
    assert Store(place).read().refusal(store.read().slots[store.read().current].digest)


def test_what_the_state_names_is_on_the_disk_before_it_does(
    device: Path, versions: dict[str, Path], power: Power
) -> None:
    """A kill leaves what was written; a power cut leaves what was synced. So each file and each folder of a slot is
    synced after its last change, before the rename of the state; and the rename itself is synced."""
    synced: set[int] = set()
    checked = []

    def look(name: str, given: tuple[Any, ...]) -> None:
        if name == "fsync":
            synced.add(os.fstat(given[0]).st_ino)
        elif name == "write" and stat.S_ISREG(os.fstat(given[0]).st_mode):
            synced.discard(os.fstat(given[0]).st_ino)
        elif name in ("rename", "replace", "mkdir", "unlink", "rmdir", "open"):
            if name == "rename" and Path(given[1]).name == "state.json":
                new = [path for path in (device / "slots").iterdir() if path.name not in before]
                tree = [path for slot in new for path in (slot, *slot.rglob("*"))]
                if tree:
                    assert {path.stat().st_ino for path in (*tree, device / "slots")} <= synced
                    checked.append(len(tree))
            folder = Path(os.fspath(given[-1] if name in ("rename", "replace") else given[0])).parent
            if name != "open" and folder.is_dir() and folder != Path():
                synced.discard(folder.stat().st_ino)

    before = {path.name for path in (device / "slots").iterdir()}
    power.seen = look
    power.done.clear()
    install(Store(device), versions["small-3"])
    assert checked
    assert min(checked) > 5
    names = [name for name, _ in power.done]
    switch = max(
        place for place, (name, given) in enumerate(power.done) if name == "rename" and given[1] == "state.json"
    )
    assert "fsync" in names[switch:]

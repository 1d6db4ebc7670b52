"""An update from the source to the slot; whatever fails, the device is as it was before."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from edge.update.bundle import Bundle
from edge.update.install import Fetched, roll_back, update
from edge.update.slots.running import SlotModel
from edge.update.slots.store import Store, default_folder
from quietcam.errors import GateError, StorageError, UpdateError
from tests.edge.update.slots.devices import FolderSource, check_whole, install


def refuse(_: Bundle) -> None:
    raise GateError("it is too slow")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_bundles_stay_on_the_disk(store: Store, versions: dict[str, Path]) -> None:
    for folder in versions.values():
        assert install(store, folder, 0.0).installed
    state = store.read()
    assert [each.version for each in state.slots.values()] == ["small-3", "small-4"]
    assert names(store.folder / "slots") == sorted(state.slots)
    assert names(store.folder) == ["busy", "lock", "slots", "state.json"]
    assert roll_back(store).version_of(store.read().current) == "small-3"
    with pytest.raises(UpdateError, match=r"A rollback needs the bundle before. Received: small-3, and nothing before"):
        roll_back(store)


def test_the_way_back_stays_where_it_is_when_it_is_installed_again(store: Store, versions: dict[str, Path]) -> None:
    """A power cut must not find it half removed."""
    install(store, versions["small-1"], 0.0)
    slot = store.slot(store.read().current)
    before = slot.stat().st_ino
    install(store, versions["small-2"], 0.0)
    assert install(store, versions["small-1"], 0.0).installed
    assert (check_whole(store, {"small-1"}), slot.stat().st_ino) == ("small-1", before)
    install(store, versions["small-2"], 0.0)
    (slot / "golden/0_noisy.rgb").unlink()  # the disk has lost it
    assert install(store, versions["small-1"], 0.0).installed
    assert check_whole(store, {"small-1"})
    assert names(store.folder) == ["busy", "lock", "slots", "state.json"]


def test_what_a_rollback_left_is_not_installed_again_until_somebody_asks(
    store: Store, versions: dict[str, Path]
) -> None:
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"], 0.0)
    roll_back(store)
    assert not install(store, versions["small-2"]).installed
    assert check_whole(store, {"small-1"})
    assert update(store, FolderSource(versions["small-2"]), lambda _: None, retry=True).installed
    assert check_whole(store, {"small-2"})


def test_a_canary_that_refuses_leaves_nothing_behind_and_is_remembered(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    with pytest.raises(GateError, match="it is too slow"):
        install(store, versions["small-2"], canary=refuse)
    state = store.read()
    assert names(store.folder / "slots") == [state.current]
    assert [(each.version, each.why) for each in state.refused] == [("small-2", "it is too slow")]
    assert state.checked is not None
    assert (state.checked.failed, state.checked.words) == (True, "it is too slow")
    outcome = install(store, versions["small-2"])
    assert not outcome.installed


def test_a_source_that_fails_changes_nothing_and_is_told(store: Store, versions: dict[str, Path]) -> None:
    class Offline:
        def fetch(self, staging: Path, present: str | None, refused: Collection[str]) -> Fetched:
            (staging / "half").write_bytes(bytes(1000))
            assert (present, set(refused)) == ("small-1", set())
            raise UpdateError("The release cannot be reached.")

    install(store, versions["small-1"], 0.0)
    with pytest.raises(UpdateError):
        update(store, Offline(), lambda _: None)
    assert names(store.folder) == ["busy", "lock", "slots", "state.json"]
    checked = store.read().checked
    assert checked is not None
    assert checked.words == "The release cannot be reached."
    assert check_whole(store, {"small-1"})


@pytest.mark.parametrize("function", ["write", "mkdir", "rename"])
@pytest.mark.parametrize("room", range(0, 24, 3))
def test_a_disk_that_fills_up_leaves_the_old_model_and_nothing_behind(
    function: str, room: int, store: Store, versions: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"], 0.0)
    before, files = store.read(), sorted(store.folder.rglob("*"))
    left, real = [room], getattr(os, function)

    def full(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*given, **named)

    monkeypatch.setattr(os, function, full)
    try:
        outcome = install(store, versions["small-3"])
    except StorageError:
        monkeypatch.undo()
        assert sorted(store.folder.rglob("*")) == files
        assert store.read().current == before.current
        assert check_whole(store, {"small-2"})
    else:
        monkeypatch.undo()
        assert outcome.installed
        assert check_whole(store, {"small-3"})
    assert install(store, versions["small-4"], 0.0).installed


def test_one_update_runs_at_a_time(store: Store, versions: dict[str, Path]) -> None:
    def second(_: Bundle) -> None:
        with pytest.raises(UpdateError, match="One update runs at a time"):
            install(store, versions["small-2"])

    assert install(store, versions["small-1"], canary=second).installed


def test_a_rollback_while_an_update_runs_is_not_undone(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"], 0.0)
    assert install(store, versions["small-3"], canary=lambda _: roll_back(store)).installed
    state = store.read()
    assert state.version_of(state.back) == "small-1"
    assert [each.version for each in state.refused] == ["small-2"]


def test_a_damaged_state_ends_no_update_for_ever(
    store: Store, versions: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(store, versions["small-1"], 0.0)
    (store.folder / "state.json").write_text('{"format": 1')
    assert SlotModel(store).in_use().slot == "factory"
    assert install(store, versions["small-2"], 0.0).installed
    assert "state.json.damaged" in names(store.folder)
    assert check_whole(store, {"small-2"})
    assert any("The state of updates must be as quietcam wrote it" in each for each in caplog.messages)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_installs_belongs_to_the_folders_owner(store: Store, versions: dict[str, Path]) -> None:
    store.folder.mkdir()
    os.chown(store.folder, 4321, 4322)
    install(store, versions["small-1"])
    roll_back(store)
    install(store, versions["small-2"])
    assert {(path.stat().st_uid, path.stat().st_gid) for path in store.folder.rglob("*")} == {(4321, 4322)}


def test_the_default_folder_is_the_one_that_systemd_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert default_folder() == Path("/var/lib/quietcam/update")
    monkeypatch.setenv("STATE_DIRECTORY", "/state/one:/state/two")
    assert default_folder() == Path("/state/one/update")

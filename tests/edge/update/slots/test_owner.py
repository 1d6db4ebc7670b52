"""Whose files an update makes that root runs for the service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.update.slots.store import Store

SERVICE = 63034


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_first_update_by_root_makes_files_of_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, SERVICE, SERVICE)
    store = Store(tmp_path / "update")
    store.change(lambda state: state.check(False, "nothing new", 1.0))
    with store.updating() as staging:
        (staging / "part").write_text("x")
    made = [store.folder, *store.folder.rglob("*")]
    assert {path.name for path in made} >= {"update", "state.json", "lock", "busy"}
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(SERVICE, SERVICE)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_that_is_there_keeps_its_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, SERVICE, SERVICE)
    folder = tmp_path / "update"
    folder.mkdir()
    Store(folder).change(lambda state: state.check(False, "nothing new", 1.0))
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {0}

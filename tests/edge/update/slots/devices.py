"""A device for tests of updates: a store, a source of bundles, and what must hold of them at any instant."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from edge.update.bundle import Bundle, read_bundle
from edge.update.install import Fetched, Outcome, update
from edge.update.slots.running import SlotModel
from edge.update.slots.store import Store
from quietcam.errors import StorageError
from tests.edge.update.bundles import write_contents

__all__ = ["FolderSource", "another_version", "check_whole", "install"]


def another_version(bundle: Path, folder: Path, version: str) -> Path:
    """A copy of a bundle with another version."""
    shutil.copytree(bundle, folder)
    write_contents(folder, replace(read_bundle(bundle).contents, version=version))
    return folder


class FolderSource:
    """Hands over a copy of a folder, as a source does that has checked its signature."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, staging: Path, present: str | None, refused: Collection[str]) -> Fetched:
        if read_bundle(self.folder).id in {present, *refused}:
            return Fetched(None, "there is no other")
        try:
            copied = Path(shutil.copytree(self.folder, staging / "bundle"))
        except (OSError, shutil.Error) as error:
            raise StorageError(str(error)) from error
        return Fetched(read_bundle(copied), "it is the newest")


def install(
    store: Store, folder: Path, trial: float = 600.0, canary: Callable[[Bundle], object] = lambda _: None
) -> Outcome:
    """Install a bundle that the canary lets through."""
    return update(store, FolderSource(folder), canary, trial, now=lambda: 1.8e9)


def check_whole(store: Store, versions: set[str]) -> str:
    """Start as after a power cut: the version in use, which is one of ``versions``, whole and verified. The way back is
    whole, too.
    """
    in_use = SlotModel(store).in_use()
    state = store.read()
    assert in_use.slot == state.current, "a slot that was in use is not whole"
    assert in_use.model.is_file()
    for slot in state.slots:
        read_bundle(store.slot(slot))
    assert state.version_of(state.current) in versions
    return state.version_of(state.current)

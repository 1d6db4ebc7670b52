"""A real run takes up an installed bundle without losing its stream, and goes back from one that it refuses."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.run.options import RunOptions
from edge.run.session import Session, open_session
from edge.update.bundle import read_bundle
from edge.update.slots.store import Store
from edge.web.controls import RunControls
from quietcam.errors import UsageError
from tests.edge.update.bundles import hashes, write_contents
from tests.edge.update.slots.devices import install
from tests.waiting import WAIT, until

CAMERA = "synthetic:size=32x32,fps=50,rendered=2"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.child.trial.PATIENCE", WAIT)
    monkeypatch.setattr("edge.update.slots.watch.FAILING", WAIT)


@pytest.fixture
def running(store: Store, versions: dict[str, Path]) -> Iterator[Session]:
    """A run of small-1 whose frames come through."""
    install(store, versions["small-1"], 0.0)
    options = RunOptions(CAMERA, "null", model=f"slot:{store.folder}", gate=False, ladder=False)
    with open_session(options) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        until(lambda: session.report()["frames"] > 3)
        yield session
        session.stop()
        thread.join(WAIT)
        assert not thread.is_alive()


def in_use(session: Session, store: Store) -> str:
    slot = session.denoiser.model.path.parents[1].name
    return store.read().version_of(slot)


def test_an_installed_bundle_takes_over_while_frames_run(
    running: Session, store: Store, versions: dict[str, Path]
) -> None:
    assert in_use(running, store) == "small-1"
    install(store, versions["small-2"])
    until(lambda: in_use(running, store) == "small-2")
    before = running.report()["frames"]
    until(lambda: running.report()["frames"] > before + 3)
    report = running.report()
    assert report["reload"] == {"count": 1, "error": None}
    assert report["camera"]["reopened"] == 0
    until(lambda: running.report()["update"]["version"] == "small-2")
    assert running.report()["update"]["on_trial"]
    counts = report["events"].keys()
    assert {"update_installed", "update_kept", "update_rolled_back", "update_refused", "update_failed"} <= counts
    until(lambda: running.report()["events"]["update_installed"] == 1)


def test_a_bundle_that_the_run_refuses_goes_back(
    running: Session, store: Store, versions: dict[str, Path], tmp_path: Path
) -> None:
    """Its canary let it through, and its model is of no use for frames."""
    folder = Path(shutil.copytree(versions["small-2"], tmp_path / "bad"))
    model = next((folder / "models").glob("*.tflite"))
    model.write_bytes(b"\0" * 1000)
    write_contents(folder, replace(read_bundle(versions["small-2"]).contents, files=hashes(folder)))
    install(store, folder)
    until(lambda: store.read().refused)
    assert in_use(running, store) == "small-1"
    assert "the run refuses its model" in store.read().refused[0].why
    until(lambda: running.report()["events"]["update_rolled_back"] == 1)
    before = running.report()["frames"]
    until(lambda: running.report()["frames"] > before + 3)


def test_a_reload_to_another_model_ends_the_watch_and_one_to_the_slot_begins_it(
    running: Session, store: Store, versions: dict[str, Path], small: Path
) -> None:
    running.reload(small)
    until(lambda: running.denoiser.model.path == small)
    install(store, versions["small-2"], 0.0)
    assert running.report()["update"] is None
    running.reload(f"slot:{store.folder}")
    until(lambda: in_use(running, store) == "small-2")
    until(lambda: running.report()["update"])


def test_a_person_chooses_no_model_where_signed_updates_bring_them(
    store: Store, versions: dict[str, Path], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would change it in turns, and a trial would judge the wrong one."""
    offered: list[str] = []
    monkeypatch.setattr(RunControls, "offer", lambda _, files, __: offered.extend(files))
    install(store, versions["small-1"], 0.0)
    with open_session(RunOptions(CAMERA, "null", model=f"slot:{store.folder}")):
        assert offered == []
    with open_session(RunOptions(CAMERA, "null", model=small)):
        assert small.stem in offered


def test_a_slot_needs_a_folder() -> None:
    with pytest.raises(UsageError, match="names a folder after slot:"), open_session(RunOptions(CAMERA, model="slot:")):
        pass

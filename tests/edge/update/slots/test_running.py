"""Which model a run takes from a store, and how its starts count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.models import resolve_model
from edge.update.slots.running import SlotModel, slot_model
from edge.update.slots.store import Store
from quietcam.app.cli import run
from quietcam.errors import UsageError
from tests.edge.update.slots.devices import install


@pytest.mark.parametrize("name", [None, "small", "slots", "a/slot", "slot.tflite"])
def test_other_models_are_no_slot(name: str | None) -> None:
    assert slot_model(name) is None


def test_the_names_of_a_slot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    found, other = slot_model("slot"), slot_model("slot:/data/update")
    assert found is not None
    assert other is not None
    assert (found.store.folder, other.store.folder) == (tmp_path / "update", Path("/data/update"))
    with pytest.raises(UsageError, match="`model` names a folder after slot:"):
        slot_model("slot:")


def test_before_the_first_update_the_best_model_that_ships_runs(store: Store) -> None:
    in_use = SlotModel(store).in_use((640, 480))
    assert (in_use.slot, in_use.model, in_use.settings) == ("factory", resolve_model(None, (640, 480)), {})
    assert not store.folder.exists()


def test_a_bundle_gives_its_model_and_its_settings(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"])
    in_use = SlotModel(store).in_use()
    assert in_use.model.parent.parent == store.slot(in_use.slot)
    assert in_use.model.read_bytes() == (versions["small-1"] / "models" / in_use.model.name).read_bytes()
    assert in_use.settings == {"strength": 0.5}


def damage(folder: Path, how: str) -> None:
    model = next((folder / "models").glob("*.tflite"))
    if how == "bit":
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    elif how == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif how == "gone":
        model.unlink()
    elif how == "more":
        (folder / "models" / "more").touch()
    else:
        model.unlink()
        model.symlink_to("/dev/zero")


@pytest.mark.parametrize("how", ["bit", "cut", "gone", "more", "link"])
def test_a_slot_that_has_changed_is_never_used(
    how: str, store: Store, versions: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"])
    damage(store.slot(store.read().current), how)
    in_use = SlotModel(store).in_use()
    state = store.read()
    assert (in_use.slot, state.version_of(state.current), state.back) == (state.current, "small-1", None)
    assert "small-2 is not used" in caplog.text
    damage(store.slot(state.current), how)
    assert SlotModel(store).in_use().slot == store.read().current == "factory"
    assert install(store, versions["small-2"]).installed, "it was not refused, and may come again"


def test_another_bundle_in_the_slots_place_is_not_used(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    slot = store.slot(store.read().current)
    (slot / "bundle.json").write_bytes((versions["small-2"] / "bundle.json").read_bytes())
    assert SlotModel(store).in_use().slot == "factory"


def test_the_fourth_start_goes_back_where_three_did_not_come_far(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"])
    slot, used = SlotModel(store), []
    for _ in range(5):
        slot.start()
        used.append(store.read().version_of(slot.in_use().slot))
    assert used == ["small-2"] * 3 + ["small-1"] * 2
    assert [each.why for each in store.read().refused] == ["3 starts in a row did not come to half a minute of frames"]
    assert not install(store, versions["small-2"]).installed


def test_starts_do_not_count_without_a_trial(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    for _ in range(9):
        SlotModel(store).start()
    assert store.read().version_of(store.read().current) == "small-1"


def test_a_state_that_cannot_be_written_keeps_no_camera_from_starting(
    store: Store, versions: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    install(store, versions["small-1"], 0.0)
    install(store, versions["small-2"])
    damage(store.slot(store.read().current), "cut")
    monkeypatch.setattr("os.rename", full)
    slot = SlotModel(store)
    slot.start()
    assert store.read().version_of(slot.in_use().slot) == "small-1"
    assert "The state of updates stays as it is" in caplog.text


def test_a_damaged_state_means_the_models_that_ship(
    store: Store, versions: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(store, versions["small-1"])
    (store.folder / "state.json").write_bytes(b"\0" * 100)
    SlotModel(store).start()
    assert SlotModel(store).in_use().slot == "factory"
    assert "Remedy: remove the file; the models that ship then run until the next update." in caplog.text


@pytest.mark.parametrize(("words", "strength"), [((), 0.5), (("--strength", "0.25"), 0.25)])
def test_a_run_counts_its_start_and_takes_settings_that_nobody_else_gives(
    words: tuple[str, ...], strength: float, store: Store, versions: dict[str, Path], tmp_path: Path
) -> None:
    install(store, versions["small-1"])
    report = tmp_path / "report.json"
    command = ["run", "--source", "synthetic:size=32x32,fps=50,rendered=2", "--sink", "null", "--frames", "5"]
    assert run([*command, "--model", f"slot:{store.folder}", "--no-gate", "--json", str(report), *words]) == 0
    told = json.loads(report.read_text())
    assert (told["model"], told["work"]["strength"]) == ("small_32x32_int8", strength)
    assert told["update"]["version"] == "small-1"
    trial = store.read().trial
    assert trial is not None
    assert trial.starts == 1

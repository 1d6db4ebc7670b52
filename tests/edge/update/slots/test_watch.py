"""A run on trial, second by second, with a clock that the test moves: kept, or gone back, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.update.install import roll_back
from edge.update.slots.running import SlotModel
from edge.update.slots.store import Store
from edge.update.slots.watch import UpdateWatch
from tests.edge.update.slots.devices import install

NETWORK_FAILS = {"ladder": {"step": "pass-through", "reason": "the network fails: NaN"}}
NO_DEVICE = {"device": {"used": "none", "reason": "gone"}}
LOST = {"camera": {"state": "lost"}}


class Run:
    """A run of 10 frames a second, reported once a second; its reload takes the model that it is told, or refuses."""

    def __init__(self, store: Store, refuses: str | None = None) -> None:
        self.slot = SlotModel(store, lambda: 1.8e9)
        self.slot.start()
        self.model = self.slot.in_use().model
        self.refuses, self.loads = refuses, 0
        self.now = self.frames = self.dropped = 0
        self.watch = UpdateWatch(
            self.slot, lambda: self.model, lambda: (640, 480), self._reload, lambda: float(self.now), lambda: 1.8e9
        )

    def _reload(self, model: Path, ended: Callable[[str | None], None]) -> None:
        self.loads += 1
        if self.refuses is None:
            self.model = model
        ended(self.refuses)

    def seconds(self, count: int, frames: int = 10, dropped: int = 0, **parts: Any) -> str:
        """Let time pass: the version that runs then."""
        for _ in range(count):
            self.now += 1
            self.frames += frames
            self.dropped += dropped
            report = {
                "frames": self.frames,
                "dropped": self.dropped,
                "seconds": float(self.now),
                "camera": {"state": "live"},
                "ladder": {"step": "full", "reason": None},
                "device": {"used": "cpu", "reason": None},
            }
            self.watch.status({**report, **parts})
        return self.version

    @property
    def version(self) -> str:
        state = self.slot.store.read()
        slot = self.model.parents[1].name
        return state.slots[slot].version if slot in state.slots else "factory"


@pytest.fixture
def on_trial(store: Store, versions: dict[str, Path]) -> Run:
    """small-1 has run for a minute, then small-2 was installed, and a second has passed."""
    install(store, versions["small-1"], 0.0)
    run = Run(store)
    assert run.seconds(60) == "small-1"
    install(store, versions["small-2"], 100.0)
    assert run.seconds(1) == "small-2", "a switch is taken up within a second"
    return run


def whys(run: Run) -> list[str]:
    return [each.why for each in run.slot.store.read().refused]


def test_a_bundle_that_does_well_is_kept_after_its_seconds(on_trial: Run) -> None:
    on_trial.seconds(100)
    assert on_trial.slot.store.read().trial is not None
    assert on_trial.seconds(1) == "small-2"
    state = on_trial.slot.store.read()
    assert (state.trial, whys(on_trial), on_trial.loads) == (None, [], 1)
    assert state.history[-1].words == "small-2 is kept: 100 s with frames were well"


def test_its_seconds_are_counted_over_restarts(on_trial: Run) -> None:
    store = on_trial.slot.store
    for _ in range(3):
        on_trial.watch.close()  # as at every stop
        on_trial = Run(store)
        on_trial.seconds(40)
    assert store.read().trial is None
    assert on_trial.version == "small-2"


def test_a_kill_costs_a_quarter_of_a_minute_at_most(on_trial: Run) -> None:
    store = on_trial.slot.store
    on_trial.seconds(40)
    trial = store.read().trial
    assert trial is not None
    assert 25 <= trial.figures.seconds <= 40


def test_seconds_without_frames_do_not_count(on_trial: Run) -> None:
    on_trial.seconds(500, frames=0, **LOST)
    trial = on_trial.slot.store.read().trial
    assert trial is not None
    assert trial.figures.seconds == 0
    assert on_trial.seconds(102) == "small-2"
    assert on_trial.slot.store.read().trial is None


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (NETWORK_FAILS, "the network fails: NaN"),
        (NO_DEVICE, "no device runs the network: gone"),
        ({"frames": 0}, "no frame comes through, and the camera is not lost"),
    ],
)
def test_failing_health_goes_back_after_a_while(parts: dict[str, Any], why: str, on_trial: Run) -> None:
    on_trial.seconds(5)
    assert on_trial.seconds(19, **parts) == "small-2"
    assert on_trial.seconds(2, **parts) == "small-1"
    assert whys(on_trial) == [why]
    assert on_trial.seconds(300) == "small-1"


def test_a_fault_that_passes_is_forgiven(on_trial: Run) -> None:
    for _ in range(3):
        on_trial.seconds(15, **NETWORK_FAILS)
        on_trial.seconds(5)
    assert whys(on_trial) == []


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"dropped": 3}, "23% of frames are dropped, 0% before"),
        (
            {"ladder": {"step": "fewer pixels", "reason": "late"}},
            "100% of the time frames get less than full treatment",
        ),
    ],
)
def test_worse_figures_than_before_go_back_at_the_end(parts: dict[str, Any], why: str, on_trial: Run) -> None:
    assert on_trial.seconds(90, **parts) == "small-2"
    assert on_trial.seconds(12, **parts) == "small-1"
    assert whys(on_trial)[0].startswith(why)


def test_nothing_is_compared_where_nothing_ran_before(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 100.0)
    run = Run(store)
    assert run.seconds(120, dropped=3) == "small-1"
    assert store.read().trial is None


def test_a_model_that_the_run_refuses_goes_back(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    run = Run(store, refuses="its golden frame differs")
    install(store, versions["small-2"])
    assert run.seconds(3) == "small-1"
    assert whys(run) == ["the run refuses its model: its golden frame differs"]
    assert run.loads == 1


def test_a_model_that_is_refused_without_a_trial_is_not_tried_every_second(
    store: Store, versions: dict[str, Path]
) -> None:
    install(store, versions["small-1"], 0.0)
    run = Run(store, refuses="there is too little memory")
    install(store, versions["small-2"], 0.0)
    assert run.seconds(60) == "small-1"
    assert run.loads == 1
    run.refuses = None
    install(store, versions["small-3"], 0.0)
    assert run.seconds(1) == "small-3"


def test_half_a_minute_of_frames_settles_the_starts(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"])
    for _ in range(8):
        Run(store).seconds(32)
    assert store.read().version_of(store.read().current) == "small-1"


def test_a_camera_that_is_missing_is_no_fault_of_the_bundle(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"])
    for _ in range(8):
        Run(store).seconds(32, frames=0, **LOST)
    assert store.read().version_of(store.read().current) == "small-1"


def test_a_rollback_by_hand_is_taken_up(on_trial: Run) -> None:
    roll_back(on_trial.slot.store)
    assert on_trial.seconds(1) == "small-1"


def test_a_slot_that_is_damaged_while_it_runs_is_not_taken_up(store: Store, versions: dict[str, Path]) -> None:
    install(store, versions["small-1"], 0.0)
    run = Run(store)
    run.seconds(5)
    install(store, versions["small-2"])
    next((store.slot(store.read().current) / "models").glob("*.tflite")).write_bytes(b"")
    assert run.seconds(3) == "small-1"
    assert run.loads == 0


def test_a_run_whose_model_was_set_by_hand_is_left_alone(on_trial: Run) -> None:
    on_trial.watch.active = False
    on_trial.model = Path("/elsewhere/models/mine.tflite")
    on_trial.seconds(200)
    assert (on_trial.model, on_trial.watch.told()) == (Path("/elsewhere/models/mine.tflite"), None)
    on_trial.watch.active = True
    assert on_trial.seconds(1) == "small-2"


def test_a_disk_that_takes_nothing_is_told_once(
    on_trial: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.rename", full)
        assert on_trial.seconds(60) == "small-2"
    assert sum("The update waits" in each for each in caplog.messages) == 1
    on_trial.seconds(50)
    assert on_trial.slot.store.read().trial is None


def test_what_is_told(on_trial: Run) -> None:
    on_trial.seconds(10)
    told = on_trial.watch.told()
    assert told is not None
    assert (told["version"], told["back"], told["on_trial"]) == ("small-2", "small-1", True)
    assert told["trial"] == {"seconds": 9.0, "length": 100.0}
    assert told["last"]["event"] == "installed"
    assert told["checked"]["failed"] is False
    assert Run(on_trial.slot.store).watch.told()["last"] is None, "what happened before a run is no event of it"  # type: ignore[index]

"""The run's side of updates: which model the slot in use has, and how a start counts against a bundle on trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.models import resolve_model
from edge.update.bundle import Bundle, read_bundle
from edge.update.slots.state import FACTORY, MOST_STARTS, Installed, State
from edge.update.slots.store import Store, default_folder
from quietcam.errors import QuietcamError, UpdateError, UsageError, one_line
from quietcam.terminal.log import log

__all__ = ["SLOT", "InUse", "SlotModel", "slot_model"]

SLOT = "slot"
"""The model that ``quietcam update`` installs: ``slot``, or ``slot:FOLDER`` for a store in another folder."""


@dataclass(frozen=True)
class InUse:
    """What a run takes from a store.

    Attributes:
        slot: its name, or ``FACTORY``.
        model: path of the model file.
        settings: of the bundle, by the names of the options.
    """

    slot: str
    model: Path
    settings: dict[str, Any]


def slot_model(name: str | Path | None) -> SlotModel | None:
    """The model that ``name`` means, if it means that of a slot; else None.

    Raises:
        UsageError: it names no folder.
    """
    text = "" if name is None else str(name)
    if text == SLOT:
        return SlotModel(Store(default_folder()))
    if not text.startswith(f"{SLOT}:"):
        return None
    if not (folder := text.removeprefix(f"{SLOT}:")):
        raise UsageError(f"`model` names a folder after {SLOT}:. Received: {text}. Remedy: for example {SLOT}")
    return SlotModel(Store(Path(folder)))


class SlotModel:
    """The model of the slot in use. A slot whose files have changed is never used: the bundle before it, or the models
    that ship, take its place.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self.store, self._now = store, now

    def start(self) -> None:
        """Note that a run starts. A bundle on trial whose starts have all failed goes back."""
        state = self._read()
        if state.trial is not None:
            self._change(self._started)

    def in_use(self, size: tuple[int, int] | None = None) -> InUse:
        """What is in use now.

        Args:
            size: ``(width, height)`` of the frames, if it is known; it chooses among the models that ship.
        """
        state = self._read()
        if (found := self._opened(state)) is not None:
            return found
        if state.installed is not None:
            went = self._change(lambda state: state.leave("its files are missing or have changed", self._now()))
            if (found := self._opened(went)) is not None:
                return found
        return InUse(FACTORY, resolve_model(None, size), {})

    def _opened(self, state: State) -> InUse | None:
        """The bundle in use; None where there is none, or where it is not whole."""
        wanted = state.installed
        if wanted is None:
            return None
        folder = self.store.slot(state.current)
        try:
            bundle = read_bundle(folder)
            if Installed.of(bundle) != wanted:
                raise UpdateError(
                    f"A slot holds the bundle that was installed. Received: {folder}: another one, {bundle.id}. "
                    "Remedy: none is needed; what was in use before takes its place."
                )
        except (QuietcamError, OSError) as error:
            log.warning("%s is not used: %s", wanted.version, one_line(error))
            return None
        return InUse(state.current, _model_of(bundle), bundle.settings)

    def _started(self, state: State) -> State:
        if state.trial is not None and state.trial.starts >= MOST_STARTS:
            why = f"{MOST_STARTS} starts in a row did not come to half a minute of frames"
            log.warning("%s goes back: %s", state.version_of(state.current), why)
            return state.go_back(why, self._now())
        return state.start()

    def _read(self) -> State:
        try:
            return self.store.read()
        except QuietcamError as error:
            log.warning("%s", one_line(error))
            return State()

    def _change(self, change: Callable[[State], State]) -> State:
        """Change the state; a disk that takes nothing must not keep a camera from starting."""
        try:
            return self.store.change(change)
        except QuietcamError as error:
            log.warning("The state of updates stays as it is: %s", one_line(error))
            return change(self._read())


def _model_of(bundle: Bundle) -> Path:
    """The model for the CPU, whose twin for a Coral lies beside it; or that for a Coral, if there is no other."""
    found = bundle.model("cpu") or bundle.model("coral")
    assert found is not None  # a bundle has a model
    return found

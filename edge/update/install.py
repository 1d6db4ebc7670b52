"""Installing: one update from what a source has fetched to a bundle in use, or to a device that is as it was before."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.update.bundle import Bundle
from edge.update.slots.state import Installed, State, Trial
from edge.update.slots.store import Store
from quietcam.errors import GateError, QuietcamError, UpdateError, one_line
from quietcam.terminal.log import log

__all__ = ["TRIAL_SECONDS", "BundleSource", "Outcome", "roll_back", "update"]

TRIAL_SECONDS = 600.0
"""Seconds with frames until a bundle is kept."""


@dataclass(frozen=True)
class Fetched:
    """What a source has for a device. ``bundle``: the bundle to take over, or None. ``why``: one sentence."""

    bundle: Bundle | None
    why: str


class BundleSource(Protocol):
    """Where bundles come from. It hands over nothing whose signature it has not checked."""

    def fetch(self, staging: Path, present: str | None, refused: Collection[str]) -> Fetched:
        """Fetch and unpack the bundle that is meant for this device.

        Args:
            staging: an empty folder on the disk of the slots, for whatever the source writes.
            present: id of the bundle in use; None if a model that ships is.
            refused: ids of bundles that are not to be fetched.

        Returns:
            The bundle, in a folder of its own below ``staging``, if there is one to take over.

        Raises:
            UpdateError: the source cannot be reached, or what it has is not signed, not valid or expired.
            StorageError: the disk is full or fails.
        """


@dataclass(frozen=True)
class Outcome:
    """What came of an update.

    Attributes:
        installed: another bundle is in use now.
        words: what happened, for people.
    """

    installed: bool
    words: str


def update(
    store: Store,
    source: BundleSource,
    canary: Callable[[Bundle], object],
    trial: float = TRIAL_SECONDS,
    retry: bool = False,
    now: Callable[[], float] = time.time,
) -> Outcome:
    """Fetch, check, try and install a bundle. Whatever fails, the device goes on with what it has.

    Args:
        canary: raises GateError where the bundle must not be used on this device.
        trial: seconds with frames in which the new bundle must prove itself; 0: none.
        retry: try a bundle again that was refused before.
        now: seconds since 1970.

    Raises:
        GateError: the canary refused the bundle. It is not tried again.
        UpdateError: nothing that is signed and valid could be fetched, or another update runs.
        StorageError: the disk is full or fails.
    """
    with store.updating() as staging:
        try:
            outcome = _update(store, staging, source, canary, trial, retry, now)
        except QuietcamError as error:
            _note(store, True, one_line(error), now())
            raise
        _note(store, False, outcome.words, now())
    return outcome


def roll_back(store: Store, why: str = "somebody asked for it", now: Callable[[], float] = time.time) -> State:
    """Use what was in use before the last update. The present bundle is not tried again.

    Raises:
        UpdateError: there is nothing to go back to.
        StorageError: the disk is full or fails.
    """
    state = store.read()
    if state.installed is None or state.back is None:
        raise UpdateError(
            f"A rollback needs the bundle before. Received: {state.version_of(state.current)}, and nothing before it. "
            "Remedy: publish an older bundle under a new version."
        )
    return store.change(lambda state: state.go_back(why, now()))


def _update(
    store: Store,
    staging: Path,
    source: BundleSource,
    canary: Callable[[Bundle], object],
    trial: float,
    retry: bool,
    now: Callable[[], float],
) -> Outcome:
    state = store.read()
    present = None if state.installed is None else state.installed.version
    fetched = source.fetch(staging, present, () if retry else {each.version for each in state.refused})
    if (bundle := fetched.bundle) is None:
        return Outcome(False, fetched.why)
    new = Installed.of(bundle)
    if new == state.installed:
        return Outcome(False, f"{new.version} is in use already")
    if (before := state.refusal(new.digest)) is not None and not retry:
        return Outcome(False, f"{new.version} is not tried again: {before.why}")
    try:
        canary(bundle)
    except GateError as error:
        why = one_line(error)
        store.change(lambda state: state.refuse(new, why, now()))
        raise
    store.fill_slot(bundle.folder, new)
    proof = Trial(trial) if trial else None
    store.change(lambda state: state.install(new, proof, now()))
    return Outcome(True, f"{new.version} is installed" + (f", on trial for {trial:.0f} s with frames" if trial else ""))


def _note(store: Store, failed: bool, words: str, now: float) -> None:
    """Tell the run, and whoever looks at it. A full disk must not hide why an update failed."""
    try:
        store.change(lambda state: state.check(failed, words, now))
    except QuietcamError as error:
        log.warning("What came of the update cannot be noted: %s", one_line(error))

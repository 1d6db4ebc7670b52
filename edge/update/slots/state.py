"""State: what is installed, on trial and refused on a device. All changes are pure functions; one file holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge.update.bundle import Bundle
from edge.update.slots.figures import Figures
from quietcam.errors import JsonError
from quietcam.files.json_fields import items, number, table, text, whole

__all__ = ["FACTORY", "MOST_STARTS", "Checked", "Installed", "Note", "Refused", "State", "Trial"]

FACTORY = "factory"
"""Stands for the models that ship with quietcam, where the name of a slot is expected."""

MOST_STARTS = 3
"""A bundle on trial goes back when so many starts in a row have not come to half a minute of frames."""

_FORMAT = 1
_HISTORY, _REFUSED = 50, 32  # the newest that are kept
_LONGEST = 500  # characters of a text


@dataclass(frozen=True)
class Installed:
    """A bundle in a slot. Its slot has the first digits of its digest as name.

    Attributes:
        version: its id, ``NAME-VERSION``.
        digest: SHA-256 of its ``bundle.json``, which has that of every other file; hexadecimal digits.
    """

    version: str
    digest: str

    @classmethod
    def of(cls, bundle: Bundle) -> Installed:
        return cls(bundle.id, hashlib.sha256(bundle.contents.to_bytes()).hexdigest())

    @property
    def slot(self) -> str:
        return self.digest[:16]


@dataclass(frozen=True)
class Trial:
    """The bundle in use has to prove itself.

    Attributes:
        length: seconds with frames until it is kept.
        starts: starts in a row that have not come to half a minute of frames.
        figures: what was measured so far.
        before: what was measured of the bundle before; None if it was not running.
    """

    length: float
    starts: int = 0
    figures: Figures = field(default_factory=Figures)
    before: Figures | None = None


@dataclass(frozen=True)
class Refused:
    """A bundle that is not tried again, and why."""

    version: str
    digest: str
    why: str


@dataclass(frozen=True)
class Note:
    """An entry of the history.

    Attributes:
        time: seconds since 1970, as the device's clock said, which may be wrong.
        event: ``installed``, ``kept``, ``rolled_back`` or ``refused``.
        version: of the bundle that this is about.
        words: the same for people.
    """

    time: float
    event: str
    version: str
    words: str


@dataclass(frozen=True)
class Checked:
    """The last time that the device looked for an update.

    Attributes:
        time: seconds since 1970, as the device's clock said.
        failed: it could not be told whether there is one, or it could not be installed.
        words: what came of it, for people.
    """

    time: float
    failed: bool
    words: str


@dataclass(frozen=True)
class State:
    """What a device has installed.

    Attributes:
        current: the slot in use, or ``FACTORY``.
        back: the slot to which a rollback goes, or ``FACTORY``; None if there is nothing to go back to.
        slots: the bundles by their slots. A folder that is not named here is no slot and may be removed.
        trial: None unless the bundle in use is on trial.
        refused, history: the newest last.
        checked: None if it never looked.
    """

    current: str = FACTORY
    back: str | None = None
    slots: Mapping[str, Installed] = field(default_factory=dict)
    trial: Trial | None = None
    refused: tuple[Refused, ...] = ()
    history: tuple[Note, ...] = ()
    checked: Checked | None = None

    @property
    def installed(self) -> Installed | None:
        """The bundle in use; None for the models that ship."""
        return self.slots.get(self.current)

    def version_of(self, slot: str | None) -> str:
        """The version in a slot; ``factory`` for the models that ship."""
        found = self.slots.get(slot or FACTORY)
        return FACTORY if found is None else found.version

    def refusal(self, digest: str) -> Refused | None:
        """Why the bundle is not tried; None if it may be."""
        return next((each for each in self.refused if each.digest == digest), None)

    def install(self, new: Installed, trial: Trial | None, now: float) -> State:
        """Use ``new``, which lies in its slot, and keep the present one to go back to.

        A bundle that is on trial itself is no way back: the one before it stays.
        """
        back = self.current
        if self.trial is not None:
            back = self.back or FACTORY
            trial = trial and replace(trial, before=self.trial.before)
        if back == new.slot:
            back = FACTORY
        slots = {slot: each for slot, each in self.slots.items() if slot == back} | {new.slot: new}
        words = f"{new.version} is installed, in place of {self.version_of(self.current)}"
        changed = replace(self, current=new.slot, back=back, slots=slots, trial=trial)
        allowed = tuple(each for each in self.refused if each.digest != new.digest)
        return replace(changed, refused=allowed)._noted(now, "installed", new.version, words)

    def go_back(self, why: str, now: float) -> State:
        """Use what was there before, and never try the present bundle again. Without a way back, nothing changes."""
        left = self.installed
        if left is None or self.back is None:
            return self
        return self.leave(why, now)._refusing(left, why)

    def leave(self, why: str, now: float) -> State:
        """Use what was there before, or the models that ship. The present bundle may be installed again."""
        left = self.installed
        if left is None:
            return self
        slots = {slot: each for slot, each in self.slots.items() if slot == self.back}
        back = self.back if self.back in slots else FACTORY
        words = f"{left.version} went back to {self.version_of(back)}: {why}"
        changed = replace(self, current=back, back=None, slots=slots, trial=None)
        return changed._noted(now, "rolled_back", left.version, words)

    def keep(self, words: str, now: float) -> State:
        """End the trial well."""
        version = self.version_of(self.current)
        return replace(self, trial=None)._noted(now, "kept", version, f"{version} is kept: {words}")

    def refuse(self, bundle: Installed, why: str, now: float) -> State:
        """Never try ``bundle``, which is not in use."""
        words = f"{bundle.version} is refused: {why}"
        return self._refusing(bundle, why)._noted(now, "refused", bundle.version, words)

    def start(self) -> State:
        """A run starts."""
        return self._tried(starts=self.trial.starts + 1) if self.trial else self

    def settle(self) -> State:
        """A run that had started works."""
        return self._tried(starts=0)

    def measure(self, figures: Figures) -> State:
        """More was measured of the bundle on trial."""
        return self._tried(figures=self.trial.figures + figures) if self.trial else self

    def compare_with(self, before: Figures | None) -> State:
        """What was measured of the bundle before, if that is not known yet."""
        return self._tried(before=before) if self.trial and self.trial.before is None else self

    def check(self, failed: bool, words: str, now: float) -> State:
        """The device looked for an update."""
        return replace(self, checked=Checked(now, failed, words[:_LONGEST]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> State:
        """The state that ``to_dict`` gave.

        Raises:
            JsonError: the values are no such state.
        """
        try:
            return _read(values)
        except ValueError as error:
            raise JsonError(f"a state of updates whose {error}") from None

    def _tried(self, **changes: Any) -> State:
        return self if self.trial is None else replace(self, trial=replace(self.trial, **changes))

    def _refusing(self, bundle: Installed, why: str) -> State:
        others = tuple(each for each in self.refused if each.digest != bundle.digest)
        return replace(self, refused=(*others, Refused(bundle.version, bundle.digest, why[:_LONGEST]))[-_REFUSED:])

    def _noted(self, now: float, event: str, version: str, words: str) -> State:
        return replace(self, history=(*self.history, Note(now, event, version, words[:_LONGEST]))[-_HISTORY:])


def _read(values: Mapping[str, Any]) -> State:
    if whole(values, "format") != _FORMAT:
        raise ValueError(f"format must be {_FORMAT}")
    slots = {slot: _installed(table(values["slots"], slot)) for slot in table(values, "slots")}
    current, back = text(values, "current"), None if values.get("back") is None else text(values, "back")
    known = {FACTORY, *slots}
    if current not in known or back not in {None, *known} or any(each.slot != slot for slot, each in slots.items()):
        raise ValueError("slots must be those that it names")
    trial, checked = values.get("trial"), values.get("checked")
    return State(
        current,
        back,
        slots,
        None if trial is None else _trial(table(values, "trial")),
        tuple(Refused(*_texts(each, "version", "digest", "why")) for each in _tables(values, "refused")),
        tuple(
            Note(number(each, "time"), *_texts(each, "event", "version", "words"))
            for each in _tables(values, "history")
        ),
        None if checked is None else _checked(table(values, "checked")),
    )


def _installed(values: Mapping[str, Any]) -> Installed:
    return Installed(*_texts(values, "version", "digest"))


def _trial(values: Mapping[str, Any]) -> Trial:
    before = values.get("before")
    return Trial(
        number(values, "length"),
        whole(values, "starts"),
        Figures.from_dict(table(values, "figures")),
        None if before is None else Figures.from_dict(table(values, "before")),
    )


def _checked(values: Mapping[str, Any]) -> Checked:
    if not isinstance(values.get("failed"), bool):
        raise ValueError("failed must be true or false")
    return Checked(number(values, "time"), values["failed"], text(values, "words"))


def _texts(values: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    return tuple(text(values, key) for key in keys)


def _tables(values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = items(values, key)
    return [table(found, place) for place in found]

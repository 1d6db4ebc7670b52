"""The spool as a sink: a field sensor's frames in a bounded folder, for months without anybody near."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.frame import Frame
from edge.sinks.base import Sink
from edge.sinks.budget import Budget
from edge.sinks.store import Store, allocated
from edge.sinks.trigger import Trigger
from edge.treatment import UNTOUCHED, caption
from quietcam.data.caption import with_caption
from quietcam.data.pictures import encode_picture
from quietcam.errors import StorageError, UsageError
from quietcam.image import Image
from quietcam.limits import read_number
from quietcam.progress import say

__all__ = ["SPOOL_MEANS", "SpoolOptions", "SpoolSink"]

SPOOL_MEANS = "spool:FOLDER (or spool:FOLDER,size=1GB,daily=500MB,every=60,change=8,gap=1,twin=yes,format=jpg)"

_BUDGET_FILE = ".budget.json"
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0  # seconds
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class SpoolOptions:
    """What ``spool:FOLDER,KEY=VALUE,…`` says.

    Attributes:
        folder: where.
        size: bytes that the frames may take; the oldest go first.
        daily: bytes that may be written within 24 hours, for the sake of an SD card; None: no limit.
        every: seconds between frames; None: only changes are kept. Defaults to 60, or None with ``change``.
        change: steps of 255 by which a part of the picture must have moved; None: change is not looked for.
        gap: seconds between two frames that are kept for a change.
        twin: keep the noisy frame beside the denoised one, as a pair.
        format: ``jpg`` (quality 95) or ``png``.
    """

    folder: Path
    size: int = 10**9
    daily: int | None = None
    every: float | None = None
    change: float | None = None
    gap: float = 1.0
    twin: bool = False
    format: str = "jpg"

    @classmethod
    def parse(cls, text: str) -> SpoolOptions:
        """Options from ``FOLDER,KEY=VALUE,…``.

        Raises:
            UsageError: no folder, an unknown key, or a value that does not fit it.
        """
        folder, *parts = text.split(",")
        if not folder:
            raise UsageError(f"A spool needs a folder. Received: spool:{text}. Remedy: {SPOOL_MEANS}")
        options = cls(Path(folder))
        for part in filter(None, parts):
            key, _, value = part.partition("=")
            if key not in _READERS:
                raise UsageError(
                    f"A spool has the options {', '.join(_READERS)}. Received: {part}. Remedy: {SPOOL_MEANS}"
                )
            try:
                options = replace(options, **{key: _READERS[key](value)})
            except ValueError:
                raise UsageError(
                    f"A spool's {key} is {_MEANINGS[key]}. Received: {part}. Remedy: {SPOOL_MEANS}"
                ) from None
        if options.every is None and options.change is None:
            return replace(options, every=60.0)
        return options


class SpoolSink(Sink):
    """Keeps frames as :class:`SpoolOptions` says.

    A frame counts as stored when it is on the disk. A disk that fills up or goes away stops nothing: the frame in hand
    waits and is tried again, frames that would have been kept meanwhile are counted as ``missed``.

    What is kept got all of the network: of frames from which the ladder took work away none is kept; the next one,
    which is asked for by ``wants``, is. Each file says in its comment what was done to it, and a picture that has
    nothing of the network in it is called ``untouched``.

    Args:
        options: what is kept, and where.
        frame_size: ``(width, height)`` of the camera; None where it is not known.
        clock: seconds, monotonic. What is timed is timed by it.
        wall: unix seconds, for file names alone.

    Raises:
        StorageError: (when opened) the folder cannot be written to.
        UsageError: (when opened, or at the first frame) it is smaller than one frame, or another process's.
    """

    def __init__(
        self,
        options: SpoolOptions,
        frame_size: tuple[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = f"spool:{options.folder}"
        self.options = options
        self.stored = self.stored_untouched = self.missed = self.over_budget = 0
        self.waiting: str | None = None
        """Why the frame in hand cannot be stored now."""
        self._frame_size = frame_size
        self._clock = clock
        self._store = Store(options.folder, options.size, wall, clock)
        self._budget = Budget(options.daily, options.folder / _BUDGET_FILE, clock, wall)
        self._trigger = Trigger(options.every, options.change, options.gap)
        self._in_hand: Mapping[str, bytes] | None = None
        self._in_hand_untouched = False
        self._asked = float("-inf")
        self._retry_at = 0.0
        self._pause = _FIRST_RETRY
        self._opened = False

    def open(self) -> None:
        if self._opened:
            return
        if self._frame_size is not None:
            width, height = self._frame_size
            self._check_room(3 * width * height * (2 if self.options.twin else 1), "up to ")
        self._store.open()
        self._budget.load(lambda: self._store.descriptor)
        self._opened = True

    def wants(self, frame: Frame) -> bool:
        if self._in_hand is not None:  # the next one would be missed
            return False
        now = self._clock()
        if self._trigger.due(now):
            return True
        # A change that only the noise shows must not ask for the network time and again.
        if now - self._asked < self.options.gap or not self._trigger.wants(frame.image, now):
            return False
        self._asked = now
        return True

    def write(self, frame: Frame, denoised: Image) -> None:
        now = self._clock()
        self.frames += 1
        self._retry(now)
        if not self._trigger.wants(denoised, now):
            return
        if self._in_hand is not None:
            self._trigger.kept(denoised, now)
            self.missed += 1
            return
        if frame.treatment is not None and frame.treatment.lessened:
            return
        self._trigger.kept(denoised, now)
        self._in_hand = self._encoded(frame, denoised)
        self._in_hand_untouched = _is_untouched(frame)
        if self.stored == 0 and self._frame_size is None:
            self._check_room(_size(self._in_hand), "")
        self._keep(now)

    def status(self, report: dict[str, Any]) -> None:  # noqa: ARG002  a tick, also while no frames come
        now = self._clock()
        if self._in_hand is None and (self.waiting is None or now >= self._retry_at):
            try:
                self._see_to_folder()
            except StorageError as error:
                self._wait(error, now)
            else:
                self._go_on()
        self._retry(now)

    def report(self) -> dict[str, Any]:
        return {
            "stored": self.stored,
            "stored_untouched": self.stored_untouched,
            "missed": self.missed,
            "over_budget": self.over_budget,
            "evicted": self._store.evicted,
            "bytes": self._store.size,
            "stuck": self._store.stuck,
            "waiting": self.waiting,
        }

    def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        try:
            if self._in_hand is not None:
                self._keep(self._clock())
            if self._in_hand is not None:  # nobody tries it again
                self.missed += 1
            self._budget.close()
        finally:
            self._store.close()

    def discard(self) -> None:
        self.close()

    def _encoded(self, frame: Frame, denoised: Image) -> Mapping[str, bytes]:
        suffix = f".{self.options.format}"
        content, said = encode_picture(denoised, suffix), caption(frame.treatment)
        if said is not None:
            content = with_caption(content, said)
        if not self.options.twin:
            return {f"_{UNTOUCHED}{suffix}" if _is_untouched(frame) else suffix: content}
        name = UNTOUCHED if _is_untouched(frame) else "denoised"
        return {f"noisy{suffix}": encode_picture(frame.image, suffix), f"{name}{suffix}": content}

    def _retry(self, now: float) -> None:
        if self._in_hand is not None and now >= self._retry_at:
            self._keep(now)

    def _keep(self, now: float) -> None:
        """Store the frame in hand; it stays there when the disk does not take it."""
        assert self._in_hand is not None
        size = _size(self._in_hand)
        try:
            self._see_to_folder()
            if not self._budget.allows(size):
                if not self.over_budget:
                    say(f"{self.name}: the day's budget is spent; frames are left out until there is room again")
                self.over_budget += 1
                self._in_hand = None
                return
            self._store.add(self._in_hand)
        except UsageError as error:  # the camera came back with larger frames
            say(f"{self.name}: {error}")
            self.missed += 1
            self._in_hand = None
            return
        except StorageError as error:
            self._wait(error, now)
            return
        self._budget.wrote(size)
        self._in_hand = None
        self.stored += 1
        self.stored_untouched += self._in_hand_untouched
        self._go_on()

    def _see_to_folder(self) -> None:
        """Take the folder anew where it is not the one any more that was held; the day's budget goes with the run."""
        if self._store.ensure():
            say(f"{self.name}: the folder was gone, or another one is in its place; it is used from now on")
            self._budget.moved()

    def _wait(self, error: StorageError, now: float) -> None:
        if self.waiting is None:
            say(f"{self.name}: {error} Trying again; frames are missed meanwhile.")
        self.waiting = " ".join(str(error).split())
        self._retry_at = now + self._pause
        self._pause = min(2 * self._pause, _LAST_RETRY)

    def _go_on(self) -> None:
        if self.waiting is not None:
            say(f"{self.name}: storing again, {self.missed} frames were missed")
        self.waiting, self._pause = None, _FIRST_RETRY

    def _check_room(self, size: int, about: str) -> None:
        """Refuse at the start what could never hold a frame."""
        for key, limit in (("size", self.options.size), ("daily", self.options.daily)):
            if limit is not None and limit < size:
                raise UsageError(
                    f"A spool's {key} must have room for one frame, which takes {about}{size:,} bytes. "
                    f"Received: {key}={limit}. Remedy: for example {key}={-(-size // 10**6) * 100}MB"
                )


def _is_untouched(frame: Frame) -> bool:
    return frame.treatment is not None and frame.treatment.share == 0.0


def _size(files: Mapping[str, bytes]) -> int:
    return allocated({name: len(content) for name, content in files.items()})


def _bytes(text: str) -> int:
    """``500MB``, ``2GiB``, ``1.5G`` or plain bytes."""
    word = text.strip().upper()
    binary = word.endswith("IB")
    word = word[:-2] if binary else word.removesuffix("B")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    factor = 1024 ** list(_UNITS).index(unit) if binary else _UNITS[unit]
    size = float(word.removesuffix(unit)) * factor
    if not 1 <= size <= 10**15:
        raise ValueError
    return int(size)


def _seconds(text: str) -> float:
    return read_number(text, 0.001, 10**7)


def _steps(text: str) -> float:
    return read_number(text, 0.01, 255)


def _yes(text: str) -> bool:
    words = {"yes": True, "true": True, "": True, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _format(text: str) -> str:
    if text not in ("jpg", "png"):
        raise ValueError
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "size": _bytes,
    "daily": _bytes,
    "every": _seconds,
    "change": _steps,
    "gap": _seconds,
    "twin": _yes,
    "format": _format,
}
_MEANINGS = {
    "size": "a number of bytes such as 500MB or 2GiB",
    "daily": "a number of bytes such as 500MB or 2GiB",
    "every": "seconds between two frames, 0.001 to 10000000",
    "change": "steps of 255, 0.01 to 255",
    "gap": "seconds, 0.001 to 10000000",
    "twin": "yes or no",
    "format": "jpg or png",
}

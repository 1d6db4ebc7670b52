"""SpoolSink: keeps a field sensor's frames in a folder of bounded size, unattended for months."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.network.treatment import UNTOUCHED, caption
from edge.run.frame import Frame
from edge.sinks.base import Sink
from edge.sinks.spool.entries import allocated
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.store import Store
from edge.sinks.spool.trigger import Trigger
from edge.sinks.spool.write_budget import WriteBudget
from edge.sinks.trouble import Trouble
from quietcam.data.pictures.caption import with_caption
from quietcam.data.pictures.files import encode_picture
from quietcam.errors import StorageError, UsageError
from quietcam.image import Image
from quietcam.terminal.log import log

__all__ = ["SpoolSink"]

_BUDGET_FILE = ".budget.json"
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0  # seconds


class SpoolSink(Sink):
    """Stores frames as :class:`SpoolOptions` says.

    A frame counts as stored when it is on the disk. A disk that is full or missing does not stop the run: the current
    frame waits and is tried again; frames that would have been kept meanwhile are counted as ``missed``.

    Only fully denoised frames are kept. If the ladder has reduced the work on a frame, the next one is kept instead:
    ``wants`` asks for its full treatment. The comment of each file says what was done to it. A picture that the network
    did not change is called ``untouched``.

    Args:
        options: what to keep, and where.
        frame_size: ``(width, height)`` of the camera; None if unknown.
        clock: seconds, monotonic, for all timing.
        wall: unix seconds, for file names only.

    Raises:
        StorageError: (when opened) the folder cannot be written to.
        UsageError: (when opened, or at the first frame) it has no room for one frame, or another process uses it.
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
        self.stored = self.stored_untouched = self.over_budget = 0
        self.trouble = Trouble(self.name, "storing", _FIRST_RETRY, _LAST_RETRY, clock)
        self._frame_size = frame_size
        self._clock = clock
        self._store = Store(options.folder, options.size, wall, clock)
        self._budget = WriteBudget(options.daily, options.folder / _BUDGET_FILE, clock, wall)
        self._trigger = Trigger(options.every, options.change, options.gap)
        self._in_hand: Mapping[str, bytes] | None = None
        self._in_hand_untouched = False
        self._asked = float("-inf")
        self._opened = False
        self.shelf = self._store.shelf(self.name)

    @property
    def missed(self) -> int:
        """Frames that could not be stored, because another one waited for the disk."""
        return self.trouble.missed

    @property
    def waiting(self) -> str | None:
        """Why the current frame cannot be stored now; None if no frame waits."""
        return self.trouble.waiting

    def open(self) -> None:
        if self._opened:
            return
        if self._frame_size is not None:
            width, height = self._frame_size
            self._check_room(3 * width * height * (2 if self.options.twin else 1), "up to ")
        self._store.open()
        self._budget.load(lambda: self._store.descriptor)
        self._tell_of_budget()
        self._opened = True

    def wants(self, frame: Frame) -> bool:
        if self._in_hand is not None:  # another frame could not be stored
            return False
        now = self._clock()
        if self._trigger.due(now):
            return True
        # Noise that looks like a change must not ask for full treatment again and again.
        if now - self._asked < self.options.gap or not self._trigger.wants(frame.image, now):
            return False
        self._asked = now
        return True

    def write(self, frame: Frame, denoised: Image) -> None:
        now = self._clock()
        self.frames += 1
        self._retry()
        if not self._trigger.wants(denoised, now):
            return
        if self._in_hand is not None:
            self._trigger.kept(denoised, now)
            self.trouble.missed += 1
            return
        if frame.treatment is not None and frame.treatment.lessened:
            return
        self._trigger.kept(denoised, now)
        self._in_hand = self._encoded(frame, denoised)
        self._in_hand_untouched = _is_untouched(frame)
        if self.stored == 0 and self._frame_size is None:
            self._check_room(_size(self._in_hand), "")
        self._keep()

    def status(self, report: dict[str, Any]) -> None:  # noqa: ARG002  called also while no frames come
        if self._in_hand is None and self.trouble.over:
            try:
                self._see_to_folder()
            except StorageError as error:
                self.trouble.failed(error)
            else:
                self.trouble.works()
        self._retry()

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
                self._keep()
            if self._in_hand is not None:  # nobody will try it again
                self.trouble.missed += 1
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

    def _retry(self) -> None:
        if self._in_hand is not None and self.trouble.over:
            self._keep()

    def _keep(self) -> None:
        """Store the current frame; it keeps waiting if the disk does not take it."""
        assert self._in_hand is not None
        size = _size(self._in_hand)
        try:
            self._see_to_folder()
            if not self._budget.allows(size):
                if not self.over_budget:
                    log.warning(
                        f"{self.name}: the day's write budget is spent; no frame is stored until there is room again"
                    )
                self.over_budget += 1
                self._in_hand = None
                return
            self._store.add(self._in_hand)
        except UsageError as error:  # the camera came back with larger frames
            log.warning(f"{self.name}: {error}")
            self.trouble.missed += 1
            self._in_hand = None
            return
        except StorageError as error:
            self.trouble.failed(error)
            return
        self._budget.wrote(size)
        self._in_hand = None
        self.stored += 1
        self.stored_untouched += self._in_hand_untouched
        self.trouble.works()

    def _see_to_folder(self) -> None:
        """If the path leads to another folder now, use that one and move the day's count into it."""
        if self._store.ensure():
            log.warning(f"{self.name}: the folder was deleted, moved or replaced; the one at this path now is used")
            self._budget.moved()
            self._tell_of_budget()

    def _tell_of_budget(self) -> None:
        if self._budget.damaged:
            log.warning(
                f"{self.name}: {_BUDGET_FILE} cannot be read as a count, so the day's write budget counts as spent. "
                "Remedy: wait for a day, or stop, remove that file, and start again."
            )

    def _check_room(self, size: int, about: str) -> None:
        """Refuse limits that could never hold a frame."""
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

"""Hub: takes frames from the sink's thread, encodes each once in another thread, and hands them to all viewers.

A frame that nobody waits for is neither copied nor encoded. Older frames are dropped in two places: before the encoder,
and for each viewer, which gets the newest encoded frame whenever it is ready for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge.network.treatment import Treatment, caption
from edge.run.frame import Frame
from edge.web.encoding import Encoder, Key
from quietcam.image import Image
from quietcam.process.stopping import process

__all__ = ["Encoded", "Hub", "Viewer"]

_GRACE = 1.0  # seconds that the encoder has to end
_STILL_WANTED = 0.5  # seconds: a viewer that has been busy with its last frame for longer does not count


class Encoded(NamedTuple):
    """The camera's frame number ``frame``, encoded. ``taken``: when the sink got it, seconds of ``time.monotonic``."""

    content: bytes
    number: int
    frame: int
    taken: float
    treatment: Treatment | None = None


class Viewer:
    """A viewer: asks for the next frame when it is done with the last."""

    def __init__(self, hub: Hub, key: Key, seen: int, brief: bool) -> None:
        self.key = key
        self.brief = brief
        self.wanted_until = math.inf
        self._hub = hub
        self._seen = seen

    async def next(self) -> Encoded:
        """The newest encoded frame, waiting for one that this viewer has not had."""
        self.wanted_until = math.inf
        encoded = await self._hub._newer(self.key, self._seen, self.brief)
        self._seen = encoded.number
        self.wanted_until = self._hub.clock() + _STILL_WANTED
        return encoded


@dataclass
class _Slot:
    """Memory for one frame on its way to the encoder."""

    noisy: Image | None = None
    denoised: Image | None = None
    index: int = 0
    taken: float = 0.0
    treatment: Treatment | None = None


class Hub:
    """See the module. ``offer`` is for one thread, ``watch`` and viewers for the event loop's.

    Args:
        quality: of JPEG, 1 to 100.
        on_error: called with an error of the encoder; the frame is left out.
        encoded: number of frames that earlier hubs encoded.
    """

    def __init__(
        self,
        quality: int,
        on_error: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
        encoded: int = 0,
    ) -> None:
        self.clock = clock
        self.encoded = encoded
        """How often a frame was encoded, all views together."""
        self._encoder = Encoder(quality)
        self._on_error = on_error
        self._viewers: tuple[Viewer, ...] = ()  # replaced, never changed: other threads read it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._latest: dict[Key, Encoded] = {}
        self._whole: dict[Key, Encoded] = {}  # the latest frame of each view that had full treatment
        self._fresh = asyncio.Event()
        self._number = 0
        self._changed = threading.Condition()
        self._pending: _Slot | None = None
        self._free = [_Slot(), _Slot()]
        self._closed = False
        self._thread = threading.Thread(target=self._encode, name="quietcam-encoder", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to encode; viewers live in ``loop``."""
        self._loop = loop
        self._thread.start()

    def close(self) -> None:
        """End the encoder's thread, or abandon it if it hangs. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        process.wait([self._thread], _GRACE)

    @property
    def watching(self) -> int:
        """How many viewers watch, without those that want only one picture."""
        return sum(not viewer.brief for viewer in self._viewers)

    @property
    def snapshot_wanted(self) -> bool:
        """Whether somebody waits for one denoised picture."""
        return any(viewer.brief and viewer.key.needs_denoised for viewer in self._viewers)

    def offer(self, frame: Frame, denoised: Image) -> None:
        """Take a new frame. It is copied if somebody waits for it, so its memory is free when this returns."""
        wanted = self._wanted()
        if not wanted:
            return
        with self._changed:
            slot, self._pending = self._pending or self._free.pop(), None  # a frame that still waits is dropped
        slot.noisy = _copied(frame.image, slot.noisy) if any(key.needs_noisy for key in wanted) else None
        slot.denoised = _copied(denoised, slot.denoised) if any(key.needs_denoised for key in wanted) else None
        slot.index, slot.taken, slot.treatment = frame.index, self.clock(), frame.treatment
        with self._changed:
            self._pending = slot
            self._changed.notify_all()

    @contextlib.contextmanager
    def watch(self, key: Key, brief: bool = False) -> Iterator[Viewer]:
        """A viewer that gets frames that are newer than this call. ``brief``: it wants only one frame, and one from
        which the ladder took nothing away.
        """
        latest = self._latest.get(key)
        viewer = Viewer(self, key, latest.number if latest else 0, brief)
        self._viewers += (viewer,)
        try:
            yield viewer
        finally:
            self._viewers = tuple(each for each in self._viewers if each is not viewer)
            if not any(each.key == key for each in self._viewers):
                self._latest.pop(key, None)
                self._whole.pop(key, None)

    async def _newer(self, key: Key, seen: int, whole: bool) -> Encoded:
        while True:
            latest = (self._whole if whole else self._latest).get(key)
            if latest is not None and latest.number > seen:
                return latest
            await self._fresh.wait()

    def _wanted(self) -> set[Key]:
        now = self.clock()
        return {viewer.key for viewer in self._viewers if viewer.wanted_until >= now}

    def _encode(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._pending is not None)
                if self._closed or self._pending is None:
                    return
                slot, self._pending = self._pending, None
            done: dict[Key, Encoded] = {}
            self._number += 1
            for key in sorted(self._wanted()):
                missing = (key.needs_noisy and slot.noisy is None) or (key.needs_denoised and slot.denoised is None)
                if missing:  # asked for after the frame was copied
                    continue
                said = caption(slot.treatment) if key.needs_denoised else None
                try:
                    content = self._encoder.encode(key, slot.noisy, slot.denoised, said)
                except Exception as error:  # noqa: BLE001  one odd frame must not end the stream
                    self._on_error(error)
                    continue
                done[key] = Encoded(content, self._number, slot.index, slot.taken, slot.treatment)
                self.encoded += 1
            with self._changed:
                self._free.append(slot)
            if done and self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._publish, done)

    def _publish(self, done: dict[Key, Encoded]) -> None:
        watched = {viewer.key for viewer in self._viewers}
        for key in watched & done.keys():
            self._latest[key] = encoded = done[key]
            if encoded.treatment is None or not encoded.treatment.lessened or not key.needs_denoised:
                self._whole[key] = encoded
        fresh, self._fresh = self._fresh, asyncio.Event()
        fresh.set()


def _copied(image: Image, into: Image | None) -> Image:
    if into is None or into.shape != image.shape:
        return image.copy()
    np.copyto(into, image)
    return into

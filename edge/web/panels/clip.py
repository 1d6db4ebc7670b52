"""Clips: a few seconds of the noisy and the denoised frames, side by side, as an MP4 that is made in memory."""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from edge.network.treatment import caption
from edge.run.frame import Frame
from edge.sinks.base import side_by_side
from quietcam.errors import MissingExtraError
from quietcam.extras import has_av, load_av
from quietcam.image import Image
from quietcam.process.priority import give_way

__all__ = ["MOST_BYTES", "MOST_SECONDS", "ClipBusyError", "Clips", "NoFramesError"]

MOST_SECONDS = 10.0
"""The longest clip."""

MOST_BYTES = 32 << 20
"""A clip ends when it is so large, whatever its time."""

_FIRST_SECONDS = 3.0  # longest wait for the first frame, and then for the next one
_WAITING = 3  # frames that are copied and wait for the encoder
_FPS = 25.0  # nominal: the frames have their own times
_KEY_EVERY = 1.0  # seconds


class ClipBusyError(Exception):
    """Another clip is being made."""


class NoFramesError(Exception):
    """No frame came in time."""


class Clips:
    """Makes one clip at a time. ``offer`` is for the sink's thread, ``make`` for an event loop.

    While no clip is made, a frame costs nothing. While one is made, it is copied, or left out where the encoder, which
    gives way to the network, still has ``_WAITING`` others.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._job: _Job | None = None

    def offer(self, frame: Frame, denoised: Image) -> None:
        """Take a frame into the clip that is being made, if there is one."""
        if (job := self._job) is not None:
            job.offer(frame, denoised)

    async def make(self, seconds: float) -> bytes:
        """An MP4 of the next ``seconds``.

        Raises:
            MissingExtraError: PyAV is missing.
            ClipBusyError: another clip is being made.
            NoFramesError: no frame comes.
            DeviceError: there is no encoder for H.264, or it fails.
        """
        if not has_av():
            raise MissingExtraError.missing("av")
        if self._job is not None:
            raise ClipBusyError
        job = self._job = _Job(min(seconds, MOST_SECONDS), self._clock)
        try:
            return await job.run()
        finally:
            self._job = None
            job.stop()

    def close(self) -> None:
        """End the clip that is being made."""
        if (job := self._job) is not None:
            job.stop()


class _Job:
    """One clip, encoded in a thread of its own."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._waiting: queue.Queue[tuple[Image, Frame] | None] = queue.Queue(_WAITING)
        self._stopped = False

    def offer(self, frame: Frame, denoised: Image) -> None:
        if not self._waiting.full():  # one thread alone puts frames
            self._waiting.put_nowait((side_by_side(frame.image, denoised), frame))

    def stop(self) -> None:
        self._stopped = True
        with contextlib.suppress(queue.Full):  # then the thread looks by itself
            self._waiting.put_nowait(None)

    async def run(self) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def tell(content: bytes, error: Exception | None) -> None:
            if answer.done():  # the client left
                return
            if error is None:
                answer.set_result(content)
            else:
                answer.set_exception(error)

        def work() -> None:
            give_way()
            content, error = b"", None
            try:
                content = self._encoded()
            except Exception as caught:  # noqa: BLE001  raised again where it is awaited
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, content, error)

        threading.Thread(target=work, name="quietcam-clip", daemon=True).start()
        return await answer

    def _encoded(self) -> bytes:
        first = self._next()
        if first is None:
            raise NoFramesError
        film = _Film(*first)
        until = self._clock() + self._seconds
        while self._clock() < until and film.size < MOST_BYTES:
            given = self._next()
            if given is None or given[0].shape != first[0].shape:
                break
            film.add(*given)
        return film.finish()

    def _next(self) -> tuple[Image, Frame] | None:
        """The next frame; None if there is none in time, or nobody waits for the clip any more."""
        with contextlib.suppress(queue.Empty):
            given = self._waiting.get(timeout=_FIRST_SECONDS)
            return None if self._stopped else given
        return None


class _Film:
    """An MP4 in memory that begins with this picture, uint8 ``(H, W, 3)``."""

    def __init__(self, picture: Image, frame: Frame) -> None:
        from edge.sinks.video.encoder import Encoder
        from edge.sinks.video.times import Times

        self._file = io.BytesIO()
        self._container: Any = load_av().open(self._file, "w", format="mp4")
        self._container.metadata["title"] = "left: camera, right: denoised"
        if (said := caption(frame.treatment)) is not None:
            self._container.metadata["comment"] = said
        self._encoder = Encoder(self._container, (picture.shape[1], picture.shape[0]), _FPS, _KEY_EVERY)
        self._times = Times(_FPS)
        self.add(picture, frame)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def add(self, picture: Image, frame: Frame) -> None:
        tick = self._times.tick(frame.timestamp)
        self._write(self._encoder.encode(picture, tick, self._times.interval))

    def finish(self) -> bytes:
        self._write(self._encoder.flush())
        self._container.close()
        return self._file.getvalue()

    def _write(self, packets: list[Any]) -> None:
        for packet in packets:
            self._container.mux_one(packet)

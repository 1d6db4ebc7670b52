"""Reads a video with PyAV: upright, in the colors that ffmpeg shows, each frame at its time."""

from __future__ import annotations

import contextlib
import errno
import itertools
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from quietcam.data.pictures.opencv import check_frame_size
from quietcam.data.video.av_frames import DecodedFrames, JoinedFields
from quietcam.data.video.av_input import open_input, video_stream
from quietcam.data.video.av_picture import AvPicture, upright_size
from quietcam.data.video.video import STALLED, Times, Video, incomplete, sensible
from quietcam.errors import DataError, QuietcamError
from quietcam.extras import load_av
from quietcam.image import Image
from quietcam.process.native_output import native_output_caught

__all__ = ["AvVideo"]

T = TypeVar("T")

_HASTE = 1.2  # a rate that many times the announced one is told by the frames themselves
_BACK = (0.0, 10.0)  # seconds before a frame, where its key frame is looked for
_MOST_TIMES = 10_000_000  # of frames of one video: four days of them


class AvVideo(Video):
    """A video through PyAV."""

    def __init__(self, place: Path | str, name: str | None = None) -> None:
        super().__init__(place, name)
        self._played = _Played(place, self.name, self.container.without_index)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        """What the container and its first packets tell. The first frame tells how it is turned."""
        stream = self._played.stream
        check_frame_size(stream.width, stream.height, self.name)
        announced = sensible(float(stream.average_rate or stream.guessed_rate or 0.0), 1e-3, 1e3)
        gaps = [later - sooner for sooner, later in itertools.pairwise(self._played.probe())]
        middle = self._played.base * statistics.median(gaps) if gaps else 0.0
        told = sensible(1 / middle, 1e-3, 1e3) if middle > 0.0 else None
        self._step = 1 / announced if announced else None
        self._fps = round(told, 3) if told is not None and (not announced or told > _HASTE * announced) else announced
        self.total = stream.frames if stream.frames > 0 and self.container.counted else None
        self._picture, self._times = AvPicture(self.name), Times()
        self._began: int | None = None
        self._before = 0  # damaged places before it was opened anew
        self._first = self._played.next()
        self.size = (stream.width, stream.height) if self._first is None else upright_size(self._first)

    @property
    def fps(self) -> float | None:
        return self._fps

    def read(self) -> tuple[Image, float] | None:
        frame = self._next()
        if frame is None:
            return None
        if self._began is None:
            self._began = frame.pts
        base = self._played.base
        seconds = None if frame.pts is None or self._began is None else (frame.pts - self._began) * base
        self.shown_for = sensible(frame.duration * base, 1e-6, 1e6) if frame.duration else None
        return self._picture.convert(frame), self._times.after(seconds, self._step)

    def seek(self, frame: int) -> None:
        self._first, self._times = None, Times()
        shown = self._shown_at()
        if shown is None:
            self._anew()
            while frame > 0 and self._next() is not None:
                self._times.after(None, self._step)
                frame -= 1
            return
        self._began = shown[0] if shown else None
        if frame >= len(shown):
            self._played.end()
            return
        wanted = shown[frame]
        if not self._played.seek(wanted):
            self._anew()
            self._played.leave_out_before(wanted)

    def count(self) -> int:
        frames = 0
        while self._next() is not None:
            frames += 1
        return frames

    def close(self) -> None:
        self._played.close()

    def _next(self) -> Any:
        frame, self._first = self._first, None
        frame = self._played.next() if frame is None else frame
        self.damaged = self._before + self._played.damaged
        return frame

    def _anew(self) -> None:
        self._before += self._played.damaged
        self._played.close()
        self._played = _Played(self.place, self.name, self.container.without_index)

    def _shown_at(self) -> list[int] | None:
        """When each frame is shown, by the packets, in order; None where they do not tell."""
        with contextlib.closing(_Played(self.place, self.name, self.container.without_index)) as other:
            times: set[int] = set()
            for packet in other.packets():
                if packet.pts is None or len(times) > _MOST_TIMES:
                    return None
                if not packet.is_discard:
                    times.add(packet.pts)
        return sorted(times)


class _Played:
    """A container that is open, and where it is played."""

    def __init__(self, place: Path | str, name: str, without_index: bool) -> None:
        self._name, self._remote = name, not isinstance(place, Path)
        self._without_index = without_index
        self._container = self._opened(place)
        try:
            self.stream = video_stream(self._container, name, "AUTO")
        except BaseException:
            self.close()
            raise
        self.base = float(self.stream.time_base or 0.0)
        """Seconds of one unit of time."""
        self._frames = DecodedFrames(self._container, self.stream)
        self._fields = JoinedFields(self.stream, name)
        self._ready: deque[Any] = deque()
        self._from: int | None = None
        self._ended = False

    @property
    def damaged(self) -> int:
        return self._frames.damaged

    def close(self) -> None:
        self._container.close()

    def probe(self) -> list[int]:
        return self._tried(self._frames.probe) or []

    def packets(self) -> Iterator[Any]:
        while (packet := self._tried(self._frames.packet)) is not None:
            yield packet

    def next(self) -> Any:
        """The next frame; None at the end."""
        while True:
            while not self._ready and not self._ended:
                frame = self._tried(self._frames.next) or self._frames.next()  # what the decoder still holds
                self._ended = frame is None
                self._ready.extend(self._fields.put(frame))
            if not self._ready:
                return None
            frame = self._ready.popleft()
            if self._from is None or frame.pts is None or frame.pts >= self._from:
                self._from = None
                return frame

    def seek(self, wanted: int) -> bool:
        """Play on at the frame of that time. False: the container cannot be sought in."""
        av = load_av()
        self._fields = JoinedFields(self.stream, self._name)
        self._ready.clear()
        self._ended = False
        self.leave_out_before(wanted)
        for back in _BACK:  # MPEG-TS may land behind the key frame
            try:
                self._container.seek(round(wanted - back / (self.base or 1.0)), stream=self.stream)
                self._frames.restart()
                if self._frames.begin_at_key(wanted):
                    return True
            except av.error.FFmpegError:
                return False
        return False

    def leave_out_before(self, wanted: int) -> None:
        self._from = wanted

    def end(self) -> None:
        self._ready.clear()
        self._ended = True

    def _opened(self, place: Path | str) -> Any:
        av = load_av()
        try:
            with native_output_caught():
                if self._remote:
                    return open_input(place, (STALLED, STALLED))
                return open_input(place)
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, QuietcamError):
                raise
            if isinstance(error, av.error.ExitError):
                raise incomplete(self._name) from None
            if self._without_index:
                raise DataError(
                    f"A video must have its index (moov). Received: {self._name}, which has none: its recording was "
                    "cut off. Remedy: repair it with untrunc and a whole clip of the same camera."
                ) from None
            raise DataError(
                f"FFmpeg cannot read this file as a video. Received: {self._name}. "
                "Remedy: convert it, for example with: ffmpeg -i FILE out.mp4"
            ) from None

    def _tried(self, step: Callable[[], T]) -> T | None:
        """What ``step`` returns; None where the file ends in the midst of a packet. Damage has been left out before.

        Raises:
            DataError: a server does not send all of it.
        """
        av = load_av()
        try:
            return step()
        except av.error.FFmpegError as error:
            # Where the size is unknown, FFmpeg calls the end of the line an error of input.
            if self._remote and not (error.errno == errno.EIO and self._container.size <= 0):
                silent = isinstance(error, av.error.ExitError)
                raise incomplete(self._name, "" if silent else error.strerror or "no reason") from None
            self._frames.no_more()
            return None

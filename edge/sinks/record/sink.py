"""RecordSink: records a camera in H.264, unattended, in a folder of bounded size."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.record.options import RecordOptions
from edge.sinks.record.segments import Segments
from edge.sinks.trouble import Trouble
from edge.sinks.video.clip import check_room
from edge.sinks.video.growing_file import GrowingFile
from edge.sinks.video.part import Part
from quietcam.errors import StorageError
from quietcam.extras import load_av
from quietcam.image import Image, to_rgb
from quietcam.terminal.log import log

__all__ = ["RecordSink"]

_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0  # seconds
_GAP = 5.0  # seconds without a frame, or the time of ten frames if that is longer, after which a segment ends
_AHEAD = 1 << 20  # bytes that a segment counts more than it has: the next fragment, and its index


class RecordSink(Sink):
    """Stores frames as :class:`RecordOptions` says, in segments that begin with a key frame.

    The segment that is being recorded has a name that says so, and can be played. At its end it gets its final name. If
    the process is killed, the next start gives it a name that ends in ``_cut``.

    A disk that is full or missing does not stop the run: the segment ends with what it has, frames count as ``missed``,
    and the next segment begins when the disk takes it.

    Args:
        options: where, and how much.
        fps: nominal frames a second. The segments have the times of the frames.
        before_after: the noisy frame on the left of the denoised one.
        clock: seconds, monotonic, for attempts.
        wall: unix seconds, for file names only.

    Raises:
        MissingExtraError: PyAV is missing.
        StorageError: (when opened) the folder cannot be written to.
        UsageError: (when opened) another process uses it.
        DeviceError: (at the first frame) there is no encoder for H.264, or it fails.
    """

    gives_way = True

    def __init__(
        self,
        options: RecordOptions,
        fps: float = 25.0,
        before_after: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        load_av()  # now, since it takes a moment
        self.name = f"record:{options.folder}"
        self.options = options
        self.stored = 0
        self.trouble = Trouble(self.name, "recording", _FIRST_RETRY, _LAST_RETRY, clock)
        self._fps, self._before_after = fps, before_after
        self._segments = Segments(options.folder, options.size, wall, clock)
        self._video: Part | None = None
        self._encoder: str | None = None
        self._pending = 0  # frames that the encoder has, and the file has not
        self._shape: tuple[int, ...] = ()
        self._began = self._newest = 0.0  # by the frames' timestamps
        self._opened = False
        self.shelf = self._segments.shelf(self.name)

    def open(self) -> None:
        if self._opened:
            return
        self._segments.open()
        self._opened = True

    def write(self, frame: Frame, denoised: Image) -> None:
        self.frames += 1
        if not self.trouble.over:
            self.trouble.missed += 1
            return
        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        try:
            self._record(picture, frame.timestamp)
        except StorageError as error:
            self.trouble.missed += 1
            self._fail(error)

    def status(self, report: dict[str, Any]) -> None:  # noqa: ARG002  called also while no frames come
        if self._video is None and self.trouble.over:
            try:
                self._see_to_folder()
            except StorageError as error:
                self.trouble.failed(error)

    def report(self) -> dict[str, Any]:
        return {
            "stored": self.stored,
            "missed": self.trouble.missed,
            "evicted": self._segments.evicted,
            "bytes": self._segments.size,
            "stuck": self._segments.stuck,
            "waiting": self.trouble.waiting,
            "encoder": self._encoder,
        }

    def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        try:
            self._end()
        except StorageError as error:
            self._fail(error)
        finally:
            self._segments.close()

    def discard(self) -> None:
        self.close()

    def _record(self, picture: Image, seconds: float) -> None:
        if self._video is not None and self._is_over(picture, seconds):
            self._end()
        if self._video is None:
            self._begin(picture, seconds)
        video = self._video
        assert video is not None
        before = video.file.whole
        try:
            video.add(picture, seconds)
        except OSError as error:
            raise StorageError.writing(self.options.folder, error) from error
        self._newest = seconds
        self._pending += 1
        if video.playable and video.file.whole > before:  # about once a second
            self._settle()
            self._segments.grow(video.file.size + _AHEAD)
            check_room(self.options.folder, self._segments.descriptor, video.frames)

    def _is_over(self, picture: Image, seconds: float) -> bool:
        assert self._video is not None
        return (
            picture.shape != self._shape
            or not self._began <= seconds < self._began + 60 * self.options.minutes
            or seconds - self._newest > max(_GAP, 10 / self._fps)
            or self._video.file.size + _AHEAD > self.options.segment
        )

    def _begin(self, picture: Image, seconds: float) -> None:
        self._see_to_folder()
        check_room(self.options.folder, self._segments.descriptor, 0)
        suffix = f".{self.options.format}"
        file = GrowingFile(self._segments.begin(suffix))
        try:
            self._segments.grow(_AHEAD)
            self._video = Part(file, suffix, (picture.shape[1], picture.shape[0]), self._fps)
        except BaseException:
            file.close()
            self._segments.finish(0, keep=False)
            raise
        self._encoder = self._video.encoder
        self._shape, self._began = picture.shape, seconds

    def _end(self) -> None:
        """Finish the segment, if there is one."""
        video, self._video = self._video, None
        if video is None:
            return
        keep = False
        try:
            video.finish()
            keep = True
            self._settle()
        except OSError as error:
            keep = video.playable
            raise StorageError.writing(self.options.folder, error) from error
        finally:
            video.file.close()
            self._segments.finish(video.file.whole, keep)

    def _settle(self) -> None:
        """All frames so far are in the file."""
        self.stored += self._pending
        self._pending = 0
        self.trouble.works()

    def _fail(self, error: StorageError) -> None:
        self.trouble.missed += self._pending
        self._pending = 0
        try:
            self._end()
        except StorageError as last:
            log.debug("%s: the segment did not end well: %s", self.name, last)
        self.trouble.failed(error)

    def _see_to_folder(self) -> None:
        """If the path leads to another folder now, use that one."""
        if self._segments.ensure():
            log.warning(f"{self.name}: the folder was deleted, moved or replaced; the one at this path now is used")

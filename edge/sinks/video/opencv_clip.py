"""OpenCVClip: a clip in a codec that OpenCV can write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge.sinks.video.clip import ClipSink
from edge.sinks.video.tempo import set_tempo
from edge.sinks.video.times import LEAP
from quietcam.data.pictures.opencv import open_capture, open_writer
from quietcam.errors import StorageError, UsageError
from quietcam.files.atomic import Draft
from quietcam.image import Image, swap_red_blue
from quietcam.process.native_output import native_output_caught

__all__ = ["CODECS", "OpenCVClip"]

CODECS = {".webm": "VP80", ".mp4": "mp4v", ".avi": "MJPG"}
"""What OpenCV's own FFmpeg can write, by suffix."""

_STEADY = 0.98  # a tempo that is nearer than this to the nominal one is not changed
_LEAST_SHARE = 0.99  # of the frames of a whole clip; its count may be rounded, and a clip that was cut off has none


class OpenCVClip(ClipSink):
    """A clip at a fixed rate. OpenCV does not report that it cannot write, so a clip gets its name only after its
    container, read back, reports as many frames as were written.

    Args:
        path, fps, before_after, overwrite, parts: as :class:`ClipSink`; ``path`` ends in one of ``CODECS``.

    Raises:
        UsageError: ``path`` has another suffix; else as :class:`ClipSink`.
        StorageError: as :class:`ClipSink`.
    """

    def __init__(
        self, path: Path, fps: float, before_after: bool = False, overwrite: bool = False, parts: bool = False
    ) -> None:
        if path.suffix.lower() not in CODECS:
            raise UsageError(f"A clip ends in {', '.join(CODECS)}. Received: {path}.")
        super().__init__(path, fps, before_after, overwrite, parts)
        self._writer: Any = None
        self._file = path
        self._last: Image | None = None
        self._began = 0.0  # by the frames' timestamps

    def _start(self, file: Path, size: tuple[int, int]) -> None:
        import cv2

        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        width, height = (side + side % 2 for side in size)
        with native_output_caught():
            writer = open_writer(file, cv2.CAP_FFMPEG, codec, self._fps, (width, height))
        if not writer.isOpened():
            raise StorageError(
                f"OpenCV cannot write this clip. Received: {self._path}, {width}x{height} at {self._fps:g} "
                f"frames a second. Remedy: choose another suffix of {', '.join(CODECS)}, or a folder."
            )
        self._writer, self._file, self._last = writer, file, None

    def _add(self, picture: Image, timestamp: float) -> None:
        height, width = picture.shape[:2]
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._in_part == 0:
            self._began = timestamp
        if not self._parts:
            self._hold(timestamp)
        self._last = swap_red_blue(picture)
        self._writer.write(self._last)
        self._in_part += 1

    def _stop(self, keep: bool) -> None:
        if keep and not self._parts:
            self._hold(self._until)
        with native_output_caught():
            self._writer.release()
        self._writer = None
        if not keep:
            return
        there = _frames(self._file)
        if there < self._in_part * _LEAST_SHARE:
            raise StorageError(
                f"The clip could not be written whole. Received: {self._path} with {self._in_part} frames, of "
                f"which {max(there, 0)} can be read back. Remedy: free some space, or choose another place."
            )
        if self._parts:
            self._keep_time()

    def _is_there(self, draft: Draft) -> bool:
        return draft.temporary.exists()

    def _hold(self, now: float) -> None:
        """Repeat the last picture until it is time for this one: the frames of a file may have varying intervals, and
        the codec's rate is fixed. After a long interval, counting starts again.
        """
        if self._last is None or now - self._newest > LEAP:
            self._began = now - self._in_part / self._fps
            return
        for _ in range(round((now - self._began) * self._fps) - self._in_part):
            self._writer.write(self._last)
            self._in_part += 1
            self._check()

    def _keep_time(self) -> None:
        lasts, said = self._newest - self._began, (self._in_part - 1) / self._fps
        if lasts > 0.0 and said > 0.0 and not _STEADY < said / lasts < 1 / _STEADY:
            set_tempo(self._file, lasts / said)


def _frames(path: Path) -> int:
    """How many frames the container at ``path`` reports; 0 or less if it is not whole."""
    import cv2

    with native_output_caught():
        capture = open_capture(path, cv2.CAP_FFMPEG)
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
    return frames

"""Reads a video with OpenCV: upright, in RGB, each frame with its time. Unreliable metadata is not used."""

from __future__ import annotations

import itertools
import re
import statistics
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.pictures.opencv import check_frame_size, open_capture
from quietcam.data.video.video import STALLED, TRIES, Times, Video, incomplete, sensible
from quietcam.errors import DataError
from quietcam.extras import load_opencv
from quietcam.image import Image
from quietcam.process.native_output import native_lines_read, native_output_caught
from quietcam.terminal.log import log

__all__ = ["OpencvVideo", "warn_of_old_opencv"]

_PROBED = 16  # frames whose times give the rate
_HASTE = 1.2  # a rate that many times the announced one is told by the frames themselves
_RIGHT_COLORS = (4, 13)
_warned = False


class OpencvVideo(Video):
    """A video through OpenCV."""

    def __init__(self, place: Path | str, name: str | None = None) -> None:
        super().__init__(place, name)
        self._remote, self._stalled = not isinstance(place, Path), False
        self._capture = self._opened()
        cv2 = load_opencv()
        get = self._capture.get
        # Before 4.13 OpenCV reports how a phone was held but does not turn frames.
        self._turn = None if get(cv2.CAP_PROP_ORIENTATION_AUTO) else _TURNS.get(int(get(cv2.CAP_PROP_ORIENTATION_META)))
        width, height = int(get(cv2.CAP_PROP_FRAME_WIDTH)), int(get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = (height, width) if self._turn in ("ROTATE_90_CLOCKWISE", _COUNTER) else (width, height)
        try:
            check_frame_size(width, height, self.name)
        except DataError:
            self.close()
            raise
        self._announced = sensible(get(cv2.CAP_PROP_FPS), 1e-3, 1e3)
        frames = sensible(get(cv2.CAP_PROP_FRAME_COUNT), 1, 1e9)
        self.total = int(frames) if frames is not None and self.container.counted else None
        self._index, self._times = 0, Times()
        warn_of_old_opencv()

    def close(self) -> None:
        self._capture.release()

    def read(self) -> tuple[Image, float] | None:
        cv2 = load_opencv()
        there, bgr = self._first() if not self._index else self._next()
        if not there:
            return None
        check_frame_size(bgr.shape[1], bgr.shape[0], self.name)  # it may change
        if self._turn is not None:
            bgr = cv2.rotate(bgr, getattr(cv2, self._turn))
        seconds = sensible(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0, 1e9)
        self._index += 1
        step = 1 / self._announced if self._announced else None
        code = cv2.COLOR_BGR2RGB if bgr.ndim == 3 else cv2.COLOR_GRAY2RGB
        return np.asarray(cv2.cvtColor(bgr, code), np.uint8), self._times.after(seconds, step)

    def _first(self) -> tuple[bool, Any]:
        """Read the first frame and check it: a frame that FFmpeg cannot convert comes as black, or as old memory."""
        with native_output_caught(show=False), native_lines_read(_tells_of_fields) as lines:
            there, bgr = self._next()
        if lines:
            raise DataError(
                f"A video must be progressive for OpenCV {load_opencv().__version__}, which shows interlaced frames as "
                f"black. Received: {self.name}, which is interlaced. Remedy: install the extra "
                "'video', which reads it; or ffmpeg -i FILE -vf yadif -crf 10 out.mp4"
            )
        return there, bgr

    def _next(self) -> tuple[bool, Any]:
        """Read the next frame. OpenCV reports damage and the end alike; after damage, more frames may come."""
        began = time.monotonic()
        there, bgr = self._capture.read()
        # What gave up waiting may still hand out the frame that it had.
        self._stalled = self._stalled or (self._remote and time.monotonic() - began > 0.9 * STALLED)
        if there:
            return True, bgr
        if self._stalled:
            raise incomplete(self.name)
        with native_output_caught():  # of each failure the codec would tell anew
            for failed in range(1, TRIES):
                there, bgr = self._capture.read()
                if there:
                    self.damaged += failed
                    return True, bgr
        return False, None

    @cached_property
    def fps(self) -> float | None:
        return self._rate(self._announced)

    def seek(self, frame: int) -> None:
        cv2 = load_opencv()
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
        if abs(self._capture.get(cv2.CAP_PROP_POS_FRAMES) - frame) < 1:
            return
        self._capture.release()
        self._capture = self._opened()
        for _ in range(frame):
            if not self._capture.grab():
                return

    def count(self) -> int:
        frames = failed = 0
        while failed < TRIES:
            there = self._capture.grab()
            frames, failed = (frames + 1, 0) if there else (frames, failed + 1)
        return frames

    def _opened(self) -> Any:
        cv2 = load_opencv()
        with native_output_caught():
            capture = open_capture(self.place, cv2.CAP_FFMPEG, self._limits())
            if not capture.isOpened():  # OpenCV's own readers
                capture = open_capture(self.place, cv2.CAP_ANY)
        if capture.isOpened():
            return capture
        if self.container.without_index:
            raise DataError(
                f"A video must have its index (moov). Received: {self.name}, which has none: its recording was cut "
                "off. Remedy: repair it with untrunc and a whole clip of the same camera."
            )
        raise DataError(
            f"OpenCV cannot read this file as a video. Received: {self.name}. "
            "Remedy: convert it, for example with: ffmpeg -i FILE out.mp4"
        )

    def _limits(self) -> list[int]:
        """Limits for a file behind a URL. Without them OpenCV waits half a minute, even if the run shall stop."""
        cv2 = load_opencv()
        if not self._remote:
            return []
        most = round(1000 * STALLED)
        return [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, most, cv2.CAP_PROP_READ_TIMEOUT_MSEC, most]

    def _rate(self, announced: float | None) -> float | None:
        """The frame rate. The announced rate is a mean; where frames come faster for a while, their rate counts."""
        cv2 = load_opencv()
        times: list[float] = []
        capture = self._opened()
        try:
            with native_output_caught():
                while len(times) < _PROBED and capture.grab():
                    times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        finally:
            capture.release()
        gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
        middle = statistics.median(gaps) if gaps else 0.0
        told = sensible(1 / middle, 1e-3, 1e3) if middle > 0.0 else None
        if told is not None and (announced is None or told > _HASTE * announced):
            return round(told, 3)
        return announced


def warn_of_old_opencv() -> None:
    """Warn once that an old OpenCV shows the colors of most videos in a slightly wrong way."""
    global _warned
    version = load_opencv().__version__
    numbers = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
    if numbers < _RIGHT_COLORS and not _warned:
        _warned = True
        log.warning(
            f"The colors of this video may be wrong with OpenCV {version}: it reads BT.709 (most videos of 720 lines "
            "and more) as BT.601. Remedy: install the extra 'video', or OpenCV 4.13 or later, which needs numpy 2."
        )


def _tells_of_fields(line: str) -> bool:
    """Whether FFmpeg says that it cannot convert a frame since it is interlaced."""
    return "interlaced" in line and ("swscale" in line or "csp:" in line)


_COUNTER = "ROTATE_90_COUNTERCLOCKWISE"
_TURNS = {90: "ROTATE_90_CLOCKWISE", 180: "ROTATE_180", 270: _COUNTER}
"""By what OpenCV calls CAP_PROP_ORIENTATION_META."""

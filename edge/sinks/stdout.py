"""StdoutSink: writes raw frames to the standard output, for ffmpeg, GStreamer or your own program."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import threading
from fractions import Fraction
from typing import Any

import numpy as np

from edge.run.frame import Frame
from edge.sinks.base import Sink, SinkEnded, side_by_side
from quietcam.errors import StorageError, UsageError
from quietcam.image import Image, to_rgb
from quietcam.process.native_output import stderr_for_native_code
from quietcam.terminal.log import log

__all__ = ["StdoutSink", "pipe_lines"]

_PIPE = 1 << 20  # bytes that the kernel may keep for the reader, so that it wakes only a few times a frame
_PATIENCE = 0.2  # seconds between two checks whether the run should stop


def pipe_lines(width: int, height: int, fps: float) -> dict[str, str]:
    """Command lines that read these frames, by program, for users to copy."""
    rate, exact = f"{fps:g}", Fraction(fps).limit_denominator(1001)  # 30000/1001 is the rate of many cameras
    return {
        "ffmpeg": f"ffmpeg -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate} -i - clip.mp4",
        "GStreamer": (
            f"gst-launch-1.0 fdsrc ! rawvideoparse format=rgb width={width} height={height} "
            f"framerate={exact.numerator}/{exact.denominator} ! videoconvert ! autovideosink"
        ),
    }


class StdoutSink(Sink):
    """Writes raw frames, 3 bytes a pixel: red, green, blue; no header, no padding.

    Between ``open`` and ``close`` nothing else reaches the standard output: other output goes to the error stream. All
    frames have the size of the first one, because a reader cannot learn of a new size: later frames are scaled to it.
    When its reader leaves, the sink ends without an error.

    Args:
        fps: frames a second, for the logged command that reads the frames.
        before_after: the noisy frame on the left of the denoised one.
        descriptor: the descriptor to write to. Defaults to the standard output.

    Raises:
        UsageError: the standard output is a terminal.
    """

    name = "-"

    def __init__(self, fps: float, before_after: bool = False, descriptor: int | None = None) -> None:
        self._descriptor = 1 if descriptor is None else descriptor
        if os.isatty(self._descriptor):
            raise UsageError(
                "Raw frames go into a pipe or a file. Received: a terminal. Remedy: for example "
                f"quietcam run --sink - | {pipe_lines(640, 480, 30)['ffmpeg']}"
            )
        self._fps = fps
        self._before_after = before_after
        self._own: int | None = None
        self._waits = False
        self._stopped = threading.Event()
        self._size: tuple[int, int] | None = None

    def open(self) -> None:
        if self._own is not None:
            return
        sys.stdout.flush()
        self._own = os.dup(self._descriptor)
        os.dup2(stderr_for_native_code(), self._descriptor)
        mode = os.fstat(self._own).st_mode
        self._waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        if self._waits:
            os.set_blocking(self._own, False)
            _enlarge(self._own)

    def write(self, frame: Frame, denoised: Image) -> None:
        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        height, width = picture.shape[:2]
        if self._size is None:
            self._size = width, height
            for program, line in pipe_lines(width, height, self._fps).items():
                log.info(f"Raw frames {width}x{height}, for {program}: {line}")
        elif self._size != (width, height):
            picture = self._scaled(picture)
        self._put(memoryview(np.ascontiguousarray(picture).data).cast("B"))
        self.frames += 1

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._own is None:
            return
        if self._waits:
            os.set_blocking(self._own, True)  # the mode belongs to the pipe, not to this descriptor
        os.dup2(self._own, self._descriptor)
        os.close(self._own)
        self._own = None

    def discard(self) -> None:
        self.close()

    def _put(self, rest: memoryview) -> None:
        if self._own is None:
            raise SinkEnded
        whole = len(rest)
        while rest:
            # Half a frame would shift all later ones, so a frame is left unfinished only if nobody reads it.
            if self._waits and not select.select([], [self._own], [], _PATIENCE)[1]:
                if self._stopped.is_set():
                    raise SinkEnded
                continue
            try:
                rest = rest[os.write(self._own, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise SinkEnded from None
            except OSError as error:
                self._take_back(whole - len(rest))
                raise StorageError(
                    f"Cannot write to the standard output: {error.strerror}. Remedy: free space on its disk."
                ) from error

    def _take_back(self, count: int) -> None:
        """Cut an unfinished frame off a file, so that the next one begins where a reader expects it."""
        if self._own is not None and not self._waits and count:
            with contextlib.suppress(OSError):
                os.ftruncate(self._own, os.lseek(self._own, -count, os.SEEK_CUR))

    def _scaled(self, picture: Image) -> Image:
        import cv2

        assert self._size is not None
        scaled: Any = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        return np.asarray(scaled, np.uint8)


def _enlarge(pipe: int) -> None:
    """Ask for a larger buffer in the kernel; an unprivileged user may be given less."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        except OSError:
            return  # a socket, or a limit: the present buffer works too

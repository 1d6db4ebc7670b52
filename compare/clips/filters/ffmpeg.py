"""Runs frames through a filter of the system's ffmpeg, as raw pixels in two pipes."""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import IO

import numpy as np

from edge.child.process import ChildError
from quietcam.errors import DataError, MissingExtraError
from quietcam.image import Image

__all__ = ["INSTALL", "find_ffmpeg", "run_ffmpeg"]

INSTALL = "sudo apt-get install ffmpeg"
"""Command that installs ffmpeg on Debian, Ubuntu and Raspberry Pi OS."""

_KEPT = 4096  # bytes of ffmpeg's messages that are kept
_SHOWN = 300  # characters of them that are shown
_PIPE = 1 << 20  # bytes that a pipe should hold, so that the two processes wait less for each other
_STUCK = 300.0  # seconds without a byte in or out; nlmeans may take a minute for a large frame on a small device
_ENDING = 10.0  # seconds that ffmpeg gets to end after its last frame


def find_ffmpeg() -> str:
    """The path of the program.

    Raises:
        MissingExtraError: it is not installed.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise MissingExtraError(
            f"A filter of ffmpeg needs the program ffmpeg. Received: none on PATH. Remedy: {INSTALL}"
        )
    return found


def run_ffmpeg(frames: Iterator[Image], filters: str, threads: int) -> Generator[Image, None, None]:
    """Filter ``frames`` with a chain of filters, such as ``format=gbrp,nlmeans=s=6``.

    One thread of this process does all the work, and it never waits for one pipe alone, so neither side can block the
    other. ffmpeg takes a few frames ahead and then waits until its output is read: memory is bounded. It ends when the
    iterator ends, is closed, or raises.

    Args:
        frames: uint8 ``(H, W, 3)`` RGB, all of one size.
        threads: of ffmpeg.

    Yields:
        As many frames of the same form, in the same order.

    Raises:
        MissingExtraError: ffmpeg is not installed.
        ChildError: it fails, hangs, or returns more or fewer frames than it was given.
        DataError: the frames have different sizes.
    """
    program = find_ffmpeg()
    first = next(frames, None)
    if first is None:
        return
    with _Run(program, filters, first, frames, threads) as run:
        while (filtered := run.read()) is not None:
            yield filtered


class _Run:
    """One ffmpeg process, with frames on their way in and one on its way out."""

    def __init__(self, program: str, filters: str, first: Image, rest: Iterator[Image], threads: int) -> None:
        self._filters, self._shape, self._rest = filters, first.shape, rest
        self._waiting: memoryview | None = np.ascontiguousarray(first).data.cast("B")
        self._sent, self._received, self._said = 1, 0, b""
        height, width = first.shape[:2]
        form = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
        threaded = ["-threads", str(threads)]
        command = [
            program,
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            *threaded,
            "-filter_threads",
            str(threads),
        ]
        command += [*form, "-video_size", f"{width}x{height}", "-framerate", "25", "-i", "pipe:0"]
        command += ["-vf", f"{filters},format=rgb24", *threaded, *form, "pipe:1"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C comes to this process alone, which then ends ffmpeg
        )
        self._in, self._out, self._err = map(_piped, (self._process.stdin, self._process.stdout, self._process.stderr))
        self._selector = selectors.DefaultSelector()
        for pipe, event in (
            (self._in, selectors.EVENT_WRITE),
            (self._out, selectors.EVENT_READ),
            (self._err, selectors.EVENT_READ),
        ):
            os.set_blocking(pipe.fileno(), False)
            with suppress(OSError, AttributeError):  # Linux alone has it, and limits it for each user
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
            self._selector.register(pipe, event)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._process.kill()
        for pipe in (self._in, self._out, self._err):
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    def read(self) -> Image | None:
        """The next filtered frame; None after the last one."""
        frame = np.empty(self._shape, np.uint8)
        left = frame.data.cast("B")
        while len(left):
            ready = self._selector.select(_STUCK)
            if not ready:
                raise self._error(f"nothing for {_STUCK:g} s")
            pipes = [key.fileobj for key, _ in ready]
            if self._err in pipes:
                self._listen()
            if self._in in pipes:
                self._write()
            if self._out in pipes:
                count = os.readv(self._out.fileno(), [left])
                if count == 0:
                    self._check_end(whole=len(left) == frame.nbytes)
                    return None
                left = left[count:]
        self._received += 1
        return frame

    def _write(self) -> None:
        """Give ffmpeg what it takes of the waiting frame, then get the next one ready."""
        assert self._waiting is not None
        try:
            self._waiting = self._waiting[os.write(self._in.fileno(), self._waiting) :]
        except BrokenPipeError:  # it has ended; the end of its output tells why
            self._end_input()
            return
        if len(self._waiting):
            return
        following = next(self._rest, None)
        if following is None:
            self._end_input()
            return
        if following.shape != self._shape:
            (height, width), (received_height, received_width) = self._shape[:2], following.shape[:2]
            raise DataError(
                f"The frames of a clip must have one size. Received: {width}x{height}, then "
                f"{received_width}x{received_height}. Remedy: crop them to one size, or make two clips."
            )
        self._waiting = np.ascontiguousarray(following).data.cast("B")
        self._sent += 1

    def _end_input(self) -> None:
        self._selector.unregister(self._in)
        self._in.close()

    def _listen(self) -> None:
        said = os.read(self._err.fileno(), _KEPT)
        self._said = (self._said + said)[-_KEPT:]
        if not said:
            self._selector.unregister(self._err)

    def _check_end(self, whole: bool) -> None:
        """Raise if ffmpeg failed, or if it returned more or fewer frames than it was given."""
        try:
            code = self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            raise self._error(f"its output ended, but not the program within {_ENDING:g} s") from None
        with suppress(BlockingIOError):
            while said := os.read(self._err.fileno(), _KEPT):
                self._said = (self._said + said)[-_KEPT:]
        if code:
            raise self._error(f"exit status {code}" if code > 0 else f"ended by signal {-code}")
        if not whole or self._received != self._sent:
            raise self._error(f"{self._received} frames for {self._sent}" + ("" if whole else ", and part of one"))

    def _error(self, received: str) -> ChildError:
        said = " ".join(self._said.decode(errors="replace").split())
        shown = f": {said[-_SHOWN:]}" if said else ""
        return ChildError(
            f"ffmpeg must return a frame for each frame that it is given. Received: {received}, from the filters "
            f"{self._filters}{shown}. Remedy: leave this filter out, or install an ffmpeg that has it: {INSTALL}"
        )


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe

"""VideoSink: writes frames to a video file."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.locked_folder import LockedFolder
from edge.sinks.tempo import set_tempo
from quietcam.data.pictures.opencv import open_capture, open_writer
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.files.atomic import Draft
from quietcam.image import Image, swap_red_blue, to_rgb
from quietcam.process.native_output import native_output_caught
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["CODECS", "VideoSink"]

CODECS = {".webm": "VP80", ".mp4": "mp4v", ".avi": "MJPG"}
"""What OpenCV's own FFmpeg can write, by suffix."""

_RESERVE = 1 << 20  # free bytes at which a disk counts as full: FFmpeg buffers some 256 KiB that cannot be seen
_RESERVE_PER_FRAME = 32  # bytes for each frame in a container's index, which is written at the end
_STEADY = 0.98  # a tempo that is nearer than this to the nominal one is not changed
_LEAP = 60.0  # seconds between two frames of a file: after a longer time the last picture is not repeated
_GAP = 5.0  # seconds without a frame, or the time of ten frames if that is longer, after which the next part begins
_LEAST_SHARE = 0.99  # of the frames of a whole clip; its count may be rounded, and a clip that was cut off has none


class VideoSink(Sink):
    """A clip, written under a temporary name and renamed when it is whole.

    It is written into the folder that ``path`` named at the start, even if that folder is moved meanwhile. OpenCV does
    not report that it cannot write. So the free space is checked at every frame, and a clip gets its name only after
    its container, read back, reports as many frames as were written.

    Args:
        path: ends in one of ``CODECS``. An odd side gets one more row or column, because the codecs need even ones.
        fps: frames a second of the clip.
        before_after: the noisy frame on the left of the denoised one.
        overwrite: replace an existing file. If False, and another program takes the name of the clip meanwhile, the
            clip gets the name of the next part.
        parts: True for a live camera: when the size changes, or after a gap or a failure, the next clip begins, as
            ``clip_2.webm``. Frames may be missing, and the camera's real rate may differ from its nominal one, so each
            clip plays as fast as its frames arrived. False for a file: each frame is shown at its time.

    Raises:
        UsageError: ``path`` has another suffix; or (when checked) it is a folder, or a file that exists already.
        StorageError: (when opened, written to or closed) the disk is full, read-only or gone.
    """

    def __init__(
        self, path: Path, fps: float, before_after: bool = False, overwrite: bool = False, parts: bool = False
    ) -> None:
        if path.suffix.lower() not in CODECS:
            raise UsageError(f"A clip ends in {', '.join(CODECS)}. Received: {path}.")
        self.name = str(path)
        self._first = self._path = path
        self._overwrite = overwrite
        self._parts = parts
        self._part = self._in_part = 0
        self._began = self._newest = 0.0  # by the frames' timestamps
        self._fps = fps
        self._before_after = before_after
        self._writer: Any = None
        self._last: Image | None = None
        self._size: tuple[int, ...] = ()
        self._draft: Draft | None = None
        self._held = LockedFolder(path.parent, shared=True)

    def check(self) -> None:
        if self._path.is_dir():
            raise UsageError(f"This sink must be a video file. Received: {self._path}, which is a folder.")
        if self._path.exists() and not self._overwrite:
            raise UsageError(
                f"An output that exists is not replaced. Received: {self._path}. "
                "Remedy: choose another name, or allow it with `overwrite`."
            )

    def open(self) -> None:
        self._held.take()

    def write(self, frame: Frame, denoised: Image) -> None:
        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        late = frame.timestamp - self._newest > max(_GAP, 10 / self._fps)
        if self._parts and (picture.shape != self._size or late or not self._held.is_there()):
            self.close()
        if self._writer is None:
            self._begin(picture)
            self._began = frame.timestamp
            self._last = None
        if picture.shape != self._size:
            raise DataError(
                f"All frames of a clip must have one size. Received: {picture.shape[1]}x{picture.shape[0]} after "
                f"{self._size[1]}x{self._size[0]}. Remedy: choose a folder as `sink`."
            )
        height, width = picture.shape[:2]
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if not self._parts:
            self._hold(frame.timestamp)
        self._last = swap_red_blue(picture)
        self._writer.write(self._last)
        self._newest = frame.timestamp
        self.frames += 1
        self._in_part += 1
        self._check_room()

    def close(self) -> None:
        try:
            if self._writer is not None:
                self._finish(self._release())
        finally:
            self._held.release()

    def discard(self) -> None:
        if self._writer is not None:
            self._release().drop()
        self._held.release()

    def _finish(self, draft: Draft) -> None:
        try:
            if not draft.temporary.exists():
                raise self._held.gone()
            there = _frames(draft.temporary)
            if there < self._in_part * _LEAST_SHARE:
                raise StorageError(
                    f"The clip could not be written whole. Received: {self._path} with {self._in_part} frames, of "
                    f"which {max(there, 0)} can be read back. Remedy: free some space, or choose another place."
                )
            if self._parts:
                self._keep_time(draft.temporary)
            self._keep(draft)
        finally:
            draft.drop()

    def _begin(self, picture: Image) -> None:
        import cv2

        self._size = picture.shape
        self._in_part = 0
        if not self._held.is_there():  # a new folder in its place is used; the disk underneath a removed one is not
            self._held.take()
        self._check_room()
        self._next_part()
        self._draft = Draft(self._path, self._held.place())
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        size = picture.shape[1] + picture.shape[1] % 2, picture.shape[0] + picture.shape[0] % 2
        try:
            with native_output_caught():
                self._writer = open_writer(self._draft.temporary, cv2.CAP_FFMPEG, codec, self._fps, size)
        except BaseException:
            self._draft.drop()
            self._draft = None
            raise
        if not self._writer.isOpened():
            self.discard()
            raise StorageError(
                f"OpenCV cannot write this clip. Received: {self._path}, {size[0]}x{size[1]} at {self._fps:g} "
                f"frames a second. Remedy: choose another suffix of {', '.join(CODECS)}, or a folder."
            )

    def _hold(self, now: float) -> None:
        """Repeat the last picture until it is time for this one: the frames of a file may have varying intervals, and
        the codec's rate is fixed. After a long interval, counting starts again.
        """
        if self._last is None or now - self._newest > _LEAP:
            self._began = now - self._in_part / self._fps
            return
        for _ in range(round((now - self._began) * self._fps) - self._in_part):
            self._writer.write(self._last)
            self._in_part += 1
            self._check_room()

    def _keep(self, draft: Draft) -> None:
        """Give the clip its name, or the next one if a file of that name has appeared since the clip began."""
        wanted = self._path
        while True:
            try:
                draft.keep(self._path, replace=self._overwrite, hurried=process.asked)
            except FileExistsError:
                self._next_part()
            else:
                break
        if self._path != wanted:
            log.warning(f"{wanted} exists now and is not replaced: the clip is {self._path}")
        with contextlib.suppress(StorageError):  # the clip is kept even if the disk fails now
            if not self._held.is_there():
                log.warning(f"{self._path.parent} was moved meanwhile: {self._path.name} is in the moved folder")

    def _keep_time(self, clip: Path) -> None:
        lasts, said = self._newest - self._began, (self._in_part - 1) / self._fps
        if lasts > 0.0 and said > 0.0 and not _STEADY < said / lasts < 1 / _STEADY:
            set_tempo(clip, lasts / said)

    def _check_room(self) -> None:
        """Check that there is room to finish the clip, and that its file is still there."""
        if self._draft is not None and not self._draft.temporary.exists():
            raise self._held.gone()
        if _free(self._held.descriptor) < _RESERVE + _RESERVE_PER_FRAME * self._in_part:
            raise StorageError.writing(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _next_part(self) -> None:
        """Choose the name of the next clip: first ``clip``, then ``clip_2`` and so on, without names that exist."""
        while True:
            self._part += 1
            if self._part > 1:
                self._path = self._first.with_stem(f"{self._first.stem}_{self._part}")
            if self._part == 1 or self._overwrite or not self._path.exists():
                return

    def _release(self) -> Draft:
        draft, self._draft = self._draft, None
        assert draft is not None
        with native_output_caught():
            self._writer.release()
        self._writer = None
        return draft


def _frames(path: Path) -> int:
    """How many frames the container at ``path`` reports; 0 or less if it is not whole."""
    import cv2

    with native_output_caught():
        capture = open_capture(path, cv2.CAP_FFMPEG)
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
    return frames


def _free(folder: int) -> int:
    """Bytes that this process may still write in the folder of descriptor ``folder``."""
    disk = os.statvfs(folder)
    return disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)

"""ClipSink: the base of the sinks that write a clip, a video file whose name the user chose."""

from __future__ import annotations

import contextlib
import errno
import os
from abc import abstractmethod
from pathlib import Path

from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.locked_folder import LockedFolder
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.files.atomic import Draft
from quietcam.image import Image, to_rgb
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["ClipSink", "check_room"]

_RESERVE = 1 << 20  # free bytes at which a disk counts as full: FFmpeg buffers some 256 KiB that cannot be seen
_RESERVE_PER_FRAME = 32  # bytes for each frame in a container's index, which is written at the end
_GAP = 5.0  # seconds without a frame, or the time of ten frames if that is longer, after which the next part begins


class ClipSink(Sink):
    """A clip, written under a temporary name and renamed when it is whole.

    It is written into the folder that ``path`` named at the start, even if that folder is moved meanwhile. The free
    space is checked at every frame.

    Args:
        path: an odd side of the frames gets one more row or column, because the codecs need even ones.
        fps: frames a second of the clip.
        before_after: the noisy frame on the left of the denoised one.
        overwrite: replace an existing file. If False, and another program takes the name of the clip meanwhile, the
            clip gets the name of the next part.
        parts: True for a live camera: when the size changes, or after a gap or a failure, the next clip begins, as
            ``clip_2.webm``. Frames may be missing, and the camera's real rate may differ from its nominal one, so each
            clip plays as fast as its frames arrived. False for a file: each frame is shown at its time.

    Raises:
        UsageError: (when checked) ``path`` is a folder, or a file that exists already.
        StorageError: (when opened, written to or closed) the disk is full, read-only or gone.
    """

    gives_way = True

    def __init__(
        self, path: Path, fps: float, before_after: bool = False, overwrite: bool = False, parts: bool = False
    ) -> None:
        self.name = str(path)
        self._first = self._path = path
        self._overwrite = overwrite
        self._parts = parts
        self._part = self._in_part = 0
        self._newest = 0.0  # by the frames' timestamps
        self._until = 0.0  # the end of the newest frame, as far as its source tells
        self._fps = fps
        self._before_after = before_after
        self._size: tuple[int, ...] = ()
        self._draft: Draft | None = None  # while a clip is written
        self._named = False  # it has its name already
        self._held = LockedFolder(path.parent, shared=True)

    @abstractmethod
    def _start(self, file: Path, size: tuple[int, int]) -> None:
        """Begin to write frames of ``(width, height)`` to the empty ``file``."""

    @abstractmethod
    def _add(self, picture: Image, timestamp: float) -> None:
        """Append a picture, uint8 ``(H, W, 3)``."""

    @abstractmethod
    def _stop(self, keep: bool) -> None:
        """End the file. With ``keep`` it is finished, and must be whole."""

    @abstractmethod
    def _is_there(self, draft: Draft) -> bool:
        """Whether the file was not deleted."""

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
        if self._parts and (picture.shape != self._size or late or self._is_full() or not self._held.is_there()):
            self.close()
        if self._draft is None:
            self._begin(picture)
        if picture.shape != self._size:
            raise DataError(
                f"All frames of a clip must have one size. Received: {picture.shape[1]}x{picture.shape[0]} after "
                f"{self._size[1]}x{self._size[0]}. Remedy: choose a folder as `sink`."
            )
        self._add(picture, frame.timestamp)
        self._newest = frame.timestamp
        self._until = frame.timestamp + (frame.shown_for or 0.0)
        self.frames += 1
        self._check()

    def close(self) -> None:
        try:
            if self._draft is not None:
                self._finish(self._draft)
        finally:
            self._held.release()

    def discard(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            self._stop(keep=self._named)
            draft.drop()
        self._held.release()

    def _begin(self, picture: Image) -> None:
        self._size = picture.shape
        self._in_part, self._named = 0, False
        if not self._held.is_there():  # a new folder in its place is used; the disk underneath a removed one is not
            self._held.take()
        check_room(self._path, self._held.descriptor, 0)
        self._next_part()
        draft = Draft(self._path, self._held.place())
        try:
            self._start(draft.temporary, (picture.shape[1], picture.shape[0]))
        except BaseException:
            draft.drop()
            raise
        self._draft = draft

    def _finish(self, draft: Draft) -> None:
        self._draft = None
        try:
            there = self._is_there(draft)
            self._stop(keep=there)
            if not there:
                raise self._held.gone()
            if not self._named:
                self._keep(draft)
            self._warn_if_moved()
        finally:
            draft.drop()

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
        self._named = True
        if self._path != wanted:
            log.warning(f"{wanted} exists now and is not replaced: the clip is {self._path}")

    def _warn_if_moved(self) -> None:
        with contextlib.suppress(StorageError):  # the clip is kept even if the disk fails now
            if not self._held.is_there():
                log.warning(f"{self._path.parent} was moved meanwhile: {self._path.name} is in the moved folder")

    def _is_full(self) -> bool:
        """Whether the next part must begin, since this one cannot hold more frames."""
        return False

    def _check(self) -> None:
        """Check that there is room to finish the clip, and that its file is still there."""
        if self._draft is not None and not self._is_there(self._draft):
            raise self._held.gone()
        check_room(self._path, self._held.descriptor, self._in_part)

    def _next_part(self) -> None:
        """Choose the name of the next clip: first ``clip``, then ``clip_2`` and so on, without names that exist."""
        while True:
            self._part += 1
            if self._part > 1:
                self._path = self._first.with_stem(f"{self._first.stem}_{self._part}")
            if self._part == 1 or self._overwrite or not self._path.exists():
                return


def check_room(path: Path, folder: int, frames: int) -> None:
    """Check that this process may write enough in the folder of descriptor ``folder`` to finish a video of ``frames``.

    Raises:
        StorageError: the disk is full.
    """
    disk = os.statvfs(folder)
    free = disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)
    if free < _RESERVE + _RESERVE_PER_FRAME * frames:
        raise StorageError.writing(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

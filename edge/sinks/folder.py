"""A folder of PNG pictures as a sink."""

from __future__ import annotations

from pathlib import Path

from edge.network.treatment import caption
from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.locked_folder import LockedFolder, names
from quietcam.data.pictures.caption import with_caption
from quietcam.data.pictures.files import encode_picture
from quietcam.errors import UsageError
from quietcam.files.atomic import write_bytes
from quietcam.image import Image

__all__ = ["FolderSink"]


class FolderSink(Sink):
    """Writes one PNG for each frame, whole or not at all. A picture has the name that the source gives its frame, or
    the frame's number. Its comment says what was done to the frame.

    If the folder is deleted, it is made again. If its disk is removed, it is not: the disk underneath has no room for
    frames.

    Args:
        path: the folder; made if it is missing.
        before_after: the noisy frame on the left of the denoised one.
        overwrite: write into a folder that is not empty, or that another process uses. Files of other names stay.

    Raises:
        UsageError: (when checked) ``path`` is a file, or a folder that is not empty; or (when opened) another process
            writes to it.
        StorageError: (when opened or written to) the folder cannot be written to.
    """

    def __init__(self, path: Path, before_after: bool = False, overwrite: bool = False) -> None:
        self.name = str(path)
        self._path = path
        self._before_after = before_after
        self._must_be_empty = not overwrite  # until it is opened
        self._held = LockedFolder(path, shared=overwrite)

    def check(self) -> None:
        if self._path.exists() and not self._path.is_dir():
            raise UsageError(f"This sink must be a folder. Received: {self._path}, which is a file.")
        if self._must_be_empty and self._path.is_dir():
            self._check_empty(any(self._path.iterdir()))

    def open(self) -> None:
        self._held.take()
        try:
            if self._must_be_empty:  # check again: another run may have used the folder in the meantime
                self._check_empty(any(names(self._held.descriptor)))
        except BaseException:
            self._held.release()
            raise
        self._must_be_empty = False

    def _check_empty(self, something: bool) -> None:
        if something:
            raise UsageError(
                f"An output folder must be empty. Received: {self._path}. "
                "Remedy: choose another one, or allow it with `overwrite`."
            )

    def close(self) -> None:
        self._held.release()

    def discard(self) -> None:
        self.close()

    def write(self, frame: Frame, denoised: Image) -> None:
        name = f"frame_{frame.index:06d}" if frame.name is None else frame.name
        picture = side_by_side(frame.image, denoised) if self._before_after else denoised
        content, said = encode_picture(picture, ".png"), caption(frame.treatment)
        if not self._held.is_there():
            self._held.take()
        write_bytes(self._path / f"{name}.png", content if said is None else with_caption(content, said))
        self.frames += 1

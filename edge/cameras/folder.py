"""FolderCamera: plays one picture, all pictures of a folder, or a clip of numbered pictures, as a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.cameras.base import Camera
from edge.run.frame import Frame
from quietcam.data.clips.mark import MARK
from quietcam.data.pictures.files import read_picture
from quietcam.data.pictures.folder import list_pictures
from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.terminal.log import log

__all__ = ["FolderCamera"]

_FPS = 25.0  # frames a second of a clip that is made from pictures
_SKIPS_SAID = 5
_NOISY = "noisy"  # the folder of a clip's frames in a data set
_FEWEST = 2


class FolderCamera(Camera):
    """The pictures of a folder in the order of their names, numbers by value: ``a2.png`` before ``a10.png``.

    A picture that cannot be read is skipped, and reported with its name. A frame is named after its file; if two files
    differ only in their suffix, the later frame keeps the suffix in its name.

    The pictures are independent of each other (``still``), unless they are a clip: because the caller says so, or
    because the folder, or the one above it, holds ``clip.json``. Of a clip of a data set, its folder ``noisy`` is
    played.

    Args:
        path: a folder, or one picture.
        clip: the pictures of the folder are frames of a clip, in order.

    Raises:
        UsageError: ``path`` does not exist, or is one picture with ``clip``.
        DataError: the folder has no pictures, a clip has only one, or (when iterating) none of them can be read, or
            the frames of a clip have different sizes.
    """

    fps = _FPS

    def __init__(self, path: Path, clip: bool = False) -> None:
        super().__init__()
        if not path.exists():
            raise UsageError(f"There is no such file or folder. Received: {path}. Remedy: check `source`.")
        if clip and not path.is_dir():
            raise UsageError(f"A clip is a folder of pictures, or a video. Received: {path}. Remedy: leave out `clip`.")
        self.name = str(path)
        marked = path.is_dir() and any((folder / MARK).is_file() for folder in (path, path.parent))
        folder = path / _NOISY if marked and (path / _NOISY).is_dir() else path
        self._pictures = list_pictures(folder) if path.is_dir() else [path]
        self.total = len(self._pictures)
        self.still = not (clip or marked)
        if not self.still and self.total < _FEWEST:
            raise DataError(
                f"A clip has at least {_FEWEST} frames. Received: {path} with {self.total}. Remedy: "
                + (f"remove its {MARK}." if marked else "leave out `clip`.")
            )

    @property
    def size(self) -> tuple[int, int] | None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        names: set[str] = set()
        index = 0
        shape: tuple[int, ...] = ()
        for path in self._pictures:
            try:
                image = read_picture(path)
            except (DataError, UsageError) as error:  # UsageError: it was deleted after the folder was listed
                if self.total == 1:
                    raise
                self._skip(f"{path.name}: {error}")
                continue
            shape = shape or image.shape
            if not self.still and image.shape != shape:
                raise DataError(_sizes(self.name, path.name, image, shape))
            name = path.name if path.stem in names else path.stem
            names.add(name)
            yield Frame(image, index / _FPS, index, name)
            index += 1
        if not index:
            raise DataError(
                f"At least one picture must be readable. Received: {self.name}, where none of {self.total} is. "
                "Remedy: replace the damaged files, or choose another `source`."
            )

    def _skip(self, what: str) -> None:
        self.skipped.append(what)
        if len(self.skipped) <= _SKIPS_SAID:
            log.warning(f"Skipped {what}")
        elif len(self.skipped) == _SKIPS_SAID + 1:
            log.warning("More pictures are skipped; the run reports their number at its end")


def _sizes(clip: str, name: str, image: Image, first: tuple[int, ...]) -> str:
    height, width, channels = image.shape
    return (
        f"All frames of a clip have one size. Received: {clip}: {name} of {width}x{height}x{channels} after "
        f"{first[1]}x{first[0]}x{first[2]}. Remedy: put pictures of another size into a folder of their own."
    )

"""FolderCamera: plays one picture, or all pictures of a folder, as a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.cameras.base import Camera
from edge.run.frame import Frame
from quietcam.data.pictures.files import read_picture
from quietcam.data.pictures.folder import list_pictures
from quietcam.errors import DataError, UsageError
from quietcam.terminal.log import log

__all__ = ["FolderCamera"]

_FPS = 25.0  # frames a second of a clip that is made from pictures
_SKIPS_SAID = 5


class FolderCamera(Camera):
    """The pictures of a folder in the order of their names, numbers by value: ``a2.png`` before ``a10.png``.

    A picture that cannot be read is skipped, and reported with its name. A frame is named after its file; if two files
    differ only in their suffix, the later frame keeps the suffix in its name.

    Args:
        path: a folder, or one picture.

    Raises:
        UsageError: ``path`` does not exist.
        DataError: the folder has no pictures, or (when iterating) none of them can be read.
    """

    fps = _FPS
    still = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.exists():
            raise UsageError(f"There is no such file or folder. Received: {path}. Remedy: check `source`.")
        self.name = str(path)
        self._pictures = list_pictures(path) if path.is_dir() else [path]
        self.total = len(self._pictures)

    @property
    def size(self) -> tuple[int, int] | None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        names: set[str] = set()
        index = 0
        for path in self._pictures:
            try:
                image = read_picture(path)
            except (DataError, UsageError) as error:  # UsageError: it was deleted after the folder was listed
                if self.total == 1:
                    raise
                self._skip(f"{path.name}: {error}")
                continue
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

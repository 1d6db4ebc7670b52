"""VideoCamera: plays a video file, on this machine or behind a URL, as a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.cameras.base import Camera
from edge.cameras.network.url import CameraUrl
from edge.run.frame import Frame
from quietcam.data.video import Video, count_frames, open_video
from quietcam.errors import DataError, UsageError
from quietcam.files.paths import is_file
from quietcam.terminal.log import log

__all__ = ["VideoCamera"]


class VideoCamera(Camera):
    """Every frame of a video file, in order, as RGB.

    Raises:
        UsageError: the file does not exist.
        DataError: (when opened) the video cannot be read, or no frame of it can be decoded.
    """

    def __init__(self, place: Path | CameraUrl) -> None:
        super().__init__()
        if isinstance(place, Path) and not is_file(place):
            raise UsageError(f"There is no such video file. Received: {place}. Remedy: check `source`.")
        self.name = str(place) if isinstance(place, Path) else place.name
        self._place = place
        self._video: Video | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self._video is None else self._video.size

    def open(self) -> None:
        if self._video is not None:
            return
        place = self._place
        self._video = open_video(place if isinstance(place, Path) else place.full, self.name)
        self.fps, self.total = self._video.fps, self._video.total

    def count(self) -> int | None:
        """The number of frames, by reading the whole file: its index may list missing frames. None for a URL."""
        return count_frames(self._place) if isinstance(self._place, Path) else None

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        index = 0
        while self._video is not None and (read := self._video.read()) is not None:
            yield Frame(*read, index, shown_for=self._video.shown_for)
            index += 1
        if not index:
            remedy = "encode it again, for example with: ffmpeg -i FILE -c:v libx264 -crf 10 out.mp4"
            if not isinstance(self._place, Path):
                remedy = f"download the file first, since its index may be at its end. If that fails, {remedy}"
            raise DataError(f"No frame of this video can be decoded. Received: {self.name}. Remedy: {remedy}")
        if self._video is not None:
            self._tell(index, self._video)

    def _tell(self, frames: int, video: Video) -> None:
        """Report missing frames only if there is evidence: a frame count in a file may be a guess."""
        if video.container.missing:
            self.skipped.append(f"{video.container.missing} bytes, which are missing at the end")
            log.warning(f"{self.name} is cut short by {video.container.missing} bytes; {frames} frames were read")
        if video.damaged:
            self.skipped.append(f"{video.damaged} damaged places")
            log.warning(
                f"{self.name} is damaged in {video.damaged} places, which are left out; {frames} frames were read"
            )

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

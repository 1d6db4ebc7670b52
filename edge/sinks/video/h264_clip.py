"""H264Clip: a clip in H.264."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge.sinks.video.clip import ClipSink
from edge.sinks.video.growing_file import GrowingFile
from edge.sinks.video.part import FORMATS, Part
from quietcam.errors import StorageError, UsageError
from quietcam.extras import load_av
from quietcam.files.atomic import Draft
from quietcam.image import Image

__all__ = ["H264Clip"]

_MOST_FRAMES = 300_000  # of a camera in one part: the index of an MP4 is kept in memory until the part ends


class H264Clip(ClipSink):
    """A clip in H.264 that can be played at any moment of its writing.

    So a clip of a live camera gets its name with its first second: whatever ends the run, all but the last second
    remains. A clip of a file gets its name when it is whole, as its source can be denoised again. Frames have the times
    that they were taken at.

    Args:
        path, fps, before_after, overwrite, parts: as :class:`ClipSink`; ``path`` ends in ``.mp4`` or ``.mkv``. Of a
            live camera, a new part begins after 300,000 frames, too.

    Raises:
        UsageError: ``path`` has another suffix; else as :class:`ClipSink`.
        StorageError: as :class:`ClipSink`.
        MissingExtraError: PyAV is missing.
        DeviceError: (at the first frame) there is no encoder for H.264, or it fails.
    """

    def __init__(
        self, path: Path, fps: float, before_after: bool = False, overwrite: bool = False, parts: bool = False
    ) -> None:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"A clip in H.264 ends in {', '.join(FORMATS)}. Received: {path}.")
        load_av()  # now, since it takes a moment
        super().__init__(path, fps, before_after, overwrite, parts)
        self._video: Part | None = None
        self._encoder: str | None = None

    def report(self) -> dict[str, Any]:
        return {"encoder": self._encoder}

    def _start(self, file: Path, size: tuple[int, int]) -> None:
        try:
            growing = GrowingFile(os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError as error:
            raise StorageError.writing(self._path, error) from error
        try:
            self._video = Part(growing, self._path.suffix.lower(), size, self._fps)
        except BaseException:
            growing.close()
            raise
        self._encoder = self._video.encoder

    def _add(self, picture: Image, timestamp: float) -> None:
        assert self._video is not None
        try:
            self._video.add(picture, timestamp)
        except OSError as error:
            raise StorageError.writing(self._path, error) from error
        self._in_part += 1
        if self._parts and not self._named and self._video.playable:
            assert self._draft is not None
            self._keep(self._draft)

    def _stop(self, keep: bool) -> None:
        video, self._video = self._video, None
        assert video is not None
        try:
            if keep:
                video.finish()
        except OSError as error:
            raise StorageError.writing(self._path, error) from error
        finally:
            video.file.close()

    def _is_there(self, draft: Draft) -> bool:  # noqa: ARG002  the file itself says so
        return self._video is not None and self._video.file.is_there

    def _is_full(self) -> bool:
        return self._in_part >= _MOST_FRAMES

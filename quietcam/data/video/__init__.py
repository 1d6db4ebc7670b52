"""Videos: read with PyAV where it is installed (the extra ``video``), else with OpenCV."""

from __future__ import annotations

from pathlib import Path

from quietcam.data.video.video import Video
from quietcam.extras import has_av

__all__ = ["Video", "count_frames", "open_video"]


def open_video(place: Path | str, name: str | None = None) -> Video:
    """Open a video, for use with ``with``.

    Args:
        place: a file; or the URL of a file, as text.
        name: its name in messages. Defaults to that of the file.

    Raises:
        DataError: it cannot be read, or its frames are too large.
        UsageError: its name cannot be given to the library that reads it.
        MissingExtraError: neither PyAV nor OpenCV is installed.
    """
    if has_av():
        from quietcam.data.video.pyav import AvVideo

        return AvVideo(place, name)
    from quietcam.data.video.opencv import OpencvVideo

    return OpencvVideo(place, name)


def count_frames(path: Path) -> int:
    """How many frames a video has, by decoding all of it.

    Raises:
        DataError: it cannot be read.
    """
    with open_video(path) as video:
        return video.count()

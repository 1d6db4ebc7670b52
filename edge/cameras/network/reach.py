"""Whether a stream's host can be reached, and what is told where it gives no video."""

from __future__ import annotations

from edge.cameras.network.lookup import connect, look_up, no_answer
from edge.cameras.network.url import DATAGRAMS, CameraUrl
from quietcam.errors import DataError

__all__ = ["FROZEN_PICTURES", "FROZEN_VIDEO", "OPENING", "READING", "check_name", "no_video"]

OPENING, READING = 5.0, 3.0
"""Seconds in which a stream must open, and in which it must send the next bytes."""

FROZEN_PICTURES, FROZEN_VIDEO = 4.0, 30.0
"""Seconds: a video codec may repeat a picture until its next key frame."""

_LOOKING_UP, _REACHING = 4.0, 2.0  # seconds


def check_name(url: CameraUrl) -> None:
    """Look up the name: FFmpeg has no time limit for it.

    Raises:
        DataError: it is unknown, or no name server answers.
    """
    try:
        look_up(url.host, url.port, _LOOKING_UP)
    except OSError as error:
        raise no_answer(url, error) from None


def no_video(url: CameraUrl, what: str) -> DataError:
    """The error of a stream that could not be opened: the host does not answer, or it does ``what``."""
    try:
        if url.scheme not in DATAGRAMS:
            connect(url.host, url.port, _REACHING).close()
    except OSError as error:
        return no_answer(url, error)
    return DataError(
        f"A camera's URL must give video. Received: {url.name}, which {what}. "
        f"Remedy: check the path, the user and the password, for example with: ffplay {url.name}"
    )

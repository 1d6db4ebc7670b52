"""Part: one video file in H.264 while it is written, which can be played at any moment up to its last second."""

from __future__ import annotations

import contextlib
from typing import Any

from edge.sinks.video.encoder import Encoder
from edge.sinks.video.growing_file import GrowingFile
from edge.sinks.video.times import Times
from quietcam.errors import DeviceError
from quietcam.extras import load_av
from quietcam.image import Image

__all__ = ["FORMATS", "Part"]

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
"""FFmpeg's names of the containers, by suffix."""

_FRAGMENT = 1.0  # seconds of video that are written together: so much is lost in a power cut
_KEY_EVERY = 2.0  # seconds: a player can jump to a key frame
_BUFFER = 1 << 18  # bytes
_HYBRID_SINCE = (61, 7)  # version of libavformat


class Part:
    """A container with one H.264 stream, written to ``file`` in fragments of a second.

    An MP4 consists of fragments until it is finished. Then it gets an index at its end, which makes it an ordinary MP4
    by a last write of eight bytes. A player that finds it unfinished plays the fragments.

    Args:
        file: empty.
        suffix: one of ``FORMATS``.
        size: ``(width, height)`` of the frames.
        fps: nominal frames a second.

    Attributes:
        file: as given.
        frames: number of frames.

    Raises:
        MissingExtraError: it needs PyAV.
        DeviceError: there is no encoder.
    """

    def __init__(self, file: GrowingFile, suffix: str, size: tuple[int, int], fps: float) -> None:
        av = load_av()
        self.file = file
        self.frames = 0
        self._times = Times(fps)
        self._header = 0  # bytes before the first frame
        milliseconds = round(_FRAGMENT * 1000)
        options = {"flush_packets": "1"}
        if suffix == ".mp4":
            flags = "+delay_moov+default_base_moof"
            if av.library_versions["libavformat"][:2] >= _HYBRID_SINCE:
                flags = "+hybrid_fragmented"
            options |= {"movflags": flags, "frag_duration": str(1000 * milliseconds)}
        else:
            options |= {"cluster_time_limit": str(milliseconds)}
        self._container = av.open(file, "w", format=FORMATS[suffix], container_options=options, buffer_size=_BUFFER)
        self._encoder = Encoder(self._container, size, fps, _KEY_EVERY)

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return self._encoder.name

    @property
    def playable(self) -> bool:
        """Whether the file holds at least one fragment."""
        return self.file.whole > self._header

    def add(self, picture: Image, seconds: float) -> None:
        """Append a frame, uint8 ``(H, W, 3)``, that was taken at ``seconds``.

        Raises:
            OSError: the disk does not take the video.
            DeviceError: the encoder fails.
        """
        self.file.check()
        tick = self._times.tick(seconds)
        self._write(self._encoder.encode(picture, tick, self._times.interval))
        self.frames += 1
        if not self._header:
            self._header = self.file.size

    def finish(self) -> None:
        """Write what is left, and the index. If the disk takes no more, the file keeps its whole fragments.

        Raises:
            OSError: it has none, or the last of them cannot be written.
        """
        try:
            if self.file.error is None:
                with contextlib.suppress(DeviceError):  # the encoder failed before, and said so
                    self._write(self._encoder.flush())
                self._container.close()
                self.file.mark()
                self.file.sync()
        finally:
            if self.file.error is not None:
                self.file.cut()
                self._abandon()
        if self.file.error is not None and not self.playable:
            raise self.file.error

    def _write(self, packets: list[Any]) -> None:
        for packet in packets:
            self._container.mux_one(packet)
        self.file.check()  # FFmpeg may keep an error for the next packet
        self.file.mark()

    def _abandon(self) -> None:
        """Give the container's memory back. It cannot write any more, since its file refuses."""
        with contextlib.suppress(Exception):
            self._container.close()

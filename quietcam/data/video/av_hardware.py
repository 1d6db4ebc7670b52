"""HardwareDecoder: a video decoder of the chip, through the kernel's V4L2 (a Raspberry Pi 4 has one for H.264).

It was not yet run on hardware: whatever it does, the CPU goes on where it fails.
"""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

from quietcam.extras import load_av
from quietcam.limits import MOST_FRAME_PIXELS
from quietcam.process.native_output import native_output_caught
from quietcam.terminal.log import log

__all__ = ["DECODERS", "HardwareDecoder"]

DECODERS = {name: f"{name}_v4l2m2m" for name in ("h264", "hevc", "mpeg4", "vp8", "vp9")}
"""FFmpeg's name of the decoder in hardware, by codec."""

_DEVICES = Path("/dev")
_PATIENCE = 100  # packets without a frame
_HELD = 32  # times of frames that have not come out yet
_failed: set[str] = set()


class HardwareDecoder:
    """Decodes the packets of one stream in hardware; None of its errors is raised.

    Attributes:
        works: whether it is to be used. False: there is none, or it has failed in this process.
        name: FFmpeg's name of the decoder.
    """

    def __init__(self, stream: Any, source: str) -> None:
        self.name = DECODERS.get(stream.codec_context.name, "")
        self.works = bool(self.name) and self.name not in _failed and next(_DEVICES.glob("video*"), None) is not None
        self._source = source
        self._times: list[int] = []
        self._waited = 0
        if self.works:
            self._begin(stream)

    def _begin(self, stream: Any) -> None:
        av = load_av()
        try:
            with native_output_caught(show=False):
                codec = av.CodecContext.create(self.name, "r")
                codec.extradata = stream.codec_context.extradata
                codec.width, codec.height = stream.width, stream.height
                codec.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
                codec.open()
        except (av.error.FFmpegError, ValueError):  # most machines have none
            self.works = False
            _failed.add(self.name)
        else:
            self._codec = codec
            log.info(f"{self._source} is decoded in hardware ({self.name})")

    def decode(self, packet: Any) -> list[Any]:
        """The frames that are ready, each with the time of its packet."""
        av = load_av()
        if packet is not None and packet.pts is not None:
            heapq.heappush(self._times, packet.pts)
        try:
            frames = self._codec.decode(packet)
        except av.error.FFmpegError as error:
            self._give_up(error.strerror or type(error).__name__)
            return []
        self._waited = 0 if frames else self._waited + 1
        if self._waited > _PATIENCE:
            self._give_up(f"no frame of {_PATIENCE} packets")
        for frame in frames:  # it loses the unit of time
            frame.pts = heapq.heappop(self._times) if self._times else None
        del self._times[_HELD:]
        return list(frames)

    def _give_up(self, why: str) -> None:
        self.works = False
        _failed.add(self.name)
        log.warning(
            f"{self._source}: the decoder in hardware ({self.name}) failed ({why}); from now on the CPU decodes"
        )

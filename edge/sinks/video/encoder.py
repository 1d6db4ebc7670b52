"""Encoder: frames to H.264, by the processor (x264) or by the encoder of a Raspberry Pi 4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edge.raspberry_pi import H264_ENCODER
from edge.sinks.ycbcr import to_yuv420
from quietcam.errors import DeviceError, one_line
from quietcam.extras import load_av
from quietcam.image import Image, even_sides
from quietcam.terminal.log import log

__all__ = ["SOFTWARE", "TICKS", "Encoder", "choose_encoder"]

TICKS = 90_000
"""Ticks a second of all times in a video: what MPEG counts in."""

SOFTWARE = "libx264"
_HARDWARE = "h264_v4l2m2m"
_HARDWARE_LEAST, _HARDWARE_MOST = (64, 64), (1920, 1088)
_NODES = Path("/sys/class/video4linux")

_BITS_PER_PIXEL = 0.15  # of a frame, for an encoder that must be told a rate
_BT709, _LIMITED = 1, 1  # ITU-T H.273, and libavutil's AVCOL_RANGE_MPEG

_FAST = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "forced-idr": "1"}
"""One thread, one reference frame, no frame that waits for later ones: the least work that x264 can do."""


class Encoder:
    """The H.264 stream of a container that is open for writing: call ``encode`` with each frame.

    Colors are BT.709 in the limited range, and the stream says so. A side with an odd number of pixels gets one more
    row or column, because H.264 stores colors at half the size. All work is done in the calling thread.

    Args:
        container: of PyAV, without streams.
        size: ``(width, height)`` of the frames.
        fps: frames a second, about: the encoder's guess. The true times are those that ``encode`` is given.
        key_every: seconds from one key frame to the next.
        rate: most bits a second, for a network; None: as many as the picture needs.

    Attributes:
        name: FFmpeg's name of the encoder.

    Raises:
        MissingExtraError: it needs PyAV.
        DeviceError: this FFmpeg has no encoder for H.264.
    """

    def __init__(
        self, container: Any, size: tuple[int, int], fps: float, key_every: float, rate: int | None = None
    ) -> None:
        self._av = load_av()
        self.name = choose_encoder(size, fps)
        self._key_every = round(key_every * TICKS)
        self._key: int | None = None
        self._stream = container.add_stream(self.name, rate=_fraction(fps))
        self._stream.time_base = Fraction(1, TICKS)
        _set(self._stream.codec_context, self.name, size, fps, key_every, rate)

    def encode(self, picture: Image, tick: int, duration: int) -> list[Any]:
        """The packets that are ready: with x264 that of this frame, with hardware mostly that of the frame before.

        Args:
            picture: uint8 ``(H, W, 3)``.
            tick: the frame's time, larger than that of the frame before.
            duration: ticks until the next frame, about.

        Raises:
            DeviceError: the encoder fails.
        """
        frame = self._frame(even_sides(picture))
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        if self._key is None or tick - self._key >= self._key_every:
            frame.pict_type = self._av.video.frame.PictureType.I
            self._key = tick
        return self._packets(frame, duration)

    def flush(self) -> list[Any]:
        """The packets that are left, at the end."""
        return self._packets(None, 0)

    def _frame(self, picture: Image) -> Any:
        # FFmpeg's own conversion uses threads, which compete with the network's; with one alone it takes longer.
        height, width = picture.shape[:2]
        frame = self._av.VideoFrame(width, height, "yuv420p")
        for plane, content in zip(frame.planes, to_yuv420(picture), strict=True):
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            lines[: content.shape[0], : content.shape[1]] = content
        frame.colorspace, frame.color_range = _BT709, _LIMITED
        return frame

    def _packets(self, frame: Any, duration: int) -> list[Any]:
        try:
            packets = list(self._stream.encode(frame))
        except (self._av.FFmpegError, OSError) as error:
            if self.name == _HARDWARE:
                _hardware.works = False
                log.warning(f"The encoder {_HARDWARE} failed, {SOFTWARE} takes over: {one_line(error)}")
            raise DeviceError(
                f"The encoder must take every frame. Received: {self.name} failed ({one_line(error)}). "
                "Remedy: choose a smaller frame size, or another sink."
            ) from error
        for packet in packets:
            packet.duration = packet.duration or duration
        return packets


def choose_encoder(size: tuple[int, int], fps: float) -> str:
    """FFmpeg's name of the encoder for frames of ``(width, height)``.

    A Raspberry Pi 4 has one in hardware, which takes no time from the network. It was **not yet run on hardware**.

    Raises:
        DeviceError: this FFmpeg has no encoder for H.264.
    """
    if _hardware.works and _hardware_fits(size) and _opens(_HARDWARE, size, fps):
        return _HARDWARE
    if _opens(SOFTWARE, size, fps):
        return SOFTWARE
    raise DeviceError(
        f"A video in H.264 needs an FFmpeg with x264. Received: one that cannot encode {size[0]}x{size[1]} with it. "
        "Remedy: pip install --force-reinstall --only-binary=:all: av"
    )


class _Hardware:
    works = True  # until it fails once in this process


_hardware = _Hardware()


def _hardware_fits(size: tuple[int, int]) -> bool:
    """Whether this machine has the encoder, and it takes this size. Only then are devices opened."""
    fits = all(least <= side <= most for least, side, most in zip(_HARDWARE_LEAST, size, _HARDWARE_MOST, strict=True))
    return fits and any(_read(name) == H264_ENCODER for name in _NODES.glob("video*/name"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _opens(name: str, size: tuple[int, int], fps: float) -> bool:
    av = load_av()
    try:
        context = av.CodecContext.create(name, "w")
        _set(context, name, size, fps, 2.0, None)
        context.open()
    except (av.FFmpegError, OSError, ValueError):  # an unknown encoder is a ValueError
        return False
    return True


def _set(context: Any, name: str, size: tuple[int, int], fps: float, key_every: float, rate: int | None) -> None:
    context.width, context.height = (side + side % 2 for side in size)
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS), _fraction(fps)
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    context.thread_count = 1
    options = {"g": str(max(1, round(key_every * fps)))}
    if name == SOFTWARE:
        options |= _FAST
        if rate is not None:
            options |= {"maxrate": str(rate), "bufsize": str(rate)}
    else:
        context.bit_rate = rate or round(_BITS_PER_PIXEL * size[0] * size[1] * fps)
    context.options = options


def _fraction(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)

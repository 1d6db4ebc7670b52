"""The requests of linux/videodev2.h that quietcam makes, and how their contents lie in memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["CAPTURE", "G_FMT", "OUTPUT", "QUERYCAP", "REQBUFS", "S_FMT", "S_PARM", "Format", "empty", "frame_rate"]

# Direction, size of the content, the letter V, number.
QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability)
REQBUFS = 0xC0145608  # _IOWR('V', 8, struct v4l2_requestbuffers)
G_FMT = {8: 0xC0D05604, 4: 0xC0CC5604}[struct.calcsize("P")]  # _IOWR('V', 4, struct v4l2_format)
S_FMT = G_FMT + 1  # _IOWR('V', 5, struct v4l2_format)
S_PARM = 0xC0CC5616  # _IOWR('V', 22, struct v4l2_streamparm)

CAPTURE, OUTPUT = 1, 2
"""``enum v4l2_buf_type``: pictures that a device gives, and pictures that it takes."""

_UNION = struct.calcsize("P")  # where the union of v4l2_format begins: it is aligned like a pointer
_PIX = "II4sIIIIIIIII"  # struct v4l2_pix_format
_PROGRESSIVE = 1  # V4L2_FIELD_NONE
_SRGB, _BT601, _LIMITED = 8, 1, 2  # V4L2_COLORSPACE_SRGB, V4L2_YCBCR_ENC_601, V4L2_QUANTIZATION_LIM_RANGE
_MAGIC = 0xFEEDCAFE  # V4L2_PIX_FMT_PRIV_MAGIC: the fields behind it count


@dataclass(frozen=True)
class Format:
    """A size and a format of pixels, in ``struct v4l2_format``.

    Attributes:
        width, height: in pixels.
        pixels: four characters, such as ``YUYV``.
        line: bytes from one line to the next.
    """

    width: int
    height: int
    pixels: str
    line: int

    def pack(self, kind: int) -> bytearray:
        """The content of a request; ``kind`` is ``CAPTURE`` or ``OUTPUT``. Colors are BT.601 in the limited range, as
        those of a webcam.
        """
        content = empty(S_FMT)
        struct.pack_into("I", content, 0, kind)
        own = (self.width, self.height, self.pixels.encode(), _PROGRESSIVE, self.line, self.line * self.height)
        struct.pack_into(_PIX, content, _UNION, *own, _SRGB, _MAGIC, 0, _BT601, _LIMITED, 0)
        return content

    @classmethod
    def unpack(cls, content: bytes | bytearray) -> Format:
        """The format in an answer."""
        width, height, pixels, _, line = struct.unpack_from("II4sII", content, _UNION)
        return cls(width, height, pixels.decode("ascii", "replace"), line)


def empty(request: int) -> bytearray:
    """Zeros of the size of a request's content."""
    return bytearray(request >> 16 & 0x3FFF)


def frame_rate(kind: int, fps: float) -> bytearray:
    """The content of ``S_PARM`` for so many frames a second."""
    content = empty(S_PARM)
    struct.pack_into("IIIII", content, 0, kind, 0, 0, 1000, round(1000 * fps))
    return content

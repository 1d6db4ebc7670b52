"""Facts about the Raspberry Pi: its name, its firmware's flags of power and heat, its video drivers."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CODECS_AND_ISP",
    "H264_ENCODER",
    "RIBBON_CAMERA",
    "THROTTLED",
    "THROTTLED_COMMAND",
    "THROTTLED_FILE",
    "board_name",
    "throttled_bits",
    "throttled_now",
    "throttled_since_boot",
]

THROTTLED = {0: "undervoltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Causes that slow the processor now, by bit; the bit that is 16 higher says that it has happened since boot.

Source: Raspberry Pi's documentation of ``vcgencmd get_throttled``. Other bits mean nothing.
"""

THROTTLED_COMMAND = ("vcgencmd", "get_throttled")
"""Prints ``throttled=0x50005``."""

THROTTLED_FILE = "devices/platform/soc/soc:firmware/get_throttled"
"""The same number in a file of ``/sys``, without a prefix, if the kernel's firmware driver offers it."""

_SINCE_BOOT = 16

CODECS_AND_ISP = ("bcm2835-isp", "bcm2835-codec", "pispbe", "rpi-hevc-dec", "rpivid")
"""Beginnings of the names of video drivers that do not give a camera's pictures: the image processor and the codecs.

Source: the kernel's drivers/staging/vc04_services, drivers/media/platform/raspberrypi and
drivers/staging/media/rpivid, as in raspberrypi/linux.
"""

H264_ENCODER = "bcm2835-codec-encode"
"""Name of the video device that encodes H.264, on a Raspberry Pi 4 and older ones."""

RIBBON_CAMERA = ("unicam", "rp1-cfe", *CODECS_AND_ISP)
"""Drivers that serve a camera at the ribbon cable, whose raw frames libcamera alone can use: the receivers of the
Pi 4 and earlier and of the Pi 5, and those above.
"""


def board_name(root: Path = Path("/")) -> str:
    """The board's name, such as ``Raspberry Pi 5 Model B Rev 1.0``; empty if the machine has no such name."""
    try:
        text = (root / "proc/device-tree/model").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.replace("\0", "").strip()


def throttled_bits(text: str) -> int:
    """The number in ``throttled=0x50005``, or in ``50005``.

    Raises:
        ValueError: the text has no such number.
    """
    return int(text.strip().rpartition("=")[2], 16)


def throttled_now(bits: int) -> list[str]:
    """The causes that slow the processor now, in words."""
    return [words for bit, words in THROTTLED.items() if bits >> bit & 1]


def throttled_since_boot(bits: int) -> list[str]:
    """The causes that have slowed the processor since boot, in words."""
    return throttled_now(bits >> _SINCE_BOOT)

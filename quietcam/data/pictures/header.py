"""The header of a picture's file, in the same form for all formats."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quietcam.data.pictures.tiff import exif_orientation, is_adobe_rgb
from quietcam.limits import MOST_PIXELS, MOST_SIDE

__all__ = ["Header", "with_exif"]


@dataclass(frozen=True)
class Header:
    """What a file states about its picture.

    Attributes:
        kind: a name from ``kind_of``; "" for any other kind, of which nothing else is known.
        width: pixels, as stored.
        height: pixels, as stored.
        bits: bits per channel; 0 if unknown.
        orientation: 1 to 8, as Exif defines it; 1 is upright.
        profile: the embedded ICC profile, or nothing.
        adobe_rgb: whether Exif states Adobe RGB, as some cameras do instead of embedding a profile.
        end: offset of the end of a JPEG's coded pixels.
        unusual: why the picture cannot be used, such as "CMYK" or "3 pages"; or nothing.
        least: the fewest bytes that its coding needs for its pixels, even if all had one color.
    """

    kind: str
    width: int = 0
    height: int = 0
    bits: int = 0
    orientation: int = 1
    profile: bytes = b""
    adobe_rgb: bool = False
    end: int = 0
    unusual: str = ""
    least: int = 0

    def excess(self, most: int = MOST_PIXELS) -> str | None:
        """Why there are too many pixels to decode; None if there are not.

        Args:
            most: pixels.
        """
        pixels, size = self.width * self.height, f"{self.width}x{self.height}"
        if pixels < 1:
            return "it claims to have no pixels"
        if pixels > most:
            return f"it claims {size}, more than {most // 10**6} million pixels"
        if max(self.width, self.height) > MOST_SIDE:
            return f"it claims {size}, a side of more than {MOST_SIDE} pixels"
        return None

    def lack(self, length: int) -> str | None:
        """Why a file of ``length`` bytes cannot contain all of its pixels, for which a decoder would reserve memory;
        None if it can.
        """
        if length < self.least:
            return (
                f"it claims {self.width}x{self.height} in {length} bytes, which are too few for a picture of this size"
            )
        return None


def with_exif(header: Header, exif: bytes) -> Header:
    """``header``, completed from Exif data."""
    exif = exif.removeprefix(b"Exif\0\0")
    return replace(header, orientation=exif_orientation(exif), adobe_rgb=is_adobe_rgb(exif))

"""Applies embedded color profiles: converts pixels to sRGB, as a viewer shows them.

Phones write Display P3, and cameras Adobe RGB. Both consist of three primaries with a tone curve each, and numpy
converts them to sRGB here, on the device and on the desktop. Profiles that consist of tables (scanners, printers) are
not applied.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image
from quietcam.sensor.srgb import to_shown

__all__ = ["ADOBE_RGB", "Profile", "read_profile", "to_srgb"]

_ROWS = 1 << 19  # pixels converted at a time, so that a large picture needs little additional memory
_STEPS = 1 << 16
_SAME = 1  # steps of 255: a profile that changes no color by more is treated as sRGB

_Curves = NDArray[np.float32]
_Matrix = NDArray[np.float64]

_SRGB: _Matrix = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
"""Linear sRGB to XYZ, adapted to D50 as ICC profiles are (IEC 61966-2-1, Bradford)."""


@dataclass(frozen=True, eq=False)
class Profile:
    """How the pixels of a profile are converted to sRGB.

    Attributes:
        name: the profile's own name.
        curves: float32 ``(256, C)``: the light, 0 to 1, that a value of each channel stands for; C is 3, or 1 for gray.
        matrix: ``(3, 3)``: that light, in linear sRGB. None for gray.
    """

    name: str
    curves: _Curves
    matrix: _Matrix | None

    @cached_property
    def is_srgb(self) -> bool:
        """Whether the conversion makes no visible change."""
        ramp = np.linspace(0, 255, 18).round().astype(np.uint8)
        channels = self.curves.shape[1]
        if channels == 3:
            ramp = np.stack(np.meshgrid(ramp, ramp, ramp), axis=-1).reshape(-1, 1, 3)
        else:
            ramp = ramp.reshape(-1, 1, 1)
        return int(np.abs(_convert(ramp, self).astype(int) - ramp).max()) <= _SAME


def to_srgb(image: Image, profile: Profile) -> Image:
    """uint8 ``(H, W, C)`` in the profile's colors to sRGB, rounded; what sRGB cannot show is clipped.

    C is that of the profile's curves.
    """
    turned = np.empty_like(image)
    rows = max(1, _ROWS // image.shape[1])
    for first in range(0, image.shape[0], rows):
        turned[first : first + rows] = _convert(image[first : first + rows], profile)
    return turned


@lru_cache(maxsize=16)
def read_profile(content: bytes) -> Profile | None:
    """Read a profile from its ICC file (ICC.1:2022); None if it does not consist of primaries and curves.

    Damaged profiles also give None: the pixels are complete without them.
    """
    try:
        with np.errstate(all="ignore"):
            profile = _read(content)
    except (struct.error, ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError):
        return None
    # A damaged number may have made the result meaningless.
    return profile if profile is not None and np.isfinite(profile.curves).all() else None


def _read(content: bytes) -> Profile | None:
    space, pcs = content[16:20], content[20:24]
    tags: dict[bytes, bytes] = {}
    (count,) = struct.unpack_from(">I", content, 128)
    for at in range(132, 132 + 12 * min(count, 256), 12):
        sign, start, length = struct.unpack_from(">4sII", content, at)
        tags[sign] = content[start : start + length]
    name = _name(tags.get(b"desc", b""))
    if space == b"GRAY" and b"kTRC" in tags:
        return Profile(name, _curve(tags[b"kTRC"])[:, np.newaxis], None)
    wanted = [b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ"]
    if space != b"RGB " or pcs != b"XYZ " or any(tag not in tags for tag in wanted):
        return None
    curves = np.stack([_curve(tags[tag]) for tag in wanted[:3]], axis=1)
    primaries = np.array([struct.unpack_from(">3i", tags[tag], 8) for tag in wanted[3:]]).T / 65536.0
    return Profile(name, curves, np.linalg.inv(_SRGB) @ primaries)


def _curve(tag: bytes) -> _Curves:
    """Light by value (ICC.1:2022, 10.6 and 10.18)."""
    at = np.arange(256) / 255.0
    if tag.startswith(b"curv"):
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return at.astype(np.float32)
        points = np.array(struct.unpack_from(f">{min(count, 1 << 16)}H", tag, 12))
        light = (
            at ** (points[0] / 256.0) if count == 1 else np.interp(at, np.linspace(0, 1, len(points)), points / 65535.0)
        )
        return light.astype(np.float32)
    if not tag.startswith(b"para"):
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    numbers = struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)
    gamma, *rest = (number / 65536.0 for number in numbers)
    a, b, c, d, e, f = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if kind in (1, 2):
        a, b = rest[0], rest[1]
        e = f = rest[2] if kind == 2 else 0.0
        d = -b / a
    elif kind in (3, 4):
        a, b, c, d = rest[:4]
        e, f = (rest[4], rest[5]) if kind == 4 else (0.0, 0.0)
    light = np.where(at >= d, np.maximum(a * at + b, 0.0) ** gamma + e, c * at + f)
    return np.clip(light, 0.0, 1.0).astype(np.float32)


def _name(tag: bytes) -> str:
    if tag.startswith(b"desc"):
        (length,) = struct.unpack_from(">I", tag, 8)
        text = tag[12 : 12 + length].decode("ascii", "replace")
    elif tag.startswith(b"mluc"):
        length, start = struct.unpack_from(">II", tag, 20)
        text = tag[start : start + length].decode("utf-16-be", "replace")
    else:
        text = ""
    return "".join(each for each in text if each.isprintable())[:60] or "without a name"


@lru_cache(maxsize=1)
def _encoding() -> NDArray[np.uint8]:
    """sRGB's value for linear light in 65536 steps."""
    table: NDArray[np.uint8] = np.rint(to_shown(np.arange(_STEPS) / (_STEPS - 1)) * 255.0).astype(np.uint8)
    return table


def _convert(pixels: Image, profile: Profile) -> Image:
    channels = profile.curves.shape[1]
    light = np.empty(pixels.shape, np.float32)
    for channel in range(channels):
        light[..., channel] = profile.curves[:, channel][pixels[..., channel]]
    if profile.matrix is not None:
        light = light @ profile.matrix.T.astype(np.float32)
    np.clip(light, 0.0, 1.0, out=light)
    light *= _STEPS - 1
    light += 0.5
    turned: Image = _encoding()[light.astype(np.uint16)]
    return turned


ADOBE_RGB = Profile(
    "Adobe RGB (1998)",
    np.repeat(((np.arange(256) / 255.0) ** (563 / 256)).astype(np.float32)[:, np.newaxis], 3, axis=1),
    np.linalg.inv(_SRGB)
    @ np.array(
        [
            [0.6097559, 0.2052401, 0.1492240],
            [0.3111242, 0.6256560, 0.0632197],
            [0.0194811, 0.0608902, 0.7448387],
        ]
    ),
)
"""As Exif's R03 means it: primaries adapted to D50, gamma 563/256."""

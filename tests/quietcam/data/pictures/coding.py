"""Picture files for tests, coded by Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra 'dev'")

from PIL import Image

from quietcam.data.pictures.files import decode_picture
from quietcam.image import Image as Pixels

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpg": ("JPEG", {"quality": 90}),
    "progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "webp": ("WEBP", {"lossless": True}),
    "lossy": ("WEBP", {"quality": 90}),
    "tif": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
}


def smooth(height: int = 96, width: int = 128) -> Pixels:
    """A picture with a little of everything, which JPEG hardly changes."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height)], -1).astype(np.uint8)


def coded(image: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` (uint8, or Pillow's own) in one of ``FORMATS``."""
    name, settings_ = FORMATS[kind]
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, name, **settings_, **options)
    return stream.getvalue()


def decoded(content: bytes, path: Path = Path("x")) -> Pixels:
    return decode_picture(content, path)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found

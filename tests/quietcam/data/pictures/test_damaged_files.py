"""Files that are cut short, changed or made to harm: whole or refused, never half a picture."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL", reason="needs the extra 'dev'")


from quietcam.data.pictures.profile import read_profile
from quietcam.data.pictures.tiff import exif_orientation, is_adobe_rgb
from quietcam.errors import DataError
from tests.quietcam.data.pictures.coding import FORMATS, coded, decoded, smooth


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_whole_or_refused(kind, share):
    content = coded(smooth(40, 48), kind)
    right = decoded(content)
    try:
        read = decoded(content[: int(share * len(content))])
    except DataError as error:
        assert "Remedy" in str(error)  # noqa: PT017
    else:
        assert np.array_equal(read, right)  # what stands behind the pixels was cut


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_flipped_bit_of_a_png_is_believed(data):
    content = bytearray(coded(smooth(40, 48), "png"))
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << at % 8
    with pytest.raises(DataError):
        decoded(bytes(content))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_flipped_bit_gives_a_picture_or_a_line(kind, data):
    """What no format but PNG can tell is a bit inside of coded pixels: it passes as another picture of that size."""
    content = bytearray(coded(smooth(40, 48), kind))
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << at % 8
    try:
        read = decoded(bytes(content))
    except DataError as error:
        assert "Remedy" in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert read.dtype == np.uint8
        assert read.ndim == 3


@pytest.mark.parametrize("kind", ["png", "jpg", "progressive", "webp", "lossy", "tif", "bmp", "ppm"])
def test_a_claim_of_900_megapixels_is_refused_before_decoding(kind, monkeypatch):
    content = bytearray(coded(smooth(8, 8), kind))
    if kind == "png":
        content[16:24] = struct.pack(">II", 30000, 30000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif kind in ("jpg", "progressive"):
        at = next(content.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in content) + 5
        content[at : at + 4] = struct.pack(">HH", 30000, 30000)
    elif kind in ("webp", "lossy"):  # their sides have 14 bits, so 268 megapixels are the most
        at = content.index(b"VP8L") + 9 if kind == "webp" else content.index(b"VP8 ") + 14
        content[at : at + 4] = struct.pack("<I", 0x0FFFFFFF) if kind == "webp" else struct.pack("<HH", 16383, 16383)
    elif kind == "tif":
        for tag in (256, 257):
            at = (
                content.index(struct.pack("<HH", tag, 4))
                if struct.pack("<HH", tag, 4) in content
                else content.index(struct.pack("<HH", tag, 3))
            )
            content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 30000)
    elif kind == "bmp":
        content[18:26] = struct.pack("<ii", 30000, 30000)
    else:
        content = bytearray(content.replace(b"8 8", b"30000 30000", 1))

    def never(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    with pytest.raises(DataError, match=r"30000x30000|16384x16384|16383x16383|cut short|rows of pixels are missing"):
        decoded(bytes(content))


@pytest.mark.parametrize(
    "content", [b"PF\n9 9\n-1.0\n" + bytes(972), b"P7\n", b"\x59\xa6\x6a\x95" + bytes(99), b"P3\n1 1\n255\n1 2 3\n"]
)
def test_what_nothing_has_judged_is_not_decoded(content, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(DataError, match="its format is unknown"):
        decoded(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", "a pointer of Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"P5 4 4 15\n" + bytes(16), r"\(values up to 15\)"),
    ],
)
def test_what_downloads_leave_in_place_of_pictures_is_named(content, said):
    with pytest.raises(DataError, match=said):
        decoded(content)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b""]))
def test_no_exif_data_hurts_or_hangs(rest, start):
    assert 1 <= exif_orientation(start + rest) <= 8
    assert is_adobe_rgb(start + rest) in (True, False)
    assert read_profile(rest) is None

"""Embedded color profiles become sRGB, as LittleCMS converts them."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL", reason="needs the extra 'dev'")

from PIL import Image, ImageCms

from quietcam.data.pictures.profile import read_profile, to_srgb
from tests.quietcam.data.pictures.coding import coded, decoded, smooth


def matrix_profile(name, primaries, gamma=None, table=None):
    """An ICC profile of three primaries (XYZ, D50) and one curve, by hand (ICC.1:2022)."""
    number = lambda value: struct.pack(">i", round(value * 65536))  # noqa: E731
    curve = b"curv" + bytes(4)
    if table is not None:
        curve += struct.pack(">I", len(table)) + b"".join(struct.pack(">H", round(65535 * each)) for each in table)
    else:
        curve += struct.pack(">IH", 1, round(gamma * 256))
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + number(0.9642) + number(1.0) + number(0.8249),
    }
    for sign, color in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[sign + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(map(number, color))
        tags[sign + b"TRC"] = curve
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    directory, body, at = b"", b"", 132 + 12 * len(tags)
    for sign, data in tags.items():
        data += bytes(-len(data) % 4)
        directory += struct.pack(">4sII", sign, at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12s4s", 0, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + number(0.9642) + number(1.0) + number(0.8249)
    head = head.ljust(128, b"\0")
    whole = head + struct.pack(">I", len(tags)) + directory + body
    return struct.pack(">I", len(whole)) + whole[4:]


P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


SRGB_CURVE = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.linspace(0, 1, 1024)]


def by_littlecms(image, profile):
    """The same by another program: relative colorimetric, as viewers do."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(image),
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    )


@pytest.mark.parametrize(
    "profile",
    [
        matrix_profile("Display P3", P3, table=SRGB_CURVE),
        matrix_profile("Adobe RGB (1998)", ADOBE, gamma=2.19921875),
    ],
    ids=["Display P3", "Adobe RGB"],
)
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif"])
def test_embedded_profiles_become_srgb(kind, profile, caplog):
    content = coded(smooth(), kind, icc_profile=profile)
    stored = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    right = by_littlecms(stored, profile)
    assert np.abs(right.astype(int) - stored).max() > 10
    read = decoded(content)
    difference = np.abs(read.astype(int) - right)
    assert difference.max() <= (4 if kind == "jpg" else 2)
    assert difference.mean() < 0.3
    assert "become sRGB" in caplog.text


def test_profiles_of_srgb_leave_pixels_as_they_are():
    for profile in (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_profile(
            "sRGB",
            ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)),
            table=SRGB_CURVE,
        ),
    ):
        assert read_profile(profile).is_srgb
        assert np.array_equal(decoded(coded(smooth(), "png", icc_profile=profile)), smooth())


@pytest.mark.parametrize("damage", [b"", b"x" * 200, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_profiles_that_are_none_are_said_and_not_applied(damage, caplog):
    assert read_profile(damage) is None
    if damage:
        assert np.array_equal(decoded(coded(smooth(), "png", icc_profile=damage)), smooth())
        assert "not applied" in caplog.text


def test_adobe_rgb_that_exif_alone_tells():
    found = Image.Exif()
    found.get_ifd(0x8769)[0xA001] = 0xFFFF
    found.get_ifd(0x8769)[0xA005] = {1: "R03"}
    content = coded(smooth(), "jpg", exif=found)
    stored = np.asarray(Image.open(io.BytesIO(content)))
    right = by_littlecms(stored, matrix_profile("Adobe RGB (1998)", ADOBE, gamma=2.19921875))
    assert np.abs(decoded(content).astype(int) - right).max() <= 4


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bit_of_a_profile_hurts(data):
    kind = data.draw(st.sampled_from(["matrix", "curves of formulas"]))
    content = matrix_profile("P3", P3, gamma=2.2)
    if kind != "matrix":
        content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = bytearray(content)
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << at % 8
    profile = read_profile(bytes(content))
    if profile is not None:
        assert to_srgb(smooth(8, 8), profile).shape == (8, 8, 3)
        assert profile.is_srgb in (True, False)


def test_a_large_picture_is_turned_in_parts():
    profile = read_profile(matrix_profile("Display P3", P3, table=SRGB_CURVE))
    image = np.random.default_rng(1).integers(0, 256, (1500, 700, 3), np.uint8)
    whole = to_srgb(image, profile)
    assert np.array_equal(whole[1400:], to_srgb(image[1400:], profile))

"""JPEGs with holes are refused; what cameras write in odd ways does no harm."""

import struct

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra 'dev'")


from quietcam.data.pictures.jpeg import bare_jpeg
from quietcam.errors import DataError
from quietcam.sensor.scenes import generate_scene
from tests.quietcam.data.pictures.coding import coded, decoded, exif, smooth


@pytest.mark.parametrize("start", range(20, 60, 4))
@pytest.mark.parametrize("kind", ["jpg", "progressive"])
def test_a_jpeg_with_a_hole_is_refused(kind, start):
    content = coded(generate_scene(256, 320, 5), kind)
    at = len(content) * start // 100
    # The rest gone and an end marker there; a quarter gone, so that the blocks cannot join again.
    for holed in (content[:at] + content[-2:], content[:at] + content[at + len(content) // 4 :]):
        with pytest.raises(DataError, match="must be whole"):
            decoded(holed)


def test_a_jpeg_with_a_hole_is_refused_in_one_line(capfd):
    content = coded(smooth(), "jpg")
    with pytest.raises(DataError, match="Corrupt JPEG data: premature end of data segment"):
        decoded(content[: len(content) // 2] + content[-2:])
    assert capfd.readouterr().err == ""


def test_bytes_that_cameras_leave_before_the_end_do_no_harm():
    content = coded(smooth(), "jpg")
    right = decoded(content)
    tables = content.index(b"\xff\xdb")
    assert np.array_equal(decoded(content[:tables] + b"\0\0" + content[tables:]), right)  # a webcam's
    assert np.array_equal(decoded(content[:-2] + bytes(40) + content[-2:] + b"trailer" * 99), right)
    at = content.index(b"\xff\xc0") + 5  # the frame's height: fewer rows than are coded
    with pytest.raises(DataError, match="extraneous bytes"):
        decoded(content[:at] + struct.pack(">H", 32) + content[at + 2 :])


def segment(data):
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def with_wrong_scan(content):
    """As some phones write panoramas: the first scan says nothing of which coefficients it holds."""
    at = content.index(b"\xff\xda") + 2
    end = at + struct.unpack_from(">H", content, at)[0]
    return content[: end - 3] + bytes(3) + content[end:]


@pytest.mark.parametrize(
    "spoil",
    [
        with_wrong_scan,
        lambda c: c.replace(b"\xff\xdb", b"\0\xff\xdb", 1),  # a webcam's stray byte
        lambda c: c[:-2] + bytes(1403) + c[-2:],  # padding
        lambda c: c + coded(smooth(24, 32), "jpg"),  # a gain map, a preview
        lambda c: c[:2] + segment(b"http://ns.adobe.com/xap/1.0/\0<x/>") + c[2:],
        lambda c: c[:2] + segment(b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\xff\xff\xff\xff") + c[2:],
    ],
    ids=["panorama", "webcam", "padding", "gain map", "XMP", "damaged Exif"],
)
def test_what_cameras_do_to_jpegs_does_no_harm(spoil, capfd):
    content = coded(smooth(), "jpg")
    assert np.array_equal(decoded(spoil(content)), decoded(content))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("spoil", [with_wrong_scan, lambda c: c.replace(b"\xff\xdb", b"\0\xff\xdb", 1)])
def test_a_hole_behind_a_harmless_oddity_is_told(spoil):
    content = spoil(coded(generate_scene(96, 128, 3), "jpg"))
    assert decoded(content).shape == (96, 128, 3)
    with pytest.raises(DataError, match="premature end"):
        decoded(content[: len(content) * 2 // 3] + content[-2:])


@pytest.mark.parametrize("kind", ["jpg", "progressive"])
def test_a_bare_jpeg_has_the_same_pixels(kind):
    content = coded(smooth(), kind, exif=exif(3), comment=b"made", icc_profile=b"x" * 900)
    bare = bare_jpeg(content)
    assert len(bare) < len(content) - 900
    assert np.array_equal(decoded(bare), decoded(coded(smooth(), kind)))


def test_bytes_left_over_between_restarts_are_damage():
    content = coded(generate_scene(96, 128, 3), "jpg", restart_marker_rows=1)
    assert decoded(content).shape == (96, 128, 3)
    at = content.index(b"\xff\xd1")
    with pytest.raises(DataError, match="Corrupt JPEG data"):
        decoded(content[:at] + bytes(range(1, 21)) + content[at:])

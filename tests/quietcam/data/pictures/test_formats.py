"""Picture files as programs and cameras write them: told by content, upright, in sRGB, whole or refused by name."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL", reason="needs the extra 'dev'")

from PIL import Image, ImageCms, ImageOps

from quietcam.data.pictures.files import decode_picture, picture_size, read_picture
from quietcam.data.pictures.folder import is_picture_file, list_pictures
from quietcam.data.pictures.formats import count_unread, kind_of, unread_by_content
from quietcam.data.pictures.header_readers import read_header, read_size
from quietcam.data.pictures.jpeg import bare_jpeg
from quietcam.data.pictures.profile import read_profile, to_srgb
from quietcam.data.pictures.tiff import exif_orientation, is_adobe_rgb
from quietcam.errors import DataError
from quietcam.sensor.scenes import generate_scene

FORMATS = {
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


def smooth(height=96, width=128):
    """A picture with a little of everything, which JPEG hardly changes."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height)], -1).astype(np.uint8)


def coded(image, kind, **options):
    """``image`` (uint8, or Pillow's own) in one of ``FORMATS``."""
    name, settings_ = FORMATS[kind]
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, name, **settings_, **options)
    return stream.getvalue()


def decoded(content, path="x"):
    return decode_picture(content, path)


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("kind", FORMATS)
def test_what_a_file_is_its_content_tells(tmp_path, kind):
    path = tmp_path / "named.png"
    path.write_bytes(coded(smooth(), kind))
    assert np.abs(read_picture(path).astype(int) - smooth()).mean() < 3.0
    assert picture_size(path) == (128, 96)
    path = path.rename(tmp_path / "without_suffix")
    assert is_picture_file(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg", "progressive", "webp", "lossy", "tif", "lzw"])
def test_pictures_stand_as_pillow_turns_them(tmp_path, kind, orientation):
    content = coded(smooth(), kind, exif=exif(orientation))
    right = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    for suffix in (".jfif", ".jpe", ".JPG", ".png", ".webp"):
        (tmp_path / f"a{suffix}").write_bytes(content)
        read = read_picture(tmp_path / f"a{suffix}")
        assert read.shape == right.shape
        assert np.abs(read.astype(int) - right).max() <= 3
    assert picture_size(tmp_path / "a.png") == (128, 96)  # as stored


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_opaque_alpha_is_dropped_and_true_alpha_refused(mode):
    image = Image.fromarray(smooth()[..., 0]).convert("L") if mode == "LA" else Image.fromarray(smooth())
    whole = image.convert("P").convert("RGBA") if mode == "PA" else image.convert(mode)
    right = np.asarray(whole.convert("RGB"))
    assert np.array_equal(decoded(coded(whole, "png")), right)
    pixels = np.array(whole)
    pixels[5, 7, -1] = 254
    with pytest.raises(DataError, match=r"must be opaque.*transparent in places.*-alpha off"):
        decoded(coded(Image.fromarray(pixels, whole.mode), "png"))


def bmp(alpha, size):
    """A BMP of 32 bits, whose header (of 108 bytes) tells of alpha or (of 40) does not."""
    pixels = np.dstack([smooth()[..., ::-1], alpha])[::-1]
    head = struct.pack("<IiiHHIIiiII", size, 128, 96, 1, 32, 3 if size > 40 else 0, pixels.nbytes, 0, 0, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(size - 40, b"\0") if size > 40 else b""
    start = 14 + size
    return b"BM" + struct.pack("<IHHI", start + pixels.nbytes, 0, 0, start) + head + pixels.tobytes()


def test_the_fourth_byte_of_a_bmp_is_alpha_where_its_header_says_so():
    alpha = np.zeros((96, 128), np.uint8)
    for empty in (bmp(alpha, 40), bmp(alpha, 108), bmp(alpha + 255, 108)):
        assert np.array_equal(decoded(empty), smooth())
    alpha[5, 7] = 200
    assert np.array_equal(decoded(bmp(alpha, 40)), smooth())
    with pytest.raises(DataError, match="must be opaque"):
        decoded(bmp(alpha, 108))


def of_mode(mode):
    """``smooth`` as Pillow's ``mode``; 16 bits and floats in one channel."""
    if mode == "LAB":
        return Image.frombytes("LAB", (8, 8), bytes(192))
    gray = smooth()[..., 0]
    bare = {"I;16": gray.astype(np.uint16) * 257, "F": gray.astype(np.float32)}
    return Image.fromarray(bare[mode]) if mode in bare else Image.fromarray(smooth()).convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("CMYK", "jpg", r"RGB or grayscale.*\(CMYK\).*-colorspace sRGB"),
        ("CMYK", "tif", r"RGB or grayscale.*\(CMYK\)"),
        ("LAB", "tif", r"RGB or grayscale.*\(Lab\)"),
        ("LA", "tif", r"gray with transparency.*-alpha off"),
        ("I;16", "png", "16 bits.*-depth 8"),
        ("I;16", "tif", "16 bits.*-depth 8"),
        ("F", "tif", "32 bits.*-depth 8"),
    ],
)
def test_what_no_camera_shows_is_named(mode, kind, said):
    with pytest.raises(DataError, match=said):
        decoded(coded(of_mode(mode), kind))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("tif", {"save_all": True}, r"\(3 pages\).*take it apart"),
        ("webp", {"save_all": True}, "animated"),
        ("png", {"save_all": True}, r"\(3 animated pictures\)"),
    ],
)
def test_several_pictures_in_a_file_are_never_one(kind, options, said):
    more = [Image.fromarray(np.roll(smooth(), shift, axis=0)) for shift in (9, 20)]
    with pytest.raises(DataError, match=said):
        decoded(coded(smooth(), kind, append_images=more, **options))


def test_a_preview_in_a_tiff_is_no_second_picture():
    preview = Image.fromarray(smooth()[::4, ::4].copy())
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    file = io.BytesIO()
    Image.fromarray(smooth()).save(file, "tiff", save_all=True, append_images=[preview])
    assert np.array_equal(decoded(file.getvalue()), smooth())


def test_a_raw_file_that_is_tiff_inside_is_not_its_preview(tmp_path):
    content = coded(smooth(), "tif", tiffinfo={50706: b"\x01\x04\x00\x00"})
    with pytest.raises(DataError, match=r"camera raw \(DNG\).*darktable-cli"):
        decoded(content)
    (tmp_path / "a.NEF").write_bytes(coded(smooth(), "tif"))
    with pytest.raises(DataError, match=r"Camera raw pictures are not read.*a\.NEF.*darktable-cli"):
        read_picture(tmp_path / "a.NEF")
    (tmp_path / "really_a_jpeg.dng").write_bytes(coded(smooth(), "jpg"))
    assert read_picture(tmp_path / "really_a_jpeg.dng").shape == (96, 128, 3)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
        (b"\xff\x0a\xff\xff", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"GIF89a", "GIF"),
    ],
)
def test_photographs_that_are_not_read_are_named_whatever_their_suffix(tmp_path, head, name):
    assert unread_by_content(head).name == name
    (tmp_path / "a.jpg").write_bytes(head + bytes(200))
    with pytest.raises(DataError, match=rf"(?i:{name}) pictures are not read.*a\.jpg.*Remedy: convert it"):
        read_picture(tmp_path / "a.jpg")
    assert is_picture_file(tmp_path / "a.jpg")


def test_videos_are_no_photographs():
    for head in (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", b"\x1aE\xdf\xa3"):
        assert kind_of(head) is None
        assert unread_by_content(head) is None


def test_folders_count_what_is_not_read(tmp_path, save, picture, caplog):
    save(tmp_path / "a.png", picture())
    for name in ("b.HEIC", "c.heic", "d.DNG", "._e.heic", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png"]
    said = caplog.messages
    assert len(said) == 2
    assert "2 HEIC photos are not read" in said[0]
    assert "b.HEIC" in said[0]
    assert "1 camera raw photo is not read" in said[1]
    (tmp_path / "a.png").unlink()
    (tmp_path / "inner").mkdir()
    with pytest.raises(
        DataError, match=r"with none: 2 HEIC photos are not read; convert them, .*Remedy: convert what is there, or put"
    ):
        list_pictures(tmp_path)
    for path in tmp_path.glob("*.*"):
        path.unlink()
    (tmp_path / "@eaDir").mkdir()
    with pytest.raises(DataError, match=r"with folders only\. Remedy: give one of these: inner\.$"):
        list_pictures(tmp_path)
    assert count_unread([tmp_path / "x.txt"]) == []


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
    with pytest.raises(DataError, match=r"30000x30000|16384x16384|16383x16383|cut short|not all there"):
        decoded(bytes(content))


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
    for sign, colour in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[sign + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(map(number, colour))
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


@pytest.mark.parametrize(
    "content", [b"PF\n9 9\n-1.0\n" + bytes(972), b"P7\n", b"\x59\xa6\x6a\x95" + bytes(99), b"P3\n1 1\n255\n1 2 3\n"]
)
def test_what_nothing_has_judged_is_not_decoded(content, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(DataError, match="of no format that is read"):
        decoded(content)


def test_a_large_picture_is_turned_in_parts():
    profile = read_profile(matrix_profile("Display P3", P3, table=SRGB_CURVE))
    image = np.random.default_rng(1).integers(0, 256, (1500, 700, 3), np.uint8)
    whole = to_srgb(image, profile)
    assert np.array_equal(whole[1400:], to_srgb(image[1400:], profile))


def test_sizes_are_read_from_the_first_bytes():
    for kind in ("png", "jpg", "bmp", "ppm"):
        assert read_size(coded(smooth(), kind)[:2000]) == (128, 96)
    header = read_header(coded(smooth(), "webp", exif=exif(6)))
    assert (header.width, header.height, header.orientation) == (128, 96, 6)


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


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib", "predictor": True},
        {"compression": "zlib", "predictor": True},
        {"tile": (32, 32)},
        {"tile": (64, 64), "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_tiffs_as_programs_write_them(options):
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    stored = np.moveaxis(smooth(), 2, 0) if "planarconfig" in options else smooth()
    tifffile.imwrite(stream, stored, photometric="rgb", metadata=None, **options)
    assert np.array_equal(decoded(stream.getvalue()), smooth())
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(DataError):
            decoded(stream.getvalue()[: int(share * len(stream.getvalue()))])


@pytest.mark.parametrize("kind", ["png", "tif", "bmp"])
def test_palettes_become_their_colors(kind):
    image = Image.fromarray(smooth()).quantize(200)
    assert np.array_equal(decoded(coded(image, kind)), np.asarray(image.convert("RGB")))


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

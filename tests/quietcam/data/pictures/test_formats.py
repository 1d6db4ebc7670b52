"""Picture files as programs and cameras write them: told by content, upright, or refused by name."""

import io
import struct

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra 'dev'")

from PIL import Image, ImageOps

from quietcam.data.pictures.files import picture_size, read_picture
from quietcam.data.pictures.folder import is_picture_file, list_pictures
from quietcam.data.pictures.formats import count_unread, kind_of, unread_by_content
from quietcam.data.pictures.header_readers import read_header, read_size
from quietcam.errors import DataError
from tests.quietcam.data.pictures.coding import FORMATS, coded, decoded, exif, smooth


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
        ("tif", {"save_all": True}, r"\(3 pages\).*split it into single pictures"),
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


def test_sizes_are_read_from_the_first_bytes():
    for kind in ("png", "jpg", "bmp", "ppm"):
        assert read_size(coded(smooth(), kind)[:2000]) == (128, 96)
    header = read_header(coded(smooth(), "webp", exif=exif(6)))
    assert (header.width, header.height, header.orientation) == (128, 96, 6)


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

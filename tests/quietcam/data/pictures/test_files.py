"""Pictures: what is read, what is refused, what is left after a failed write."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from quietcam.data.pictures.files import decode_picture, is_picture, read_mask, read_picture, write_picture
from quietcam.data.pictures.folder import list_pictures
from quietcam.errors import DataError, StorageError, UsageError


def read_by_another(path):
    return pytest.importorskip("skimage.io", reason="needs the extra 'dev'").imread(path)


def encoded(suffix, image):
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def test_png_is_lossless_and_rgb(tmp_path, picture):
    image = picture()
    write_picture(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), image)
    np.testing.assert_array_equal(read_by_another(tmp_path / "a.png"), image)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_is_near_and_rgb(tmp_path, suffix):
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 40
    write_picture(tmp_path / f"a{suffix}", image)
    assert np.abs(read_picture(tmp_path / f"a{suffix}").astype(int) - image).max() <= 4
    assert np.abs(read_by_another(tmp_path / f"a{suffix}").astype(int) - image).max() <= 4


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp"])
def test_other_formats_are_read(tmp_path, picture, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(cv2.imencode(suffix, picture()[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes())
    np.testing.assert_array_equal(read_picture(path), picture())


def test_one_channel_is_written_gray(tmp_path, picture):
    gray = picture()[..., :1]
    write_picture(tmp_path / "a.png", gray)
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).ndim == 2
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), np.repeat(gray, 3, axis=2))


def test_a_mask_is_read_without_a_word_about_gray(tmp_path, caplog):
    values = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), values)
    assert np.array_equal(read_mask(tmp_path / "mask.png"), values >= 128)
    assert caplog.text == ""


def test_grayscale_is_said_once(tmp_path, picture, save, caplog):
    for name in "abc":
        save(tmp_path / f"{name}.png", picture()[..., 0])
        assert read_picture(tmp_path / f"{name}.png").shape == (24, 32, 3)
    said = caplog.text
    assert said.count("\n") == 1
    assert "Grayscale" in said
    assert "a.png" in said


def test_jpeg_stands_upright_as_a_viewer_shows_it(tmp_path, picture):
    # An orientation tag of 6 means: turn by 90 degrees clockwise to show.
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, 6) + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    plain = encoded(".jpg", picture(16, 24))
    path = tmp_path / "a.jpg"
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:])
    (tmp_path / "plain.jpg").write_bytes(plain)
    np.testing.assert_array_equal(read_picture(path), np.rot90(read_picture(tmp_path / "plain.jpg"), -1))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_anywhere_is_refused(suffix):
    content = encoded(suffix, np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    for length in range(len(content)):
        with pytest.raises(DataError, match=r"(cut short|empty|no decoder).*Remedy"):
            decode_picture(content[:length], Path("a"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_half_a_file_is_refused_in_one_line_and_silence(tmp_path, picture, suffix, capfd):
    content = encoded(suffix, picture(64, 64))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_png_with_a_flipped_bit(tmp_path, picture, capfd):
    content = bytearray(encoded(".png", picture(64, 64)))
    content[len(content) // 2] ^= 4
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="checksum of its IDAT chunk is wrong"):
        read_picture(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


def test_a_download_that_was_reserved_and_never_filled(tmp_path, picture):
    content = encoded(".jpg", picture(64, 64))
    (tmp_path / "a.jpg").write_bytes(content[:1000] + bytes(len(content) - 1000))
    with pytest.raises(DataError, match="cut short"):
        read_picture(tmp_path / "a.jpg")


def test_the_end_of_a_thumbnail_is_not_the_end(tmp_path, picture):
    plain, thumbnail = encoded(".jpg", picture(64, 64)), encoded(".jpg", picture(8, 8))
    whole = plain[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + plain[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    assert read_picture(path).shape == (64, 64, 3)
    path.write_bytes(whole[: len(whole) - len(plain) // 2])
    with pytest.raises(DataError, match="cut short"):
        read_picture(path)


def test_what_a_camera_appends_does_no_harm(tmp_path, picture):
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg", picture()) + b"trailer" * 9)
    assert read_picture(tmp_path / "a.jpg").shape == (24, 32, 3)


def test_a_damaged_comment_does_no_harm(tmp_path, picture):
    content = encoded(".png", picture())
    text = b"tEXt" + b"Title\0x"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), picture())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda image: image.astype(np.uint16) * 257, "8 bits per channel.*16 bits.*-depth 8"),
        (lambda image: np.dstack([image, image[..., :1]]), "must be opaque.*transparent in places.*alpha"),
    ],
    ids=["16 bits", "RGBA"],
)
def test_other_depths_and_transparency(tmp_path, picture, make, said):
    assert cv2.imwrite(str(tmp_path / "a.png"), make(picture()))
    with pytest.raises(DataError, match=said):
        read_picture(tmp_path / "a.png")


def test_sixteen_bit_gray(tmp_path, picture, save, caplog):
    save(tmp_path / "a.png", picture()[..., 0].astype(np.uint16))
    with pytest.raises(DataError, match="8 bits per channel"):
        read_picture(tmp_path / "a.png")
    assert not caplog.messages


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(500)])
def test_no_picture_at_all(tmp_path, content, capfd):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"must be whole.*a.png.*Remedy"):
        read_picture(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


def test_log_level_of_opencv_is_given_back(tmp_path):
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    (tmp_path / "a.bmp").write_bytes(b"BM" + bytes(20))
    with pytest.raises(DataError):
        read_picture(tmp_path / "a.bmp")
    assert log.getLogLevel() == before


def test_missing_file_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="must be a file that exists"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(UsageError, match="must be a file that exists"):
        read_picture(tmp_path)


def test_unreadable_file(tmp_path, picture, save, monkeypatch):
    path = save(tmp_path / "a.png", picture())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(DataError, match=r"Permission denied.*Remedy: check its permissions"):
        read_picture(path)


def test_only_png_and_jpeg_are_written(tmp_path, picture):
    with pytest.raises(UsageError, match=r"\.png, \.jpg or \.jpeg"):
        write_picture(tmp_path / "a.gif", picture())
    with pytest.raises(DataError, match="image must be uint8"):
        write_picture(tmp_path / "a.png", picture().astype(np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_picture(tmp_path, picture, monkeypatch):
    path = tmp_path / "a.png"
    write_picture(path, picture(seed=1))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quietcam.files.atomic.os.fsync", full)
    with pytest.raises(StorageError, match="free some space"):
        write_picture(path, picture(seed=2))
    np.testing.assert_array_equal(read_picture(path), picture(seed=1))
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_list_pictures(tmp_path, picture, save):
    for name in ("frame_10.png", "frame_2.PNG", "1.jpg", "²3.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    save(tmp_path / "deeper" / "a.png", picture())
    assert [path.name for path in list_pictures(tmp_path)] == ["1.jpg", "frame_2.PNG", "frame_10.png", "²3.png"]
    with pytest.raises(UsageError, match="must exist"):
        list_pictures(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="at least one"):
        list_pictures(tmp_path / "empty")


def test_is_picture(tmp_path):
    assert is_picture(tmp_path / "A.PNG")
    assert not is_picture(tmp_path / "._A.PNG")
    assert not is_picture(tmp_path / "a.mat")

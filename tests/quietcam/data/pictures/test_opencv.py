"""The gate to OpenCV: no name ends the process, no header takes the memory, and nothing goes round it."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from quietcam.data.pictures.files import decode_picture
from quietcam.data.pictures.header import Header
from quietcam.data.pictures.header_readers import glance, read_header
from quietcam.data.pictures.opencv import check_frame_size, decode_image, open_capture, open_writer
from quietcam.data.video import open_video
from quietcam.errors import DataError, UsageError
from quietcam.limits import MOST_FRAME_PIXELS, MOST_PIXELS, MOST_SIDE
from quietcam.tiling import TileGrid

cv2 = pytest.importorskip("cv2")

ROOT = Path(__file__).parents[4]
ODD = os.fsdecode(b"\xff\xfe")  # no UTF-8
NAMES = (f"v{ODD}.webm", f"d{ODD}/v.webm", f"d{ODD}/v{ODD}.webm", "\U0001f4f7\u202e v.webm", "a\nb.webm")


def write_clip(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    writer = open_writer(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), 25.0, (64, 48))
    for seed in range(3):
        writer.write(np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return path


def test_nothing_calls_opencvs_readers_but_the_gate() -> None:
    call = re.compile(r"cv2\.(VideoCapture|VideoWriter\(|imread|imwrite|imdecode)|\.open\(.*CAP_")
    packages = ("quietcam", "edge", "train", "convert", "calibration", "compare", "deploy", "benchmarks")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    found = {str(file.relative_to(ROOT)) for file in files if call.search(file.read_text(encoding="utf-8"))}
    assert found == {"quietcam/data/pictures/opencv.py"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write_clip(tmp_path / "plain.webm").rename(path)
    with open_video(path) as video:
        assert video.size == (64, 48)
        assert video.read() is not None
        video.seek(1)
        assert video.read() is not None
        assert video.fps == 25.0


def test_a_folder_of_any_name_is_written_to(tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"d{ODD}" / "v.webm")
    assert path.stat().st_size > 100


@pytest.mark.parametrize("place", [f"rtsp://h/{ODD}", "rtsp://h/\0", "http://h/" + 5000 * "x", Path("a\0b.mp4")])
def test_what_has_no_name_that_opencv_takes_is_refused(place: str | Path) -> None:
    with pytest.raises(UsageError, match="UTF-8") as caught:
        open_capture(place, cv2.CAP_FFMPEG)
    assert str(caught.value).isprintable()


def test_a_pipe_and_a_lost_folder_of_an_odd_name_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"p{ODD}")
    for path in (tmp_path / f"p{ODD}", tmp_path / f"none{ODD}"):
        with pytest.raises(UsageError, match="UTF-8"):
            open_capture(path, cv2.CAP_FFMPEG)
    for path in (tmp_path / f"none{ODD}" / "v.webm", tmp_path / f"v{ODD}.webm"):
        with pytest.raises(UsageError, match="UTF-8"):
            open_writer(path, cv2.CAP_FFMPEG, 0, 25.0, (64, 48))


def test_on_the_command_line(tmp_path: Path) -> None:
    """In a process of its own, which OpenCV would end."""
    clip = write_clip(tmp_path / "plain.webm")
    odd = tmp_path / f"v{ODD}.webm"
    odd.write_bytes(clip.read_bytes())
    out, folder = str(tmp_path / f"o{ODD}.webm"), str(tmp_path / f"f{ODD}")
    lines = [
        (0, ["run", "--source", str(odd), "--sink", "null"]),
        (0, ["run", "--source", str(clip), "--sink", out]),
        (0, ["run", "--source", str(odd), "--sink", folder]),
        (0, ["capture", "--source", str(odd), "--count", "1", "--out", folder + "2"]),
        (0, ["data", "generate", "--count", "1", "--size", "32", "--clean", str(odd), "--out", folder + "3"]),
        (2, ["run", "--source", f"rtsp://127.0.0.1:9/{ODD}", "--sink", "null"]),
        (2, ["run", "--source", f"http://{ODD}/", "--sink", "null"]),
        (2, ["run", "--source", f"/dev/video{ODD}", "--sink", "null"]),
        (2, ["run", "--source", f"/dev/video{ODD}:size=64x48", "--sink", "null"]),
    ]
    program = (
        "import sys, json\nfrom quietcam.app.cli import run\n"
        "for code, words in json.load(sys.stdin):\n"
        "    found = run(words)\n    assert found == code, (found, code, words)\n"
    )
    given = json.dumps(lines).encode()
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert b"unexpected" not in done.stderr
    assert (tmp_path / f"o{ODD}.webm").stat().st_size > 100


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(64))), chunk(b"IEND", b"")]
    )


def jpeg(width: int, height: int) -> bytes:
    content = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    at = content.find(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def webp(width: int, height: int) -> bytes:
    content = bytearray(cv2.imencode(".webp", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    at = content.find(b"VP8L") + 9
    sides = struct.unpack_from("<I", content, at)[0] & ~0xFFFFFFF
    struct.pack_into("<I", content, at, sides | (width - 1) | (height - 1) << 14)
    return bytes(content)


def tiff(width: int, height: int) -> bytes:
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 4)]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + struct.pack("<H", len(entries)) + table + bytes(4)


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 14 + 40 + 1024) + head + bytes(1024) + b"\0\0\0\1"


BOMBS = {"png": png, "jpeg": jpeg, "webp": webp, "tiff": tiff, "bmp": bmp}


@pytest.mark.parametrize(
    ("kind", "size"),
    [(kind, (16383, 16383)) for kind in BOMBS]
    # Of lossless WebP a few bytes may be so large a picture.
    + [(kind, size) for kind in BOMBS if kind != "webp" for size in ((14000, 14000), (6000, 6000))],
)
def test_a_few_bytes_that_claim_much_reach_no_decoder(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decodes(*_: object) -> None:
        pytest.fail("it was decoded")

    content = BOMBS[kind](*size)
    assert glance(content).width == size[0]
    monkeypatch.setattr(cv2, "imdecode", decodes)
    with pytest.raises(DataError, match=f"{size[0]}x{size[1]}"):
        decode_picture(content, Path("bomb"))
    from edge.cameras.network.http import _decoded

    assert _decoded(content) is None


def test_a_long_thin_picture_is_refused_and_a_frame_as_long_takes_no_table_of_its_square() -> None:
    with pytest.raises(DataError, match="sides of at most"):
        decode_picture(png(100_000, 1), Path("thin"))
    with pytest.raises(DataError, match="sides of at most"):
        check_frame_size(MOST_SIDE + 1, 1, "thin")
    tracemalloc.start()
    TileGrid(1, MOST_SIDE, 256, 256).weights(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20  # 270 tiles by 65,535 pixels in floats are 142 MB, of which several were there at once


FLAT = {
    "png": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    "png of two colors": (".png", [cv2.IMWRITE_PNG_BILEVEL, 1]),
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    "progressive jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 1]),
    "lossless webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "deflate": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
    "lzw": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    "packbits": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 32773]),
}


@pytest.mark.parametrize("kind", FLAT)
def test_flat_pictures_are_no_bombs(kind: str) -> None:
    """Black frames, blank pages and test charts, as small as encoders make them."""
    suffix, options = FLAT[kind]
    for side, value in ((1400, 128), (7000, 0)):
        content = cv2.imencode(suffix, np.full((side, side), value, np.uint8), options)[1].tobytes()
        header = read_header(content)
        assert (header.width, header.excess(), header.lack(len(content))) == (side, None, None)
        assert header.least == 0 or len(content) < 200 * header.least  # no bound that bounds nothing
        if side < 2000:
            assert decode_picture(content, Path("flat")).shape == (side, side, 3)


def fax(width: int, height: int) -> bytes:
    """A blank page as a fax codes it (ITU-T T.6): a bit a line, "as the line above"."""
    coded = b"\xff" * -(-height // 8)
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 1), (259, 3, 1, 4), (262, 3, 1, 0)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(coded))]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(coded)) + coded + struct.pack("<H", len(entries)) + table + bytes(4)


def test_a_blank_page_of_a_scanner_is_read() -> None:
    content = fax(4960, 7016)
    assert len(content) < 1100
    picture = decode_picture(content, Path("page.tif"))
    assert picture.shape == (7016, 4960, 3)
    assert picture.min() == 255


def test_the_limits_of_pixels_and_frames() -> None:
    assert Header("png", 20000, 10000).excess() is None
    assert "more than 200 million" in (Header("png", 20001, 10000).excess() or "")
    assert "no pixels" in (Header("png", 10, 0).excess() or "")
    check_frame_size(8000, MOST_FRAME_PIXELS // 8000, "camera")
    with pytest.raises(DataError, match="40 million"):
        check_frame_size(8000, MOST_FRAME_PIXELS // 8000 + 1, "camera")
    with pytest.raises(DataError, match="format"):
        decode_image(b"GIF89a", Header(""), cv2.IMREAD_COLOR)


def test_a_hidden_frame_header_and_a_thousand_scans_are_seen() -> None:
    content = jpeg(64, 64)
    at = content.find(b"\xff\xc0")
    hidden = content[:at] + b"\xff\x00\xff\xd0" + jpeg(30000, 30000)[at:]  # decoders step over the first four bytes
    assert glance(hidden).width == 30000
    scan = content.find(b"\xff\xda")
    with pytest.raises(ValueError, match="scans"):
        glance(content[:scan] + 1000 * content[scan:-2] + b"\xff\xd9")


@pytest.mark.parametrize(("given", "used"), [(None, str(MOST_PIXELS)), ("1000", "1000")])
def test_opencv_is_told_before_it_is_imported(given: str | None, used: str) -> None:
    name = "OPENCV_IO_MAX_IMAGE_PIXELS"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: given} if given else {})
    program = f"import edge.cameras, os, sys; assert 'cv2' not in sys.modules; print(os.environ[{name!r}])"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == used, done.stderr


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "bmp"])
def test_a_picture_that_is_named_as_a_video_reaches_no_decoder(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(BOMBS[kind](14000, 14000))
    with pytest.raises(DataError, match=r"A video must be a video file|40 million"):
        open_video(path)

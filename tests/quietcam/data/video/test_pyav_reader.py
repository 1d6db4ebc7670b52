"""PyAV's reader against ffmpeg: colors, turns, times, places, fields, and files that mean harm."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.video import VideoCamera
from quietcam.data.video.av_picture import turned
from quietcam.errors import DataError, QuietcamError
from tests.quietcam.data.video.made import VARIABLE, VP8, as_ffmpeg_shows, ffmpeg, variable

pytest.importorskip("av", reason="needs the extra 'video'")
pyav = pytest.importorskip("quietcam.data.video.pyav")

MOVING = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2")
MATRICES = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}


def first(path: Path) -> np.ndarray:
    with pyav.AvVideo(path) as video:
        read = video.read()
    assert read is not None
    return read[0].astype(int)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(("matrix", "scale"), [*itertools.product(MATRICES, ("tv", "pc"))])
def test_every_pixel_is_as_ffmpeg_converts_it(tmp_path: Path, pixels: str, matrix: str, scale: str) -> None:
    path = tmp_path / "a.mkv"
    words = ["-vf", f"scale=out_color_matrix={matrix}:out_range={scale}", "-pix_fmt", pixels, "-frames:v", "1"]
    ffmpeg(*MOVING, *words, "-colorspace", MATRICES[matrix], "-color_range", scale, "-c:v", "ffv1", str(path))
    shown = first(path)
    assert np.abs(shown - as_ffmpeg_shows(path, shown.shape)).max() <= 2


@pytest.mark.parametrize(
    ("pixels", "codec", "suffix", "size"),
    [
        ("gray", "ffv1", "mkv", "96x64"),
        ("bgra", "ffv1", "mkv", "96x64"),
        ("yuva420p", "libvpx", "webm", "96x64"),
        ("yuvj444p", "mjpeg", "avi", "95x63"),
        ("yuv420p", "libx264", "mp4", "1280x720"),
        ("yuvj420p", "libx264", "mp4", "96x64"),
        ("yuv420p10le", "libx264", "mp4", "96x64"),
    ],
)
def test_gray_alpha_odd_sizes_and_codecs_are_as_ffmpeg_converts_them(
    tmp_path: Path, pixels: str, codec: str, suffix: str, size: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    alpha = ["-auto-alt-ref", "0"] if codec == "libvpx" else []
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size.replace('95x63', '96x64')}:r=25:d=0.2:alpha=100"]
    cut = ["-vf", "format=yuv444p,crop=95:63"] if size == "95x63" else []
    ffmpeg(*source, *cut, "-pix_fmt", pixels, "-c:v", codec, *alpha, str(path))
    shown = first(path)
    assert shown.shape == (*map(int, reversed(size.split("x"))), 3)
    assert np.abs(shown - as_ffmpeg_shows(path, shown.shape)).max() <= 2


RIGHT = [
    (a, b, c, d)
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if abs(a * d - b * c) == 1 and a * b == 0 and c * d == 0
]


@given(st.sampled_from(RIGHT), st.integers(1, 5), st.integers(1, 5), st.integers(1, 2**20))
def test_a_pixel_goes_where_the_matrix_says(
    matrix: tuple[int, int, int, int], width: int, height: int, unit: int
) -> None:
    a, b, c, d = matrix
    stored = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    shown = turned(stored, (a * unit, b * unit, c * unit, d * unit))
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    assert shown.shape[:2] == ((height, width) if a else (width, height))
    for (x, y), (across, down) in places.items():
        np.testing.assert_array_equal(shown[down - top, across - left], stored[y, x])


def test_a_clip_of_a_variable_rate_has_its_true_length(tmp_path: Path) -> None:
    """Its last frame is shown for a fifth of a second, which no time of a frame tells."""
    path = variable(tmp_path / "a.mp4", "-c:v", "libx264")
    with VideoCamera(path) as camera:
        frames = list(camera)
    assert len(frames) == 50
    last = frames[-1]
    assert last.shown_for is not None
    assert last.timestamp + last.shown_for == pytest.approx(6.0, rel=0.02)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("mp4", ("-c:v", "libx264", "-g", "12", "-bf", "2")),
        ("mkv", ("-c:v", "libx264", "-g", "12", "-bf", "2")),
        ("webm", (*VP8, "-g", "12")),
        ("live.webm", (*VP8, "-g", "12", "-f", "webm", "-live", "1")),
        ("h264", ("-c:v", "libx264", "-g", "12", "-bf", "0")),
        ("ts", ("-c:v", "libx264", "-g", "12", "-bf", "2")),
        ("avi", ("-c:v", "mjpeg", "-q:v", "2")),
    ],
)
def test_any_frame_is_found_by_its_number(tmp_path: Path, suffix: str, words: tuple[str, ...]) -> None:
    path = variable(tmp_path / f"a.{suffix}", *words)
    with pyav.AvVideo(path) as video:
        frames = []
        while (read := video.read()) is not None:
            frames.append(read)
        assert video.count() == 0
        assert len(frames) == (50 if suffix != "avi" else len(frames))
        for number in (0, 1, 11, 12, 13, 26, 49, 7):
            video.seek(number)
            read = video.read()
            assert read is not None
            np.testing.assert_array_equal(read[0], frames[number][0])
            assert read[1] == pytest.approx(frames[number][1], abs=1e-6)
        video.seek(len(frames))
        assert video.read() is None
        video.seek(len(frames) - 5)
        assert video.count() == 5
    if suffix in ("mp4", "mkv", "webm", "ts"):
        np.testing.assert_allclose([seconds for _, seconds in frames], VARIABLE, atol=0.041)


def test_the_fields_of_an_interlaced_video_are_joined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mp4"
    fields = ["-vf", "tinterlace=interleave_top,fieldorder=tff,format=yuv420p", "-flags", "+ildct+ilme"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=50:d=1", *fields, "-c:v", "libx264", "-qp", "8", str(path))
    with VideoCamera(path) as camera:
        shown = [frame.image.astype(int) for frame in camera]
    joined = ffmpeg("-i", str(path), "-vf", "bwdif=mode=send_frame", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")
    expected = np.frombuffer(joined, np.uint8).reshape(-1, 64, 96, 3).astype(int)
    assert len(shown) == len(expected) == 25
    assert np.abs(np.stack(shown) - expected).mean() < 2
    assert caplog.text.count("is interlaced") == 1


_READS = """
import resource, sys
from pathlib import Path
from quietcam.data.video import open_video
from quietcam.errors import DataError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with open_video(Path(sys.argv[1])) as video:
        while video.read() is not None:
            pass
except DataError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize("codec", ["mjpeg", "libvpx", "ffv1"])
def test_a_claim_of_giant_frames_takes_no_memory(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.mkv"
    ffmpeg(*MOVING, "-frames:v", "5", "-c:v", codec, str(path))
    content = bytearray(path.read_bytes())
    mark, skip, order = {"mjpeg": (b"\xff\xc0", 5, ">"), "libvpx": (b"\x9d\x01\x2a", 3, "<")}.get(codec, (b"", 0, ""))
    if mark:
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + skip : at + skip + 4] = struct.pack(f"{order}HH", 16383, 16383)
    else:  # PixelWidth and PixelHeight of Matroska, in one byte each: as 65535
        at = content.index(b"\xb0\x81\x60\xba\x81\x40")
        content[at : at + 6] = b"\xb0\x82\xff\xff\xec\x80"
    path.write_bytes(content)
    done = subprocess.run([sys.executable, "-c", _READS, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) < 200


@pytest.mark.parametrize("scheme", ["http", "tcp", "rtsp"])
def test_a_file_makes_no_connection(tmp_path: Path, scheme: str) -> None:
    """A playlist may name any place."""
    path = tmp_path / "a.mp4"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        place = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{place}\n#EXT-X-ENDLIST\n")
        with pytest.raises(DataError, match="cannot read"):
            pyav.AvVideo(path)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.mp4"
    ffmpeg(*MOVING, "-frames:v", "8", "-c:v", "libx264", "-bf", "2", str(path))
    return path


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), flips=st.integers(1, 200), kept=st.floats(0.2, 1.0))
def test_damage_of_any_kind_gives_frames_or_one_error(whole: Path, seed: int, flips: int, kept: float) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(whole.read_bytes(), np.uint8).copy()
    content[rng.integers(0, len(content), flips)] ^= rng.integers(1, 256, flips, np.uint8)
    path = whole.with_name("damaged.mp4")
    path.write_bytes(content[: int(len(content) * kept)].tobytes())
    with contextlib.suppress(QuietcamError), pyav.AvVideo(path) as video:
        before = -1.0
        for _ in range(100):
            read = video.read()
            if read is None:
                break
            assert read[0].dtype == np.uint8
            assert read[0].ndim == 3
            assert read[1] > before
            before = read[1]
        video.seek(3)
        video.read()

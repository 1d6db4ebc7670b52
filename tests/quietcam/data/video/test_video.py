"""Videos as phones, cameras and browsers write them, against what was put into them; and their containers by hand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge.cameras import open_camera
from edge.cameras.video import VideoCamera
from quietcam.data.frames import CleanFrames
from quietcam.data.video import count_frames, open_video
from quietcam.data.video.container import look_at_container
from quietcam.errors import DataError
from tests.quietcam.data.video.made import PATCHES, VARIABLE, VP8, as_ffmpeg_shows, encode, ffmpeg, variable


@pytest.fixture(params=["PyAV", "OpenCV"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that reads: what a test asks for holds for both."""
    if request.param == "PyAV" and find_spec("av") is None:
        pytest.skip("needs the extra 'video'")
    monkeypatch.setattr("quietcam.data.video.has_av", lambda: request.param == "PyAV")
    return str(request.param)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("scale", ["tv", "pc"])
def test_colors_are_those_that_were_put_in(tmp_path: Path, matrix: str, scale: str) -> None:
    named = {"bt601": "smpte170m", "bt709": "bt709"}[matrix]
    tags = ["-colorspace", named, "-color_primaries", named, "-color_trc", named, "-color_range", scale]
    wanted = ["-vf", f"scale=out_color_matrix={matrix}:out_range={scale}", "-pix_fmt", "yuv420p", *tags]
    path = encode(tmp_path / "a.mp4", *wanted, "-c:v", "libx264", "-qp", "4")
    with open_video(path) as clip:
        read = clip.read()
    assert read is not None
    got = read[0][16::32, 24::48].astype(int)
    assert np.abs(got - PATCHES).max() <= 5


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, turn: int) -> None:
    plain = encode(tmp_path / "a.mp4", "-c:v", "mpeg4", "-q:v", "1")
    path = tmp_path / "turned.mp4"
    ffmpeg("-i", str(plain), "-c", "copy", "-metadata:s:v", f"rotate={turn}", str(path))
    with open_video(path) as clip:
        read = clip.read()
        assert clip.size == ((64, 96) if turn in (90, 270) else (96, 64))
    assert read is not None
    assert np.abs(read[0].astype(int) - as_ffmpeg_shows(path, read[0].shape)).mean() < 6


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_of_a_variable_rate_all_frames_come_at_their_time_and_nothing_is_called_missing(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = VP8 if suffix == "webm" else ("-c:v", "mpeg4", "-q:v", "3")
    path = variable(tmp_path / f"a.{suffix}", *words)
    with VideoCamera(path) as camera:
        assert camera.fps == pytest.approx(25, rel=0.05)
        assert camera.total == (50 if suffix == "mp4" else None)
        stamps = [frame.timestamp for frame in camera]
        assert not camera.skipped
        assert camera.count() == 50
    np.testing.assert_allclose(stamps, VARIABLE, atol=0.041)
    assert not caplog.messages


def test_what_a_browser_records_has_no_length_and_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "live.webm"
    source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2"]
    ffmpeg(*source, *VP8, "-f", "webm", "-live", "1", str(path))
    with VideoCamera(path) as camera:
        assert camera.total is None
        frames = list(camera)
    assert len(frames) == 50
    assert not camera.skipped
    assert not caplog.messages
    assert CleanFrames.open(path).length == 50


@pytest.mark.parametrize("suffix", ["webm", "mkv", "h264"])
def test_clean_frames_come_from_all_of_it_and_no_place_is_beyond_its_end(tmp_path: Path, suffix: str) -> None:
    words = {"webm": VP8, "mkv": ("-c:v", "mpeg4"), "h264": ("-c:v", "libx264", "-bf", "0")}[suffix]
    clean = CleanFrames.open(variable(tmp_path / f"a.{suffix}", *words))
    assert clean.length == 50
    assert len({clean.read(number).tobytes() for number in range(20)}) > 10


def test_a_stream_without_times_gets_those_of_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.h264"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-c:v", "libx264", "-bf", "0", str(path))
    with VideoCamera(path) as camera:
        stamps = [frame.timestamp for frame in camera]
    assert len(stamps) == 25
    np.testing.assert_allclose(np.diff(stamps), 1 / 25, atol=1e-6)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi"])
def test_what_is_cut_short_is_told_by_its_own_sizes(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tmp_path / f"a.{suffix}"
    words = VP8 if suffix == "webm" else ("-c:v", "mpeg4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", *words, "-movflags", "+faststart", str(whole))
    assert look_at_container(whole).missing == 0
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert look_at_container(cut).missing == len(content) - len(content) * 2 // 3
    with VideoCamera(cut) as camera:
        frames = len(list(camera))
    assert 20 < frames < 100
    assert len(camera.skipped) == 1
    assert f"is cut short by {len(content) - len(content) * 2 // 3} bytes" in caplog.text


def test_a_recording_that_was_cut_off_before_its_index_is_told_so(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.mp4", "-c:v", "mpeg4", frames=25)
    content = whole.read_bytes()
    whole.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(DataError, match=r"its index \(moov\).*untrunc"):
        open_video(whole)


def test_an_index_tells_how_many_frames_a_video_has(tmp_path: Path) -> None:
    plain = encode(tmp_path / "a.mp4", "-c:v", "mpeg4", frames=10)
    pieces = encode(tmp_path / "b.mp4", "-c:v", "mpeg4", "-movflags", "frag_keyframe+empty_moov", frames=10)
    assert look_at_container(plain).counted
    assert not look_at_container(pieces).counted
    with open_video(plain) as clip, open_video(pieces) as other:
        assert (clip.total, other.total) == (10, None)
    assert count_frames(pieces) == 10


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x1a\x45\xdf\xa3", b"\0\0\0\0ftyp", b"\0\0\0\1ftyp", b"x" * 99])
def test_no_container_breaks_the_look_at_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not look_at_container(tmp_path / "a").missing
    assert look_at_container(tmp_path / "none") == look_at_container(tmp_path)


def test_damage_in_the_middle_is_left_out_and_the_rest_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=192x128:r=25:d=4", "-c:v", "libx264", "-g", "50", str(path))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with VideoCamera(path) as camera:
        stamps = [frame.timestamp for frame in camera]
    assert 80 < len(stamps) < 100
    assert max(stamps) > 3.9
    assert len(camera.skipped) == 1
    assert "is damaged in" in caplog.text
    assert count_frames(path) == len(stamps)


def test_a_trimmed_clip_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its index lists what its edit list hides."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", "-c:v", "libx264", "-g", "50", str(whole))
    ffmpeg("-ss", "1.3", "-i", str(whole), "-c", "copy", str(path))
    with VideoCamera(path) as camera:
        frames = len(list(camera))
    assert frames < 100
    assert VideoCamera(path).count() == frames
    assert not camera.skipped
    assert not caplog.messages


@pytest.mark.parametrize("name", ["http:cam.mp4", "clip_%05d.mp4", "a b#1?x=y.mp4", "20240517"])
def test_no_name_is_taken_for_something_else(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = encode(tmp_path / "plain.mp4", "-c:v", "mpeg4")
    plain.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_camera(name) as camera:
        assert len(list(camera)) == 5
    assert camera.name == name

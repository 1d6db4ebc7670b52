"""What OpenCV's reader does with what OpenCV does wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from quietcam.data.video import opencv
from quietcam.data.video.opencv import OpencvVideo
from tests.quietcam.data.video.made import as_ffmpeg_shows, encode, ffmpeg


def old_opencv(real: Any) -> Any:
    class Old:
        def __init__(self, *words: Any) -> None:
            self._real = real(*words)
            self._real.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)

        def get(self, key: int) -> float:
            if key == cv2.CAP_PROP_ORIENTATION_AUTO:
                return 0.0
            return float(self._real.get(key))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    return Old


@pytest.mark.parametrize("version", ["4.8.1", "4.11.0", "4.12.0-dev"])
def test_an_opencv_that_mistakes_colors_is_told_once(
    version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cv2, "__version__", version)
    monkeypatch.setattr(opencv, "_warned", False)
    for _ in range(3):
        opencv.warn_of_old_opencv()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"may be wrong with OpenCV {version}" in record.getMessage()
    caplog.clear()
    for right in ("4.13.0", "5.0.0", "10.1"):
        monkeypatch.setattr(cv2, "__version__", right)
        monkeypatch.setattr(opencv, "_warned", False)
        opencv.warn_of_old_opencv()
    assert not caplog.messages


_READS = """
import json, sys
from pathlib import Path
from quietcam.data.video.opencv import OpencvVideo
from quietcam.errors import DataError

with OpencvVideo(Path(sys.argv[1])) as clip:
    try:
        print(json.dumps(["", float(clip.read()[0].mean())]))
    except DataError as error:
        print(json.dumps([str(error), 0.0]))
"""


@pytest.mark.parametrize("version", ["interlaced", "progressive"])
def test_what_opencv_shows_as_black_is_refused(tmp_path: Path, version: str) -> None:
    """Since 4.13 it cannot convert interlaced frames, says so on the error stream alone, and hands out black ones."""
    path = tmp_path / "a.mp4"
    fields = ["-vf", "tinterlace=interleave_top,fieldorder=tff,format=yuv420p", "-flags", "+ildct+ilme"]
    words = fields if version == "interlaced" else []
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=50:d=1", *words, "-c:v", "libx264", str(path))
    # In a process of its own: how much FFmpeg tells is settled once, and for a live camera it is nothing.
    told = {key: value for key, value in os.environ.items() if key != "OPENCV_FFMPEG_LOGLEVEL"}
    words = [sys.executable, "-c", _READS, str(path)]
    done = subprocess.run(words, env=told, stdout=subprocess.PIPE, text=True, check=True)
    said, mean = json.loads(done.stdout)
    assert said or mean > 50
    assert ("-vf yadif" in said) == (version == "interlaced" and not cv2.__version__.startswith(("4.8", "4.11")))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_pictures_are_upright_with_an_opencv_that_turns_nothing(
    tmp_path: Path, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before 4.13: it says how a phone was held, and no more."""
    plain = encode(tmp_path / "a.mp4", "-c:v", "mpeg4", "-q:v", "1")
    path = tmp_path / "turned.mp4"
    ffmpeg("-i", str(plain), "-c", "copy", "-metadata:s:v", f"rotate={turn}", str(path))
    monkeypatch.setattr(cv2, "VideoCapture", old_opencv(cv2.VideoCapture))
    with OpencvVideo(path) as clip:
        read = clip.read()
        assert clip.size == ((64, 96) if turn in (90, 270) else (96, 64))
    assert read is not None
    assert np.abs(read[0].astype(int) - as_ffmpeg_shows(path, read[0].shape)).mean() < 6

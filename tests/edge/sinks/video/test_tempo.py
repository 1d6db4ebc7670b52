"""The tempo of a clip that is made from a file: each frame is shown at its time, at any intervals."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks.video.opencv_clip import OpenCVClip

TIMES = [number / 25 for number in range(10)] + [0.4 + number / 5 for number in range(10)]
"""Ten frames at 25 a second, then ten at 5."""


def written(path: Path, times: list[float], fps: float = 25.0) -> list[int]:
    """The number of the source frame, read from its gray, in each frame of the clip."""
    with OpenCVClip(path, fps) as sink:
        for number, seconds in enumerate(times):
            image = np.full((48, 64, 3), 10 + 8 * number, np.uint8)
            sink.write(Frame(image, seconds, number), image)
        assert sink.frames == len(times)
    capture = cv2.VideoCapture(str(path))
    shown = []
    while True:
        there, image = capture.read()
        if not there:
            return shown
        shown.append(round((float(image.mean()) - 10) / 8))


@pytest.mark.parametrize("suffix", ["avi", "mp4", "webm"])
def test_each_frame_is_shown_at_its_time(tmp_path: Path, suffix: str) -> None:
    shown = written(tmp_path / f"a.{suffix}", TIMES)
    at = [max(number for number, time in enumerate(TIMES) if time <= tick / 25 + 1e-6) for tick in range(len(shown))]
    assert shown == at
    assert len(shown) == round(TIMES[-1] * 25) + 1


def test_none_is_lost_where_more_come_than_the_rate_allows(tmp_path: Path) -> None:
    assert written(tmp_path / "a.avi", TIMES, 5.0)[:10] == list(range(10))


def test_equal_distances_and_leaps_repeat_nothing(tmp_path: Path) -> None:
    assert written(tmp_path / "a.avi", [number / 25 for number in range(20)]) == list(range(20))
    assert written(tmp_path / "b.avi", [0.0] * 5) == list(range(5))
    assert written(tmp_path / "c.avi", [0.0, 0.04, 5000.0, 5000.04, 5000.16]) == [0, 1, 2, 3, 3, 3, 4]


def test_the_last_frame_lasts_as_long_as_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with OpenCVClip(path, 25.0) as sink:
        for number, (seconds, shown_for) in enumerate([(0.0, 0.04), (0.04, None), (0.08, 0.2)]):
            image = np.full((48, 64, 3), 10 + 8 * number, np.uint8)
            sink.write(Frame(image, seconds, number, shown_for=shown_for), image)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 7  # 0.28 s

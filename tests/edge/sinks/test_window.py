"""The window that shows the frames."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.base import SinkEnded
from edge.sinks.window import WindowSink, _shows_windows
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image
from tests.edge.sinks.test_sinks import frame
from tests.small_models import picture


class TestWindow:
    def test_without_the_extra_it_is_one_clear_line(self) -> None:
        if _shows_windows(cv2):
            pytest.skip("this OpenCV can show windows")
        with pytest.raises(MissingExtraError, match=r"quietcam\[window\]"):
            open_sink("window")

    def test_without_a_screen_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.sinks.window._shows_windows", lambda _: True)
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(UsageError, match="DISPLAY"):
            WindowSink()

    def test_what_is_shown_and_how_it_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A list replaces OpenCV's window."""
        shown: list[Image] = []
        titles: list[str] = []
        key = [-1]
        visible = [1.0]
        for name, stand_in in {
            "namedWindow": lambda *_: None,
            "resizeWindow": lambda *_: None,
            "imshow": lambda _, image: shown.append(image.copy()),
            "waitKey": lambda _: key[0],
            "getWindowProperty": lambda *_: visible[0],
            "setWindowTitle": lambda _, title: titles.append(title),
            "destroyAllWindows": lambda: shown.clear(),
        }.items():
            monkeypatch.setattr(cv2, name, stand_in, raising=False)
        monkeypatch.setattr("edge.sinks.window._shows_windows", lambda _: True)
        monkeypatch.setenv("DISPLAY", ":0")
        with WindowSink() as sink:
            image = picture(60, 90)
            sink.write(frame(0), image)
            np.testing.assert_array_equal(shown[0], image[..., ::-1])
            for _ in range(2):
                sink.status({"camera": {"state": "lost", "since": 1e9, "reason": "unplugged"}})
            assert titles == ["quietcam: no live video (unplugged)"]
            assert len(shown) == 3
            notice = shown[-1]
            assert notice.shape == image.shape
            assert notice.max() > 100 > np.median(notice), "the last frame is still shown"
            sink.status({"camera": {"state": "live", "since": 1e9, "reason": "unplugged"}})
            assert titles[1:] == ["quietcam"]
            key[0] = ord("q")
            with pytest.raises(SinkEnded):
                sink.write(frame(1), image)
            key[0], visible[0] = -1, 0.0
            with pytest.raises(SinkEnded):
                sink.write(Frame(image, 0.0, 2), image)
        assert not _shows_windows(SimpleNamespace(getBuildInformation=lambda: "  GUI:    NONE\n"))
        assert _shows_windows(SimpleNamespace(getBuildInformation=lambda: "  GUI:    QT5\n"))

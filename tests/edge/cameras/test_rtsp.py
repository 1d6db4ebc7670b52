"""A camera behind RTSP: a real GStreamer server, if the system has one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import SupervisedCamera, WatchRules
from tests.edge.cameras.watched import until_frame
from tests.ports import free_ports
from tests.waiting import WAIT

SERVER = Path(__file__).with_name("rtsp_server.py")


@contextlib.contextmanager
def rtsp_camera(port: int, codec: str, width: int) -> Iterator[str]:
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("no system's Python, which would have GStreamer's bindings")
    command = [python, str(SERVER), str(port), codec, str(width)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            if server.stdout.readline() != b"up\n":
                pytest.skip(
                    "no GStreamer RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 "
                    "gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
                )
            yield f"rtsp://127.0.0.1:{port}/camera"
        finally:
            server.kill()


@pytest.mark.parametrize("reader", ["PyAV", "OpenCV"])
@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_frames_are_rgb_and_come_back_at_another_size(codec: str, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if reader == "PyAV":
        pytest.importorskip("av", reason="needs the extra 'video'")
    monkeypatch.setattr("edge.cameras.network.stream.has_av", lambda: reader == "PyAV")
    (port,) = free_ports(1)
    rules = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.05, longest_pause=0.1, proven=0.0)
    with contextlib.ExitStack() as stack:
        with rtsp_camera(port, codec, 64) as url:
            camera = stack.enter_context(
                SupervisedCamera(lambda: stream_camera(CameraUrl.parse(url)), rules, allow_still=True)
            )
            frames = iter(camera)
            frame = until_frame(camera, frames, lambda _: True)
            red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
            assert red > 200 > 60 > max(green, blue)
            assert frame.image.shape == (48, 64, 3)
        stack.enter_context(rtsp_camera(port, codec, 80))
        until_frame(camera, frames, lambda frame: frame.image.shape == (48, 80, 3))
        assert camera.state.reopened >= 1

"""The short recording: what is in it, who may ask for it, and that neither frames nor bytes pile up."""

from __future__ import annotations

import asyncio
import io
import itertools
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.web.panels import clip as clip_module
from edge.web.panels.clip import Clips, _Job
from quietcam.image import Image
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served, noise
from tests.small_models import picture
from tests.waiting import WAIT, ended, until

av = pytest.importorskip("av", reason="needs the extra 'video'")
TOKEN = "correct horse battery"
NOISY, DENOISED = (np.full((48, 64, 3), color, np.uint8) for color in ((200, 40, 40), (40, 40, 200)))


def played(content: bytes) -> tuple[list[Image], list[float], dict[str, str]]:
    """Pictures and times of a clip, and what its file says, by PyAV."""
    with av.open(io.BytesIO(content)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(stream))
        return [each.to_ndarray(format="rgb24") for each in frames], [each.time for each in frames], container.metadata


class Asked:
    """A request for a clip in a thread of its own, which the server has begun to answer."""

    def __init__(self, served: Served, path: str = "/clip.mp4?seconds=1") -> None:
        self._answer: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._answer.extend(served.get(path)))
        self._thread.start()
        until(lambda: served.sink.clips._job is not None)

    def answer(self) -> tuple[int, Any, bytes]:
        ended(self._thread)
        return tuple(self._answer)


def test_it_shows_the_camera_on_the_left_and_the_denoised_frames_on_the_right(served: Served) -> None:
    served.keep_feeding(NOISY, DENOISED)
    status, headers, content = served.get("/clip.mp4?seconds=1")
    assert (status, headers["Content-Type"]) == (200, "video/mp4")
    assert headers["Content-Disposition"].endswith('_before_after.mp4"')
    pictures, times, told = played(content)
    assert len(pictures) > 1
    assert times[0] == 0.0
    assert all(before < after for before, after in itertools.pairwise(times))
    for each in pictures:
        assert np.abs(each[:, 4:60].astype(int) - NOISY[:, 4:60]).max() <= 4
        assert np.abs(each[:, 68:124].astype(int) - DENOISED[:, 4:60]).max() <= 4
    assert told["title"] == "left: camera, right: denoised"
    assert "demo_640x480_int8" in told["comment"]


def test_gray_frames_and_odd_sizes(served: Served) -> None:
    served.keep_feeding(np.full((47, 63, 1), 90, np.uint8), np.full((47, 63, 1), 160, np.uint8))
    pictures, _, _ = played(served.get("/clip.mp4?seconds=1")[2])
    assert pictures[0].shape == (48, 126, 3)
    assert abs(int(pictures[0][20, 20, 0]) - 90) <= 2
    assert abs(int(pictures[0][20, 100, 1]) - 160) <= 2


@pytest.mark.parametrize("seconds", ["0", "11", "-1", "1.5", "x", "", "\u0661"])
def test_its_length_has_limits(served: Served, seconds: str) -> None:
    from urllib.parse import quote

    assert served.get(f"/clip.mp4?seconds={quote(seconds)}")[0] == 400


def test_one_is_made_at_a_time(served: Served) -> None:
    first = Asked(served)
    status, headers, body = served.get("/clip.mp4")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert body.startswith(b"Another recording")
    served.keep_feeding()
    assert first.answer()[0] == 200
    until(lambda: served.sink.clips._job is None)
    assert served.get("/clip.mp4?seconds=1")[0] == 200


def test_without_frames_it_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "_FIRST_SECONDS", 0.05)
    status, _, body = served.get("/clip.mp4")
    assert (status, body) == (503, b"No live video: starting.\n")


def test_frames_that_stop_end_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "_FIRST_SECONDS", 0.5)
    asked = Asked(served, "/clip.mp4?seconds=10")
    served.feed()
    status, _, content = asked.answer()
    assert status == 200
    assert len(played(content)[0]) == 1


def test_another_size_ends_it(served: Served) -> None:
    asked = Asked(served, "/clip.mp4?seconds=10")
    served.feed()
    until(lambda: served.sink.clips._job._waiting.empty())
    served.feed(noise(1), noise(2))
    assert len(played(asked.answer()[2])[0]) == 1


def test_without_the_extra_it_says_how_to_get_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    status, _, body = served.get("/clip.mp4")
    assert status == 501
    assert b"pip install 'quietcam[video]'" in body


def test_it_ends_when_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that stands still, so that nothing else ends it."""
    monkeypatch.setattr(clip_module, "MOST_BYTES", 200_000)
    monkeypatch.setattr(clip_module, "_FIRST_SECONDS", WAIT)
    clips, made = Clips(lambda: 0.0), list[bytes]()
    thread = threading.Thread(target=lambda: made.append(asyncio.run(clips.make(1.0))))
    thread.start()
    for index in itertools.count():
        if not thread.is_alive():
            break
        clips.offer(Frame(noise(index), index / 25, index), noise(index + 1))
        time.sleep(0.001)
    assert 200_000 <= len(made[0]) < 2_000_000


def test_frames_wait_in_bounded_memory_and_cost_nothing_otherwise() -> None:
    image = picture(8, 8)
    job = _Job(1.0, time.monotonic)
    for index in range(50):
        job.offer(Frame(image, index / 25, index), image)
    assert job._waiting.qsize() == clip_module._WAITING
    job.stop()
    Clips().offer(Frame(image, 0.0, 0), image)


def test_nothing_is_left_of_it_when_the_client_leaves_or_the_page_closes() -> None:
    with serving() as served:
        with served.connect() as connection:
            connection.sendall(b"GET /clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            until(lambda: served.sink.clips._job is not None)
        served.feed()
        until(lambda: served.sink.clips._job is None)
        connection = served.connect()
        connection.sendall(b"GET /clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until(lambda: served.sink.clips._job is not None)
    connection.close()
    until(lambda: not any(each.name == "quietcam-clip" for each in threading.enumerate()))


def test_strangers_and_other_sites_record_nothing() -> None:
    with serving(TOKEN) as served:
        served.keep_feeding()
        assert served.get("/clip.mp4")[0] == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert served.get("/clip.mp4", **known, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
        assert served.get("/clip.mp4?seconds=1", **known)[0] == 200

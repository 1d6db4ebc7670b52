"""Counters in the metrics never decrease, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import edge.run.sink_thread
from edge.cameras.base import Camera
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.sinks.web import WebOptions, WebSink
from edge.web.metrics import Metrics
from quietcam.errors import DataError, ModelError, StorageError
from quietcam.image import Image
from tests.edge.run.clockwork import Inverts, Viewer
from tests.edge.web.served_page import Controls, Served
from tests.small_models import picture
from tests.waiting import WAIT, until


class Dies(Camera):
    """A camera that vanishes after some frames, again and again."""

    name = "dies"
    live = True

    @property
    def size(self) -> tuple[int, int]:
        return 16, 16

    def __iter__(self) -> Iterator[Frame]:
        for index in range(25):
            threading.Event().wait(0.001)
            yield Frame(picture(16, 16, seed=index), 0.0, index)
        raise DataError("pulled out")


class Moody(Inverts):
    """A network that fails when told to, and can be replaced."""

    fails = False

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        if self.fails:
            raise ModelError("it fails")
        return super().denoise(noisy, out)

    def reload(self, model: str) -> None:
        if model == "garbage":
            raise ModelError("not a model")


class Flaky(Viewer):
    name = "flaky"
    fails = False

    def write(self, frame: Frame, denoised: Image) -> None:
        if self.fails:
            raise StorageError("full")
        super().write(frame, denoised)


def totals(text: str) -> dict[tuple[Any, ...], float]:
    """Every sample that Prometheus takes for a counter, those of histograms included."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }


def test_no_counter_ever_falls_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras, sinks, the network and the page fail and return; the spool removes entries; a model is replaced."""
    monkeypatch.setattr(edge.run.sink_thread, "_FIRST_RETRY", 0.01)
    monkeypatch.setattr(edge.run.sink_thread, "_LAST_RETRY", 0.01)
    monkeypatch.setattr(edge.run.sink_thread, "_TICK", 0.01)
    rules = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.001, longest_pause=0.01, proven=0.0, pulse=0.005)
    camera = SupervisedCamera(Dies, rules, allow_still=True)
    denoiser, flaky = Moody(), Flaky()
    spool = SpoolSink(SpoolOptions.parse(f"{tmp_path},size=40kB,every=0.001,format=png"))
    web = WebSink(WebOptions.of("127.0.0.1:0"), Controls())
    page = Served(web, Controls())
    breaks = threading.Event()
    write = web.write

    def sometimes(frame: Frame, denoised: Image) -> None:
        if breaks.is_set():
            raise OSError("the page breaks")
        write(frame, denoised)

    monkeypatch.setattr(web, "write", sometimes)
    seen: dict[tuple[Any, ...], float] = {}

    def scrape() -> None:
        now = totals(page.get("/metrics")[2].decode())
        fallen = {name: (before, now.get(name)) for name, before in seen.items() if now.get(name, -1) < before}
        assert not fallen
        seen.update(now)

    def count(*name: Any) -> float:
        scrape()
        return seen.get(name, 0.0)

    def grows(*name: Any, by: float = 1) -> None:
        before = count(*name)
        until(lambda: count(*name) >= before + by)

    with camera, spool, flaky, web:
        reloading = ReloadingDenoiser(denoiser, denoiser.reload)
        pipeline = Pipeline(camera, reloading, [spool, flaky, web])
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        try:
            grows("quietcam_camera_reopened_total", by=3)
            grows("quietcam_sink_events_total", ("event", "evicted"), ("sink", spool.name), by=20)
            assert page.get("/snapshot.jpg")[0] == 200
            assert count("quietcam_frames_encoded_total") >= 1
            flaky.fails = True
            grows("quietcam_sink_events_total", ("event", "failed"), ("sink", "flaky"))
            flaky.fails = False
            grows("quietcam_sink_frames_total", ("sink", "flaky"))
            denoiser.fails = True
            grows("quietcam_frames_worked_total", ("work", "untouched"))
            grows("quietcam_sink_events_total", ("event", "untouched"), ("sink", "flaky"))
            denoiser.fails = False
            grows("quietcam_frames_worked_total", ("work", "full"))
            for model in ("garbage", "other"):
                reloading.request(model)
            grows("quietcam_stage_duration_seconds_count", ("stage", "denoise"), by=5)
            assert count("quietcam_reloads_total") == 1
            breaks.set()
            until(lambda: pipeline.health.report()["sinks"][2]["failed"] >= 2)
            breaks.clear()
            taken = web.frames
            until(lambda: web.frames > taken)  # it is open again, at another address
            grows("quietcam_frames_total", by=5)
            encoded = "quietcam_sink_events_total", ("event", "encoded"), ("sink", "web")
            before = count(*encoded)
            assert page.get("/snapshot.jpg")[0] == 200
            until(lambda: count(*encoded) > before)
        finally:
            pipeline.stop()
            thread.join(WAIT)
    assert not thread.is_alive()
    assert len(seen) > 20


def test_what_goes_up_and_down_is_no_counter_and_two_of_a_name_are_one() -> None:
    sinks = [
        {"name": "null", "frames": 3, "dropped": 1, "untouched": 2, "bytes": 7, "viewers": 2, "new": 5, "error": None},
        {"name": "null", "frames": 4, "dropped": 0, "untouched": 0, "bytes": 1, "viewers": 0, "new": 0, "error": "x"},
    ]
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(Metrics(lambda: {"sinks": sinks}).text().decode())
        for sample in family.samples
    }
    assert found[("quietcam_sink_frames_total", "null")] == 7
    assert found[("quietcam_sink_events_total", "dropped", "null")] == 1
    assert found[("quietcam_sink_events_total", "null", "untouched")] == 2
    assert found[("quietcam_sink_bytes", "null")] == 8
    assert found[("quietcam_sink_up", "null")] == 0, "one of the two fails"
    for state, value in (("viewers", 2), ("new", 5)):
        assert found[("quietcam_sink_state", *sorted(("null", state)))] == value
    assert not [name for name in found if name[0] == "quietcam_sink_events_total" and "bytes" in name]

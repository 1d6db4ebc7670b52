"""Runs with a video network: what they remember, compared with a loop by hand, and what they tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.cameras.base import CameraState
from edge.network.denoiser import Denoiser
from edge.network.treatment import Rung, Treatment
from edge.run.degrade.ladder import Ladder
from edge.run.degrade.ladder_denoiser import LadderDenoiser, LadderOptions, open_ladder
from edge.run.degrade.temperature import Thermometer
from edge.run.frame import Frame
from edge.run.options import RunOptions
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.run.session import open_session
from edge.web.metrics import Metrics
from quietcam.data.pictures.files import write_picture
from quietcam.image import Image
from tests.edge.network.test_history import ByHand, clip
from tests.edge.run.parts import Collector, Numbers
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def video(models: Path) -> Path:
    return models / "video_64x64_int8.tflite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, frame in enumerate(clip(6)):
        write_picture(folder / f"{number}.png", frame)
    return folder


def run(folder: Path, video: Path, **options: Any) -> tuple[list[Image], list[int | None], dict[str, Any]]:
    """The pictures of a run, how many frames each had as its past, and the report."""
    pictures: list[Image] = []
    treatments: list[Treatment | None] = []

    def take(frame: Frame, denoised: Image) -> None:
        pictures.append(denoised.copy())
        treatments.append(frame.treatment)

    given = RunOptions(source=folder, model=video, threads=1, gate=False, **options)
    with open_session(given, take) as session:
        report = session.run()
    return pictures, [each and each.history for each in treatments], report


def test_a_run_over_a_clip_equals_a_loop_by_hand(folder: Path, video: Path) -> None:
    pictures, remembered, report = run(folder, video, clip=True)
    loop = ByHand(video)
    for denoised, noisy in zip(pictures, clip(6), strict=True):
        np.testing.assert_array_equal(denoised, loop(noisy))
    assert remembered == [0, 1, 2, 3, 4, 5]
    assert report["history"]["on"] is True
    assert report["work"]["history"] == 5


@pytest.mark.parametrize("options", [{}, {"clip": True, "history": False}])
def test_pictures_and_runs_without_history_denoise_each_frame_by_itself(
    folder: Path, video: Path, options: dict[str, bool]
) -> None:
    pictures, remembered, report = run(folder, video, **options)
    for denoised, noisy in zip(pictures, clip(6), strict=True):
        np.testing.assert_array_equal(denoised, ByHand(video)(noisy))
    assert remembered == [0] * 6
    assert report["history"] == {"on": False, "forgotten": dict.fromkeys(report["history"]["forgotten"], 0)}


class Comes(Numbers):
    """Frames of a clip at these times; before one of them the camera was opened again."""

    def __init__(self, times: list[float], reopened_before: int) -> None:
        super().__init__(len(times))
        self._times, self._reopened_before = times, reopened_before

    def __iter__(self) -> Iterator[Frame]:
        for index, (image, taken) in enumerate(zip(clip(len(self._times)), self._times, strict=True)):
            if index == self._reopened_before:
                self.state = CameraState(reopened=self.state.reopened + 1)
            yield Frame(image, taken, index)


class Remembered(Collector):
    """Keeps how many frames each frame had as its past."""

    def __init__(self) -> None:
        super().__init__()
        self.remembered: list[int | None] = []

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        assert frame.treatment is not None
        self.remembered.append(frame.treatment.history)
        self.frames += 1


def test_dropped_frames_and_a_camera_that_came_back_reach_the_network_through_all_wrappers(video: Path) -> None:
    # Of 30 frames a second, 4 are dropped, and later 40; then the camera is lost for a moment.
    times = [0.0, 1 / 30, 6 / 30, 7 / 30, 48 / 30, 49 / 30, 50 / 30, 51 / 30]
    sink = Remembered()
    with Denoiser(video, 1, stream=True) as denoiser:
        ladder = LadderDenoiser(denoiser, Ladder([Rung.FULL]), Thermometer())
        reloading = ReloadingDenoiser(ladder, denoiser.reload)
        health = Pipeline(Comes(times, reopened_before=6), reloading, [sink]).run()
    assert sink.remembered == [0, 1, 2, 3, 0, 1, 0, 1]
    forgotten = health.report()["history"]["forgotten"]
    assert {why: count for why, count in forgotten.items() if count} == {
        "frames were left out": 1,
        "the camera came back": 1,
    }


def test_the_ladders_other_rung_and_the_way_back_forget(video: Path) -> None:
    rungs = [Rung.FULL, Rung.HALF_SIZE]
    found = []
    with Denoiser(video, 1, stream=True) as denoiser:
        ladder = Ladder(rungs)
        wrapped = LadderDenoiser(denoiser, ladder, Thermometer())
        for number, (noisy, rung) in enumerate(zip(clip(9), [0, 0, 0, 1, 1, 1, 0, 0, 0], strict=True)):
            ladder._place = rung
            wrapped.coming(number / 30)
            found.append(wrapped.treat(noisy).treatment.history)
    assert found == [0, 1, 2] * 3


@pytest.mark.parametrize("history", [True, False])
def test_the_ladders_smaller_model_remembers_unless_the_run_may_not(small: Path, video: Path, history: bool) -> None:
    noisy = clip(4)
    options = LadderOptions(smaller=video, threads=1, history=history)
    with Denoiser(small, 1, stream=True) as full, open_ladder(full, options, Thermometer()) as wrapped:
        wrapped._ladder = Ladder([Rung.SMALLER])
        until(lambda: wrapped.treat(noisy[0]).treatment.model == video.stem)
        found = [wrapped.treat(each).treatment.history for each in noisy[1:]]
    assert found == ([1, 2, 3] if history else [0, 0, 0])


@pytest.mark.parametrize("history", [True, False])
def test_a_run_tells_its_ladder_whether_it_may_remember(
    monkeypatch: pytest.MonkeyPatch, small: Path, history: bool
) -> None:
    told: list[bool] = []

    def opened(denoiser: Denoiser, options: LadderOptions, thermometer: Thermometer) -> Any:
        told.append(options.history)
        return open_ladder(denoiser, options, thermometer)

    monkeypatch.setattr("edge.run.session.open_ladder", opened)
    with open_session(RunOptions(source="synthetic:size=32x32", sink="null", model=small, history=history)):
        assert told == [history]


def test_the_metrics_tell_what_is_remembered_and_how_often_it_was_forgotten() -> None:
    status: dict[str, Any] = {"history": {"on": True, "forgotten": {"another scene": 3}}, "work": {"history": 12}}
    text = Metrics(lambda: status).text().decode()
    assert "quietcam_history_frames 12.0" in text
    assert 'quietcam_history_forgotten_total{why="another scene"} 3.0' in text
    status["work"]["history"] = None
    assert "quietcam_history_frames" not in Metrics(lambda: status).text().decode()


def test_no_counter_falls_when_a_still_network_and_a_video_network_take_over_from_each_other(
    small: Path, video: Path
) -> None:
    """With the real denoiser: each reload also makes another past, which counts what was forgotten."""
    seen: dict[tuple[Any, ...], float] = {}
    with Denoiser(video, 1, stream=True) as denoiser:
        metrics = Metrics(denoiser.report)
        for model in (video, small, video, video, small):
            denoiser.reload(model)
            for number, noisy in enumerate(clip(4)):
                denoiser.coming(number / 30 + (number > 2) * 9)  # a gap, too
                denoiser.treat(noisy)
            now = {
                (sample.name, *sample.labels.values()): sample.value
                for family in text_string_to_metric_families(metrics.text().decode())
                for sample in family.samples
                if sample.name.endswith("_total")
            }
            assert not [key for key, value in seen.items() if now.get(key, -1.0) < value]
            seen |= now
    assert seen["quietcam_history_forgotten_total", "another model"] > 0

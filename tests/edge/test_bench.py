"""The bench's report; its measured values are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bench import bench
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from edge.network.runtime.instructions import instructions_here
from quietcam.errors import UsageError


def test_the_report_is_consistent(small: Path) -> None:
    ticks: list[int] = []
    (report,) = bench([load_model(small)], (48, 40), threads=1, frames=12, on_frame=lambda: ticks.append(1))
    assert len(ticks) == 36
    assert (report["width"], report["height"], report["threads"]) == (48, 40, 1)
    assert report["invokes_per_frame"] == 4
    for kind in ("invoke", "denoise"):
        assert report[kind]["count"] == 12
        assert 0 < report[kind]["p50"] <= report[kind]["p95"] <= report[kind]["p99"] <= report[kind]["max"]
    assert report["pipeline"]["count"] == 12
    assert report["instructions"] == instructions_here().report()


def test_of_one_round_what_is_added_and_the_share_follow_from_the_rates(small: Path) -> None:
    (report,) = bench([load_model(small)], (48, 40), threads=1, frames=1)
    added = 1000 / report["denoise"]["fps"] - 1000 / report["invoke"]["fps"]
    assert report["overhead_ms"] == pytest.approx(added, abs=0.002)
    # The rate comes from a mean in whole microseconds, and this network takes a few dozen; the share has three digits.
    share = report["pipeline"]["fps"] / report["invoke"]["fps"]
    assert report["pipeline_share"] == pytest.approx(share, rel=0.05, abs=0.0006)


def test_the_default_size_is_the_models(models: Path) -> None:
    (report,) = bench([load_model(models / "gray_32x32_int8.tflite")], frames=1)
    assert (report["width"], report["height"]) == (32, 32)
    assert report["invokes_per_frame"] == 3  # one for each channel of an RGB frame


def test_of_a_video_network_it_says_that_history_is_fed_back(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, still = (load_model(models / f"{name}.tflite") for name in ("video_64x64_int8", "small_80x64_int8"))
    pasts: list[bool] = []
    put = Interpreter.put_next
    monkeypatch.setattr(Interpreter, "put_next", lambda self, noisy: (pasts.append(True), put(self, noisy))[1])
    first, second = bench([video, still], threads=1, frames=4)
    assert (first["history"], second["history"]) == (True, False)
    assert len(pasts) >= 4 + 4 - 1  # of the frames that are denoised and of those in the pipeline


def test_no_frames_is_wrong_usage(small: Path) -> None:
    with pytest.raises(UsageError, match="frames=0"):
        bench([load_model(small)], frames=0)


def test_models_are_measured_side_by_side_on_frames_of_one_size(small: Path, models: Path) -> None:
    first, second = bench([load_model(small), load_model(models / "small_80x64_int8.tflite")], threads=1, frames=3)
    assert (second["width"], second["height"]) == (first["width"], first["height"]) == (32, 32)
    assert first["speedup"] == 1
    assert second["speedup"] == pytest.approx(first["invoke"]["p50"] / second["invoke"]["p50"], rel=0.2)
    for report in (first, second):
        assert report["invoke"]["count"] == report["denoise"]["count"] == report["pipeline"]["count"] == 3


def test_a_video_network_is_measured_without_history_where_that_is_wanted(models: Path) -> None:
    video = load_model(models / "video_64x64_int8.tflite")
    told = [bench([video], frames=2, history=history)[0]["history"] for history in (True, False)]
    assert told == [True, False]

"""A run without the command line: options in, denoised frames out."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cameras.supervised import SupervisedCamera
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.options import RunOptions
from edge.run.reloading import ReloadingDenoiser
from edge.run.session import open_session
from edge.sinks.base import Sink
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image
from tests.edge.cameras.watched import PATIENT, FakeDevice
from tests.small_models import picture
from tests.waiting import WAIT, until

CAMERA = "synthetic:size=64x48,fps=100,rendered=2"


class Keeps(Sink):
    """Keeps each frame and its denoised picture."""

    name = "keeps"

    def __init__(self) -> None:
        self.taken: list[tuple[Image, Image]] = []
        self.opened = self.closed = 0

    def open(self) -> None:
        self.opened += 1

    def write(self, frame: Frame, denoised: Image) -> None:
        self.taken.append((frame.image.copy(), denoised.copy()))
        self.frames += 1

    def close(self) -> None:
        self.closed += 1


def test_frames_of_a_camera_go_into_a_list_of_the_callers_own(small: Path) -> None:
    taken: list[tuple[Image, Image]] = []
    options = RunOptions(CAMERA, model=small, frames=8, gate=False)

    def take(frame: Frame, denoised: Image) -> None:
        taken.append((frame.image.copy(), denoised.copy()))

    with open_session(options, [take]) as session:
        report = session.run()
    assert 0 < len(taken) == report["frames"] <= 8
    with Denoiser(small) as denoiser:
        for noisy, denoised in taken:
            np.testing.assert_array_equal(denoised, denoiser.denoise(noisy))


def test_files_go_into_a_folder_and_into_a_sink_of_the_callers_own(small: Path, tmp_path: Path) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    for index in range(3):
        write_picture(noisy / f"{index}.png", picture(48, 64, seed=index))
    sink = Keeps()
    options = RunOptions(noisy, [clean], model=small, gate=False)
    with open_session(options, [sink]) as session:
        assert session.total == 3
        report = session.run()
    assert (report["frames"], report["dropped"], sink.closed > 0) == (3, 0, True)
    for index, (_, denoised) in enumerate(sink.taken):
        np.testing.assert_array_equal(read_picture(clean / f"{index}.png"), denoised)


def test_another_thread_stops_it(small: Path) -> None:
    sink, reports = Keeps(), list[dict[str, Any]]()
    with open_session(RunOptions(CAMERA, model=small), [sink]) as session:
        thread = threading.Thread(target=lambda: reports.append(session.run()))
        thread.start()
        until(lambda: session.report()["frames"] > 3)
        session.stop()
        thread.join(WAIT)
        assert not thread.is_alive()
    assert reports[0]["frames"] == len(sink.taken)


def test_it_reloads_a_model_and_a_strength_while_frames_run(small: Path, models: Path, tmp_path: Path) -> None:
    other = models / "small_80x64_int8.tflite"
    garbage = tmp_path / "garbage.tflite"
    garbage.write_bytes(b"no model" * 99)
    with open_session(RunOptions(CAMERA, model=small), [Keeps()]) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        try:
            session.reload(other, 0.5)
            until(lambda: session.report()["reload"] == {"count": 1, "error": None})
            assert session.report()["model"] == other.stem
            assert session.denoiser.strength == 0.5
            session.reload(garbage)
            until(lambda: "not a TensorFlow Lite model" in (session.report()["reload"]["error"] or ""))
            with pytest.raises(UsageError, match="nonsense"):
                session.reload("nonsense", 1.0)
            assert (session.denoiser.model.name, session.denoiser.strength) == (other.stem, 0.5)
        finally:
            session.stop()
            thread.join(WAIT)


def test_a_report_can_be_had_at_any_time(small: Path) -> None:
    with open_session(RunOptions(CAMERA, model=small, frames=3), [Keeps()]) as session:
        before = session.report()
        after = session.run()
    assert (before["frames"], before["source"], before["model"]) == (0, session.camera.name, "small_32x32_int8")
    assert after["worked"]["full"] + after["worked"]["untouched"] >= 3
    assert session.report()["frames"] == after["frames"]
    assert {"camera", "sinks", "device", "ladder", "reload", "temperature_c", "runtime", "threads"} <= after.keys()


def test_a_camera_without_any_sink_gets_the_page_and_a_sink_of_the_callers_own_takes_its_place(small: Path) -> None:
    with open_session(RunOptions(CAMERA, model=small, listen="127.0.0.1:0")) as session:
        assert [sink.name for sink in session.sinks] == ["web"]
    with open_session(RunOptions(CAMERA, model=small), [Keeps()]) as session:
        assert [sink.name for sink in session.sinks] == ["keeps"]


def test_a_file_without_any_sink_is_refused(small: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "noisy.png", picture(48, 64))
    with pytest.raises(UsageError, match="sink"), open_session(RunOptions(tmp_path / "noisy.png", model=small)):
        pass


def test_what_is_wrong_with_the_options_is_found_before_a_camera_is_opened(
    small: Path, cut_short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a camera is opened")

    monkeypatch.setattr("edge.run.session.open_camera", forbidden)
    for options, error in (
        (RunOptions(CAMERA, model=cut_short), ModelError),
        (RunOptions(CAMERA, model="nonsense"), UsageError),
        (RunOptions(CAMERA, model=small, strength=7.0), UsageError),
        (RunOptions(CAMERA, model=small, frames=0), UsageError),
        (RunOptions(CAMERA, model=small, smaller="nonsense"), UsageError),
        (RunOptions(CAMERA, model=small, hot=7.0), UsageError),
        (RunOptions(CAMERA, model=small, deadline=-1.0), UsageError),
    ):
        with pytest.raises(error), open_session(options, [Keeps()]):
            pass
    for wrong in (3, "out.mp4", [Keeps]):
        with pytest.raises(UsageError, match="a function of a frame"), open_session(RunOptions(CAMERA), wrong):  # type: ignore[arg-type]
            pass


def test_a_session_runs_once_inside_its_block(small: Path) -> None:
    options = RunOptions(CAMERA, model=small, frames=1)
    before = set(threading.enumerate())
    with open_session(options, Keeps()) as session:
        session.run()
        with pytest.raises(UsageError, match="has ended"):
            session.run()
    with open_session(options, Keeps()) as closed:
        pass
    with pytest.raises(UsageError, match="has ended"):
        closed.run()
    until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("live", [False, True])
def test_a_session_that_was_opened_by_hand_opens_its_sinks_once(small: Path, tmp_path: Path, live: bool) -> None:
    write_picture(tmp_path / "noisy.png", picture(48, 64))
    sink = Keeps()
    options = RunOptions(CAMERA if live else str(tmp_path / "noisy.png"), model=small, frames=1)
    with open_session(options, sink) as session:
        session.open()
        session.open()
        session.run()
    assert (sink.opened, len(sink.taken)) == (1, 1)


@pytest.mark.parametrize(("size", "better"), [((640, 480), ["demo_640x480_int8"]), ((320, 240), [])])
def test_a_camera_that_is_found_late_gets_the_model_for_its_size(
    size: tuple[int, int], better: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    device = FakeDevice()
    device.there = False
    monkeypatch.setattr("edge.run.session.open_camera", lambda *_: SupervisedCamera(device.make, PATIENT))
    monkeypatch.setattr(ReloadingDenoiser, "request", lambda _, model: asked.append(Path(model).stem))
    with open_session(RunOptions(model="demo", wait=True), Keeps()) as session:
        assert isinstance(session.camera, SupervisedCamera)
        assert session.camera.on_found is not None
        session.camera.on_found(size)
    assert asked == better


def test_one_sink_needs_no_list(small: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "noisy.png", picture(48, 64))
    taken: list[int] = []
    options = RunOptions(tmp_path / "noisy.png", tmp_path / "clean", model=small, host_name="camera.local")
    with open_session(options, lambda frame, _: taken.append(frame.index)) as session:
        assert len(session.sinks) == 2
        session.run()
    assert ((tmp_path / "clean" / "noisy.png").is_file(), taken) == (True, [0])
    with open_session(RunOptions(CAMERA, "null", model=small)) as session:
        assert [sink.name for sink in session.sinks] == ["null"]


def test_a_function_that_fails_is_named_and_the_live_run_goes_on(small: Path, said: list[str]) -> None:
    taken: list[int] = []

    def save(frame: Frame, denoised: Image) -> None:  # noqa: ARG001
        taken.append(frame.index)
        if len(taken) == 3:
            raise ValueError("my disk is full")

    with open_session(RunOptions(CAMERA, model=small, frames=20), save) as session:
        report = session.run()
    assert (report["sinks"][0]["name"], report["sinks"][0]["failed"]) == ("save", 1)
    assert [line for line in said if line.startswith("The sink save failed") and "my disk is full" in line]


def test_a_function_that_fails_at_once_ends_the_run(small: Path) -> None:
    def save(frame: Frame, denoised: Image) -> None:  # noqa: ARG001
        raise ValueError("my disk is full")

    with open_session(RunOptions(CAMERA, model=small), save) as session, pytest.raises(ValueError, match="my disk"):
        session.run()


def test_the_log_in_detail_shows_where_a_function_failed(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "quietcam")
    taken: list[int] = []

    def save(frame: Frame, denoised: Image) -> None:  # noqa: ARG001
        taken.append(frame.index)
        if len(taken) == 2:
            raise ValueError("my disk is full")

    with open_session(RunOptions(CAMERA, model=small, frames=9), save) as session:
        session.run()
    traces = [each.exc_info[1] for each in caplog.records if each.levelno == logging.DEBUG and each.exc_info]
    assert [str(each) for each in traces] == ["my disk is full"]


def test_two_sessions_run_at_the_same_time(small: Path) -> None:
    sinks = Keeps(), Keeps()
    options = RunOptions(CAMERA, model=small, frames=9)
    with open_session(options, sinks[0]) as first, open_session(options, sinks[1]) as second:
        thread = threading.Thread(target=first.run)
        thread.start()
        second.run()
        thread.join(WAIT)
        assert not thread.is_alive()
    assert all(sink.frames > 0 for sink in sinks)


def test_no_thread_is_left_behind(small: Path) -> None:
    before = set(threading.enumerate())
    with open_session(RunOptions(CAMERA, model=small, frames=2), [Keeps()]) as session:
        session.run()
    until(lambda: set(threading.enumerate()) <= before)

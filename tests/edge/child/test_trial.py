"""The trial: models that would abort, fill the memory or hang the live process are refused, and it continues."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from edge.child import trial as module
from edge.child import trial_job
from edge.child.process import Child
from edge.child.trial import Trial, try_unknown
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from quietcam.errors import ModelError, QuietcamError
from quietcam.image import Image
from quietcam.tflite.manifest import read_manifest
from tests.small_models import picture, with_manifest
from tests.waiting import ended, until

# Which one flipped bit (its byte, its bit) of `small_32x32_int8` does what, found by trying all of them, each in a
# process of its own.
OF = "77c6db0b9b6c1e6619b73ea9cfde90c2fc81063203755db22dc00a6a60737612"
ABORTS = [(2024, 2), (2241, 0), (2444, 6), (2472, 1), (2503, 4), (2577, 0)]
GIGABYTES = [(2622, 5), (2627, 1), (2635, 1), (2726, 4), (2735, 1)]
OTHER_ENDS = [(1920, 3), (1928, 2), (3420, 4), (3431, 4)]  # no memory at the output, or another shape, once built
NO_TEXT = [(2316, 7), (3368, 7)]  # a tensor's name is no UTF-8


@pytest.fixture
def flipped(models: Path, tmp_path: Path) -> Any:
    content = (models / "small_32x32_int8.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() == OF, "find the bits anew"

    def flip(place: int, bit: int) -> Path:
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        path = tmp_path / f"flipped_{place}_{bit}.tflite"
        path.write_bytes(changed)
        return path

    return flip


@pytest.fixture
def nan(models: Path, tmp_path: Path) -> Path:
    """A float model with a NaN among its weights."""
    content = (models / "small_32x32_float32.tflite").read_bytes()
    weights = np.load(models / "weights.npz")["channels3"].astype(np.float32)
    one = np.float32(weights.flat[np.abs(weights).argmax()]).tobytes()
    assert content.count(one) >= 1
    path = tmp_path / "nan.tflite"
    path.write_bytes(content.replace(one, np.float32(np.nan).tobytes()))
    return path


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    """The processes that trials start; none of them is left at the end."""
    started: list[Child] = []

    class Noted(Child):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            started.append(self)

    monkeypatch.setattr(module, "Child", Noted)
    yield started
    until(lambda: not any(each.is_alive for each in started))


class TestOf:
    def test_what_works_passes(self, small: Path, models: Path, children: list[Child]) -> None:
        for path in (small, models / "gray_32x32_int8.tflite", models / "small_32x32_float32.tflite"):
            for shape in ((32, 32, 3), (70, 90, 1)):
                Trial().of(load_model(path), shape, 1)
        assert len(children) == 6

    def test_opencv_is_not_loaded_for_it(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """That takes longer than all the rest, and memory."""
        monkeypatch.setattr(module, "_JOB", "tests.edge.jobs:try_without_opencv")
        Trial().of(load_model(small), (71, 90, 3), 1)

    def test_frames_are_tried_whole_and_at_half_the_size(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial_job, "step_back", lambda: None)
        sizes: list[tuple[int, ...]] = []
        treat = Denoiser.treat
        monkeypatch.setattr(Denoiser, "treat", lambda self, noisy: (sizes.append(noisy.shape), treat(self, noisy))[1])
        model, sent = load_model(small), []

        class Here:
            argument: ClassVar = {
                "about": model.about(),
                "shape": (71, 90, 1),
                "threads": 1,
                "overlap": None,
            }
            shared = (model.content, b"null")
            send = staticmethod(sent.append)

        trial_job.run(Here())  # type: ignore[arg-type]
        assert sizes == [(71, 90, 1), (36, 45, 1)]
        assert sent == [module.DONE]

    def test_a_video_network_is_tried_with_a_past(
        self, models: Path, monkeypatch: pytest.MonkeyPatch, children: list[Child]
    ) -> None:
        model = load_model(models / "video_64x64_int8.tflite")
        Trial().of(model, (71, 90, 1), 1)
        assert len(children) == 1
        monkeypatch.setattr(trial_job, "step_back", lambda: None)
        pasts: list[bool] = []
        ran = FrameNetwork.run

        def noted(self: FrameNetwork, noisy: Image, out: Image, half: bool = False) -> bool:
            pasts.append(self.history(noisy.shape[:2]) is not None)
            return ran(self, noisy, out, half)

        monkeypatch.setattr(FrameNetwork, "run", noted)

        class Here:
            argument: ClassVar = {"about": model.about(), "shape": (71, 90, 3), "threads": 1, "overlap": None}
            shared = (model.content, b"null")
            send = staticmethod(lambda _: None)

        trial_job.run(Here())  # type: ignore[arg-type]
        assert pasts == [False, True, False, True]

    @pytest.mark.parametrize(("place", "bit"), ABORTS)
    def test_an_abort_is_an_error(self, flipped: Any, place: int, bit: int) -> None:
        model = load_model(flipped(place, bit))
        with pytest.raises(ModelError, match=r"in a child process .*: Its process was ended by SIG.*Remedy: "):
            Trial().of(model, (32, 32, 3), 1)

    @pytest.mark.parametrize(("place", "bit"), OTHER_ENDS + NO_TEXT)
    def test_a_graph_that_is_built_differently_is_a_quietcam_error(self, flipped: Any, place: int, bit: int) -> None:
        path = flipped(place, bit)
        with pytest.raises(ModelError, match="cannot run"):
            Interpreter(path, 1)
        with pytest.raises(ModelError, match="cannot run"):
            Trial().of(load_model(path), (32, 32, 3), 1)

    def test_memory_is_bounded(self, flipped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The outline tells it beforehand; where it did not, the child's limit would."""
        monkeypatch.setattr("edge.network.modelfile._MOST_ARENA", 1 << 40)
        monkeypatch.setattr("edge.network.modelfile._LEAST_ARENA", 1 << 40)
        monkeypatch.setattr(module, "_ARENAS", 0)
        with pytest.raises(QuietcamError, match=r"more memory|SIG|cannot run"):
            Trial().of(load_model(flipped(*GIGABYTES[0])), (32, 32, 3), 1)

    def test_time_is_bounded(self, small: Path, monkeypatch: pytest.MonkeyPatch, children: list[Child]) -> None:
        monkeypatch.setattr(module, "_JOB", "tests.edge.jobs:hang_silently")
        monkeypatch.setattr(module, "PATIENCE", 0.1)
        with pytest.raises(ModelError, match=r"did not answer within 0\.1 s"):
            Trial().of(load_model(small), (32, 32, 3), 1)
        assert len(children) == 1

    def test_another_answer_is_no_success(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_JOB", "tests.edge.jobs:tell")
        with pytest.raises(ModelError, match="invalid answer"):
            Trial().of(load_model(small), (32, 32, 3), 1)

    def test_numbers_must_be_numbers(self, nan: Path) -> None:
        with pytest.raises(ModelError, match=r"A model must give finite numbers\. Received: .*nan"):
            Trial().of(load_model(nan), (50, 60, 3), 1)

    def test_the_golden_frame_must_come_out(self, models: Path, tmp_path: Path) -> None:
        from edge.network.golden import make_golden

        with Interpreter(models / "small_32x32_int8.tflite", 1) as interpreter:
            golden = make_golden(interpreter)
        right = with_manifest(models, tmp_path, "small_32x32_int8", stride=2, golden=golden)
        Trial().of(load_model(right), (32, 32, 3), 1)
        wrong = with_manifest(
            models,
            tmp_path,
            "small_32x32_int8",
            stride=2,
            golden=golden | {"denoised": golden["noisy"], "tolerance": 1},
        )
        with pytest.raises(ModelError, match=r"its golden frame differs by up to \d+ of 255, 1 is allowed"):
            Trial().of(load_model(wrong), (32, 32, 3), 1)

    def test_the_very_bytes_are_tried(self, small: Path) -> None:
        model = load_model(small)
        small.write_bytes(b"garbage")
        Trial().of(model, (32, 32, 3), 1)

    def test_stop_ends_one_under_way_and_lets_none_begin(
        self, small: Path, monkeypatch: pytest.MonkeyPatch, children: list[Child]
    ) -> None:
        monkeypatch.setattr(module, "_JOB", "tests.edge.jobs:hang_silently")
        trial, errors = Trial(), []

        def run() -> None:
            try:
                trial.of(load_model(small), (32, 32, 3), 1)
            except ModelError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: trial._child)
        trial.stop()
        ended(thread)
        assert len(errors) == 1
        with pytest.raises(ModelError, match="The run has ended"):
            trial.of(load_model(small), (32, 32, 3), 1)
        assert len(children) == 1

    def test_killed_at_any_moment_it_is_an_error(self, small: Path, children: list[Child]) -> None:
        class Killed(Trial):
            pass

        trial = Killed()
        killer = threading.Thread(
            target=lambda: (until(lambda: children), os.kill(children[0].pid, signal.SIGKILL))  # type: ignore[func-returns-value]
        )
        killer.start()
        with pytest.raises(ModelError, match="SIGKILL"):
            trial.of(load_model(small), (32, 32, 3), 1)
        ended(killer)


class TestReload:
    @pytest.mark.parametrize("bits", [ABORTS[0], GIGABYTES[0], OTHER_ENDS[2], NO_TEXT[0]])
    def test_a_damaged_model_leaves_the_present_one_at_work(
        self, small: Path, flipped: Any, bits: tuple[int, int]
    ) -> None:
        noisy = picture(50, 60)
        with Denoiser(small, 1) as denoiser:
            before = denoiser.denoise(noisy)
            with pytest.raises(ModelError, match="Remedy"):
                denoiser.reload(flipped(*bits))
            np.testing.assert_array_equal(denoiser.denoise(noisy), before)
            assert denoiser.model.path == small

    def test_it_is_tried_with_a_frame_of_the_present_shape(
        self, small: Path, models: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[tuple[Any, ...]] = []
        monkeypatch.setattr(Trial, "of", lambda _, model, *words: tried.append((model.path, *words)))
        other = models / "small_80x64_int8.tflite"
        with Denoiser(small, 2, overlap=4) as denoiser:
            denoiser.reload(other)
            denoiser.denoise(picture(90, 110, 1))
            denoiser.reload(small)
        assert tried == [(other, (64, 80, 3), 2, 4), (small, (90, 110, 1), 2, 4)]

    def test_frames_that_change_their_size_meanwhile_are_tried_anew(
        self, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[tuple[int, ...]] = []
        with Denoiser(small, 1) as denoiser:

            def of(_: Trial, __: Any, shape: tuple[int, ...], *___: Any) -> None:
                tried.append(shape)
                if len(tried) == 1:
                    denoiser.denoise(picture(40, 44))

            monkeypatch.setattr(Trial, "of", of)
            denoiser.denoise(picture(32, 32))
            denoiser.reload(small)
        assert tried == [(32, 32, 3), (40, 44, 3)]

    def test_what_was_tried_is_what_is_loaded(self, small: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is another one as soon as the trial is over."""
        path = small.with_name("next.tflite")
        wanted = (models / "small_32x32_float32.tflite").read_bytes()
        path.write_bytes(wanted)
        of = Trial.of

        def swapped(*words: Any) -> None:
            of(*words)
            path.write_bytes((models / "gray_32x32_int8.tflite").read_bytes())

        monkeypatch.setattr(Trial, "of", swapped)
        with Denoiser(small, 1) as denoiser:
            denoiser.reload(path)
            assert denoiser.model.content == wanted
            assert (denoiser.model.ends, denoiser.model.channels) == ("float32", 3)

    def test_a_trial_ends_with_the_denoiser(
        self, small: Path, monkeypatch: pytest.MonkeyPatch, children: list[Child]
    ) -> None:
        monkeypatch.setattr(module, "_JOB", "tests.edge.jobs:hang_silently")
        errors: list[Exception] = []
        denoiser = Denoiser(small, 1)

        def reload() -> None:
            try:
                denoiser.reload(small)
            except ModelError as error:
                errors.append(error)

        thread = threading.Thread(target=reload)
        thread.start()
        until(lambda: children)
        denoiser.close()
        ended(thread)
        assert len(errors) == 1

    def test_nothing_is_built_in_the_middle_of_a_frame(self, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Denoiser(small, 1) as denoiser:
            denoiser.denoise(picture(50, 60))
            denoiser.reload(small)
            monkeypatch.setattr("edge.network.frame_network.Tiles", None)
            denoiser.denoise(picture(50, 60))


class TestStart:
    def test_a_model_without_manifest_is_tried_one_with_its_hash_is_not(
        self, small: Path, flipped: Any, children: list[Child]
    ) -> None:
        assert read_manifest(small) is not None
        try_unknown(load_model(small), (64, 48), None)
        try_unknown(None, (64, 48), None)
        assert not children
        with pytest.raises(ModelError, match="SIG"):
            try_unknown(load_model(flipped(*ABORTS[0])), (64, 48), 1)
        with pytest.raises(ModelError, match="SIG"):
            try_unknown(load_model(flipped(*ABORTS[1])), None, None)

    def test_the_command_ends_with_one_line(self, flipped: Any, capsys: pytest.CaptureFixture[str]) -> None:
        from quietcam.app import cli

        model = str(flipped(*ABORTS[2]))
        run = ["run", "--source", "synthetic:size=64x48,fps=30", "--sink", "null", "--frames", "3", "--model", model]
        for words in (run, ["bench", "--frames", "3", "--model", model]):
            assert cli.run(words) == 1
            (line,) = [each for each in capsys.readouterr().err.splitlines() if each.strip()]
            assert "in a child process" in line

    def test_a_compiled_model_is_no_work_for_the_cpu(self, models: Path, children: list[Child]) -> None:
        model = load_model(models / "small_32x32_int8_edgetpu.tflite")
        assert (model.manifest, model.is_compiled) == (None, True)
        try_unknown(model, None, None)
        assert not children

    def test_the_twin_of_an_edge_tpu_is_there_before_it_is_needed(
        self, bus: Any, models: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bus.plug("usb0")
        with Denoiser(models / "small_32x32_int8.tflite", 1, device="usb") as denoiser:
            engine: Engine = denoiser._network.engine
            assert engine.state["used"] == "usb"
            monkeypatch.setattr("edge.network.engine.Interpreter", None)
            bus.unplug("usb0")
            denoiser.denoise(picture(32, 32))
            assert engine.state["used"] == "cpu"

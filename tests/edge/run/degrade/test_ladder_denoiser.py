"""The work on each rung of the ladder, and the values that move the ladder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from edge.network.frame_denoiser import FrameDenoiser, Plan
from edge.network.treatment import Rung
from edge.run.degrade.ladder import Ladder, LadderRules
from edge.run.degrade.ladder_denoiser import LadderDenoiser, LadderOptions, ScalableDenoiser, open_ladder
from edge.run.degrade.temperature import Thermometer, hot_by_default
from edge.run.pipeline import Pipeline
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene
from tests.edge.bus import Bus
from tests.edge.run.parts import Collector, Numbers, PlusOne
from tests.edge.treating import Treats
from tests.waiting import WAIT, ended, until

RULES = LadderRules(hot=80, cool=72, settle=5, recover=60, longest=480)
STEPS = (Rung.FULL, Rung.HALF_SIZE, Rung.EVERY_SECOND, Rung.PASS_THROUGH)
SHAPE = 32, 32, 3


class SetThermometer(Thermometer):
    def __init__(self) -> None:
        super().__init__()
        self.now: float | None = None

    def celsius(self) -> float | None:
        return self.now

    def throttled(self) -> str | None:
        return None


class Full(Treats):
    """A network that changes nothing."""

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        if out is None:
            return noisy.copy()
        np.copyto(out, noisy)
        return out


class Small(Full):
    """The same, as a smaller model."""


def at(rung: Rung, smaller: Callable[[tuple[int, ...]], ScalableDenoiser] | None = None) -> LadderDenoiser:
    """A denoiser whose ladder has one rung only."""
    return LadderDenoiser(Full(), Ladder((rung,)), SetThermometer(), smaller=smaller)


def work(denoiser: LadderDenoiser, shape: tuple[int, ...] = SHAPE) -> tuple[str | None, str, Rung]:
    """Which network ran on a frame, on how much of it, and what the frame says of the rung."""
    treatment = denoiser.treat(np.zeros(shape, np.uint8)).treatment
    return treatment.model, treatment.size, treatment.step


class TestRungs:
    def test_fewer_pixels_are_the_same_model_on_half_the_size(self) -> None:
        assert work(at(Rung.FULL)) == ("Full", "whole", Rung.FULL)
        assert work(at(Rung.HALF_SIZE)) == ("Full", "half", Rung.HALF_SIZE)
        assert work(at(Rung.EVERY_SECOND)) == ("Full", "half", Rung.EVERY_SECOND)

    @pytest.mark.parametrize("rung", Rung)
    def test_a_frame_that_is_kept_as_a_picture_gets_all_of_the_network(self, rung: Rung) -> None:
        treatment = at(rung).treat_whole(np.zeros(SHAPE, np.uint8)).treatment
        assert (treatment.model, treatment.size, treatment.step) == ("Full", "whole", Rung.FULL)

    def test_what_is_planned_for_a_frame(self) -> None:
        for rung in (Rung.FULL, Rung.SMALLER, Rung.HALF_SIZE):
            assert [at(rung).plan(now) for now in range(3)] == [Plan(rung)] * 3
        denoiser = at(Rung.EVERY_SECOND)
        assert [denoiser.plan(now).left_out for now in range(6)] == [False, True] * 3
        plan = at(Rung.PASS_THROUGH).plan(0.0)
        assert plan.passes is not None
        assert (plan.passes.share, plan.passes.step) == (0.0, Rung.PASS_THROUGH)

    def test_another_network_goes_on_from_the_one_before_it(self) -> None:
        followed: list[tuple[str, str | None]] = []

        class Follows(Full):
            def resume(self, after: FrameDenoiser | None = None) -> None:
                followed.append((type(self).__name__, None if after is None else type(after).__name__))

        class Small(Follows):
            pass

        opened = threading.Event()

        def smaller(_: tuple[int, ...]) -> ScalableDenoiser:
            opened.set()
            return Small()

        denoiser = LadderDenoiser(Follows(), Ladder((Rung.SMALLER,)), SetThermometer(), smaller=smaller)
        until(lambda: work(denoiser)[0] == "Small")
        work(denoiser)
        denoiser.treat_whole(np.zeros(SHAPE, np.uint8))
        assert followed == [("Follows", None), ("Small", "Follows"), ("Follows", "Small")]

    @pytest.mark.parametrize(
        ("rung", "taken"),
        [
            (Rung.PASS_THROUGH, [(i, i, i) for i in range(8)]),
            (Rung.EVERY_SECOND, [(i, i, i + 1) for i in range(0, 8, 2)]),
        ],
    )
    def test_what_the_lowest_rungs_let_through(self, rung: Rung, taken: list[tuple[int, int, int]]) -> None:
        sink = Collector()
        denoiser = LadderDenoiser(PlusOne(), Ladder((rung,)), Thermometer())
        health = Pipeline(Numbers(8), denoiser, [sink]).run()
        assert sink.taken == taken
        assert health.dropped == 8 - len(taken)
        assert health.report()["ladder"]["step"] == rung.value


class TestSmallerModel:
    def test_it_is_opened_once_and_only_when_needed(self) -> None:
        opened: list[int] = []

        def smaller(shape: tuple[int, ...]) -> ScalableDenoiser:
            assert shape == SHAPE
            opened.append(1)
            return Small()

        assert work(at(Rung.FULL, smaller))[0] == "Full"
        assert opened == []
        denoiser = at(Rung.SMALLER, smaller)
        until(lambda: work(denoiser) == ("Small", "whole", Rung.SMALLER))
        assert work(denoiser)[0] == "Small"
        assert opened == [1]

    def test_until_it_is_open_frames_have_half_the_size(self) -> None:
        ready = threading.Event()

        def smaller(_: tuple[int, ...]) -> ScalableDenoiser:
            assert ready.wait(WAIT)
            return Small()

        denoiser = at(Rung.SMALLER, smaller)
        assert [work(denoiser) for _ in range(3)] == [("Full", "half", Rung.SMALLER)] * 3
        ready.set()
        until(lambda: work(denoiser)[0] == "Small")
        denoiser.close()

    def test_one_that_is_ready_after_the_end_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.run.degrade.ladder_denoiser._GRACE", 0.0)
        ready, closed = threading.Event(), threading.Event()

        class Late(Small):
            def close(self) -> None:
                closed.set()

        def smaller(_: tuple[int, ...]) -> ScalableDenoiser:
            assert ready.wait(WAIT)
            return Late()

        denoiser = at(Rung.SMALLER, smaller)
        work(denoiser)
        denoiser.close()
        ready.set()
        assert closed.wait(WAIT)

    def test_it_has_the_strength_of_the_other(self, small: Path) -> None:
        noisy = generate_scene(32, 32, 5)
        with Denoiser(small, 1) as full, smallest(full, LadderOptions(smaller=small, threads=1)) as denoiser:
            until(lambda: denoiser.treat(noisy).treatment.size == "whole")
            np.testing.assert_array_equal(denoiser.treat(noisy).image, full.denoise(noisy))
            full.strength = 0.0
            np.testing.assert_array_equal(denoiser.treat(noisy).image, noisy)

    def test_one_that_does_not_open_is_logged_once_and_frames_have_half_the_size(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def smaller(_: tuple[int, ...]) -> ScalableDenoiser:
            raise ModelError("no memory")

        denoiser = at(Rung.SMALLER, smaller)
        for _ in range(3):
            assert work(denoiser) == ("Full", "half", Rung.SMALLER)
            ended(denoiser._opening)
            assert denoiser.report()["ladder"]["smaller_error"] == "no memory"
        assert caplog.text.count("no memory") == 1

    def test_it_runs_where_the_other_does(self, small: Path, bus: Bus) -> None:
        bus.plug("usb1")
        noisy = generate_scene(32, 32, 5)
        with smallest(Full(), LadderOptions(smaller=small, threads=1, device="usb:1")) as denoiser:
            until(lambda: denoiser.treat(noisy).treatment.model != "Full")
            np.testing.assert_array_equal(denoiser.treat(noisy).image, 255 - noisy)

    def test_one_that_cannot_be_used_is_refused_at_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "a.tflite").write_bytes(b"garbage")
        options = LadderOptions(smaller=tmp_path / "a.tflite")
        with (
            pytest.raises(ModelError, match="not a TensorFlow Lite model"),
            open_ladder(Full(), options, SetThermometer()),
        ):
            pass


@contextlib.contextmanager
def smallest(full: ScalableDenoiser, options: LadderOptions) -> Iterator[LadderDenoiser]:
    """At the rung of the smaller model."""
    with open_ladder(full, options, SetThermometer()) as denoiser:
        denoiser._ladder = Ladder((Rung.SMALLER,))
        yield denoiser


class TestWhatFeedsTheLadder:
    def test_late_frames_take_work_away_and_the_log_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        wall = [1700.0]
        denoiser = LadderDenoiser(Full(), Ladder(STEPS, RULES), SetThermometer(), deadline=0.1, wall=lambda: wall[0])
        for second in range(8):
            for _ in range(10):
                denoiser.done(0.2 if second < 7 else 0.05)
            wall[0] += 1
            denoiser.plan(second)
            denoiser.idle(second + 0.5)  # too early to look again
        reason = "100% of the frames are late"
        ladder = {"step": "fewer pixels", "reason": reason, "since": 1706.0, "smaller_error": None}
        assert denoiser.report() == {"ladder": ladder}
        assert caplog.messages == ["Work per frame is now: fewer pixels (100% of the frames are late)"]

    @pytest.mark.parametrize(("deadline", "age"), [(None, 100.0), (0.1, None)])
    def test_no_frame_is_late_without_a_deadline_and_a_picture_that_is_kept_never_is(
        self, deadline: float | None, age: float | None
    ) -> None:
        denoiser = LadderDenoiser(Full(), Ladder(STEPS, RULES), SetThermometer(), deadline)
        for second in range(20):
            denoiser.done(age)
            assert denoiser.plan(second) == Plan()

    def test_it_goes_up_again_also_while_no_frames_come(self) -> None:
        thermometer = SetThermometer()
        denoiser = LadderDenoiser(Full(), Ladder(STEPS, RULES), thermometer)
        thermometer.now = 90.0
        for second in range(8):
            denoiser.idle(second)
        assert denoiser.plan(8).rung is Rung.HALF_SIZE
        thermometer.now = 40.0
        for second in range(9, 80):
            denoiser.idle(second)
        assert denoiser.plan(80).rung is Rung.FULL


class TestOptions:
    def test_what_a_user_chooses(self, small: Path) -> None:
        with open_ladder(Full(), LadderOptions(hot=60, smaller=small), SetThermometer()) as denoiser:
            assert Rung.HALF_SIZE not in denoiser._ladder._rungs
            assert denoiser._ladder._rules.hot - denoiser._ladder._rules.cool == 8
        with open_ladder(Full(), LadderOptions(), SetThermometer()) as denoiser:
            assert denoiser._ladder._rules.hot == hot_by_default()
            assert Rung.SMALLER not in denoiser._ladder._rungs

    def test_what_cannot_be_meant_is_refused(self) -> None:
        with pytest.raises(UsageError, match="`hot`"):
            LadderOptions(hot=7)
        for deadline in (-1.0, float("nan")):
            with pytest.raises(UsageError, match="`deadline`"):
                LadderOptions(deadline=deadline)

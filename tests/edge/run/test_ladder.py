"""The degrade ladder: when it goes down and up, what each step does, and what feeds it."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.network.denoiser import Denoiser
from edge.network.treatment import Rung
from edge.run.degrade import DegradeOptions, Degrader, Denoises, make_degrader
from edge.run.ladder import Ladder, LadderRules
from edge.run.temperature import Temperature, Thermometer, hot_by_default
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene
from tests.edge.conftest import Bus
from tests.edge.treating import Treats
from tests.waiting import WAIT, ended, until

RULES = LadderRules(hot=80, cool=72, settle=5, recover=60, longest=480)
SHAPE = 32, 32, 3
STEPS = (Rung.FULL, Rung.HALF_SIZE, Rung.EVERY_SECOND, Rung.PASS_THROUGH)


def run(ladder: Ladder, start: float, seconds: int, **told: object) -> list[tuple[float, Rung]]:
    """Tell it the same once a second; when it changed, and to what."""
    times = np.arange(start, start + seconds, 1.0).tolist()
    return [(now, ladder.step) for now in times if ladder.update(now, **told)]  # type: ignore[arg-type]


class TestLadder:
    def test_heat_takes_it_down_step_by_step_and_no_further(self) -> None:
        ladder = Ladder(STEPS, RULES)
        changes = run(ladder, 0, 100, temperature=85.0)
        assert [step for _, step in changes] == list(STEPS[1:])
        assert changes[0][0] == RULES.settle
        assert all(b[0] - a[0] >= RULES.settle for a, b in itertools.pairwise(changes))
        assert ladder.report() == {"step": "pass-through", "reason": "85 °C, of at most 80"}

    def test_it_goes_up_only_when_cool_for_long(self) -> None:
        ladder = Ladder(STEPS, RULES)
        run(ladder, 0, 7, temperature=85.0)
        assert ladder.step is Rung.HALF_SIZE
        assert run(ladder, 10, 500, temperature=76.0) == [], "between cool and hot nothing changes"
        assert run(ladder, 1000, 59, temperature=70.0) == []
        assert run(ladder, 1059, 30, temperature=70.0) == [(1060.0, Rung.FULL)]
        assert ladder.report() == {"step": "full", "reason": None}

    def test_a_moment_of_trouble_does_nothing(self) -> None:
        ladder = Ladder(STEPS, RULES)
        for start in range(0, 200, 10):
            assert run(ladder, start, 4, temperature=90.0) == []
            assert run(ladder, start + 4, 6, temperature=75.0) == []

    def test_where_a_step_up_brings_the_trouble_back_the_next_waits_longer(self) -> None:
        """A device that is too hot at full work and cool one step below."""
        ladder = Ladder(STEPS, RULES)

        def goes_up(now: float) -> bool:
            changed = ladder.update(now, temperature=85.0 if ladder.step is Rung.FULL else 60.0)
            return changed and ladder.step is Rung.FULL

        waits = np.diff([now for now in np.arange(0.0, 4000.0).tolist() if goes_up(now)])
        assert 60 < waits[0] < 140
        assert (waits[1:] > waits[:-1]).all() or waits[-1] >= RULES.longest
        assert waits[-1] <= RULES.longest + 2 * RULES.settle

    def test_late_frames_and_the_firmware_count_too(self) -> None:
        ladder = Ladder(STEPS, RULES)
        run(ladder, 0, 7, late=0.5)
        assert ladder.report() == {"step": "fewer pixels", "reason": "50% of the frames are late"}
        run(ladder, 10, 7, throttled="throttled")
        assert ladder.report() == {"step": "every second frame", "reason": "throttled"}
        assert run(Ladder(STEPS, RULES), 0, 100, late=0.1) == []

    @given(st.lists(st.tuples(st.floats(20, 120), st.sampled_from([None, "throttled"]), st.floats(0, 1)), max_size=300))
    def test_it_never_jumps_and_never_hurries(self, told: list[tuple[float, str | None, float]]) -> None:
        ladder = Ladder(STEPS, RULES)
        last, place = -1e9, 0
        for now, (temperature, throttled, late) in enumerate(told):
            if ladder.update(float(now), temperature, throttled, late):
                moved = STEPS.index(ladder.step) - place
                assert moved in (-1, 1)
                assert now - last >= (RULES.settle if moved == 1 else 0)
                last, place = now, place + moved
            assert STEPS[place] is ladder.step


class SetThermometer(Thermometer):
    def __init__(self) -> None:
        super().__init__()
        self.now: float | None = None

    def celsius(self) -> float | None:
        return self.now

    def throttled(self) -> str | None:
        return None


class Named(Treats):
    """A network that changes nothing and has a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        if out is None:
            return noisy.copy()
        np.copyto(out, noisy)
        return out


def at(step: Rung, smaller: object = None) -> Degrader:
    """A degrader that stands at a step."""
    degrader = Degrader(Ladder((step,)), SetThermometer(), smaller=smaller)  # type: ignore[arg-type]
    assert degrader.step is step
    return degrader


class TestDegrader:
    def test_fewer_pixels_are_the_same_model_on_half_the_size(self) -> None:
        full = Named("full")
        assert at(Rung.FULL).choose(full, Rung.FULL, SHAPE) == (full, False)
        assert at(Rung.HALF_SIZE).choose(full, Rung.HALF_SIZE, SHAPE) == (full, True)
        assert at(Rung.EVERY_SECOND).choose(full, Rung.EVERY_SECOND, SHAPE) == (full, True)
        assert at(Rung.HALF_SIZE).choose(full, Rung.FULL, SHAPE) == (full, False), "a frame that is kept as a picture"

    def test_the_smaller_model_is_opened_once_and_only_when_needed(self) -> None:
        opened: list[int] = []
        full, small = Named("full"), Named("small")

        def smaller(shape: tuple[int, ...]) -> Denoises:
            assert shape == SHAPE
            opened.append(1)
            return small

        degrader = at(Rung.SMALLER, smaller)
        assert degrader.choose(full, Rung.FULL, SHAPE) == (full, False)
        assert opened == []
        until(lambda: degrader.choose(full, Rung.SMALLER, SHAPE) == (small, False))
        assert degrader.choose(full, Rung.SMALLER, SHAPE) == (small, False)
        assert opened == [1]

    def test_until_the_smaller_model_is_there_frames_have_half_the_size(self) -> None:
        full, small, ready = Named("full"), Named("small"), threading.Event()

        def smaller(_: tuple[int, ...]) -> Denoises:
            assert ready.wait(WAIT)
            return small

        degrader = at(Rung.SMALLER, smaller)
        assert [degrader.choose(full, Rung.SMALLER, SHAPE) for _ in range(3)] == [(full, True)] * 3
        ready.set()
        until(lambda: degrader.choose(full, Rung.SMALLER, SHAPE) == (small, False))
        degrader.close()

    def test_a_smaller_model_that_is_ready_after_the_end_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.run.degrade._GRACE", 0.0)
        ready, closed = threading.Event(), threading.Event()

        class Late(Named):
            def close(self) -> None:
                closed.set()

        def smaller(_: tuple[int, ...]) -> Denoises:
            assert ready.wait(WAIT)
            return Late("small")

        degrader = at(Rung.SMALLER, smaller)
        degrader.choose(Named("full"), Rung.SMALLER, SHAPE)
        degrader.close()
        ready.set()
        assert closed.wait(WAIT)

    def test_every_second_frame_is_left_out(self) -> None:
        degrader = at(Rung.EVERY_SECOND)
        assert [degrader.leaves_out() for _ in range(6)] == [False, True] * 3
        assert not any(at(step).leaves_out() for step in Rung if step is not Rung.EVERY_SECOND)

    def test_late_frames_feed_it_and_changes_are_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        wall = [1700.0]
        degrader = Degrader(Ladder(STEPS, RULES), SetThermometer(), deadline=0.1, wall=lambda: wall[0])
        for second in range(8):
            for _ in range(10):
                degrader.saw(0.2 if second < 7 else 0.05)
            wall[0] += 1
            degrader.tick(second)
            degrader.tick(second + 0.5)  # too early to look again
        reason = "100% of the frames are late"
        assert degrader.report() == {"step": "fewer pixels", "reason": reason, "since": 1706.0, "smaller_error": None}
        assert capsys.readouterr().err == "Work per frame is now: fewer pixels (100% of the frames are late)\n"

    def test_without_a_deadline_no_frame_is_late(self) -> None:
        degrader = Degrader(Ladder(STEPS, RULES), SetThermometer())
        for second in range(20):
            degrader.saw(100.0)
            degrader.tick(second)
        assert degrader.step is Rung.FULL

    def test_the_smaller_model_has_the_strength_of_the_other(self, small: Path) -> None:
        noisy = generate_scene(32, 32, 5)
        with make_degrader(DegradeOptions(smaller=small, threads=1)) as degrader, Denoiser(small, 1) as denoiser:
            until(lambda: degrader.choose(denoiser, Rung.SMALLER, SHAPE)[0] is not denoiser)
            work, half = degrader.choose(denoiser, Rung.SMALLER, SHAPE)
            assert not half
            np.testing.assert_array_equal(work.treat(noisy).image, denoiser.denoise(noisy))
            denoiser.strength = 0.0
            work, _ = degrader.choose(denoiser, Rung.SMALLER, SHAPE)
            np.testing.assert_array_equal(work.treat(noisy).image, noisy)

    def test_a_smaller_model_that_does_not_start_is_said_once_and_pixels_are_saved_instead(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def smaller(_: tuple[int, ...]) -> Denoises:
            raise ModelError("no memory")

        full, degrader = Named("full"), at(Rung.SMALLER, smaller)
        for _ in range(3):
            assert degrader.choose(full, Rung.SMALLER, SHAPE) == (full, True)
            ended(degrader._opening)
            assert degrader.report()["smaller_error"] == "no memory"
        assert capsys.readouterr().err.count("no memory") == 1

    def test_the_smaller_model_runs_where_the_other_does(self, small: Path, bus: Bus) -> None:
        bus.plug("usb1")
        noisy = generate_scene(32, 32, 5)
        with make_degrader(DegradeOptions(smaller=small, threads=1, device="usb:1")) as degrader:
            full = Named("full")
            until(lambda: degrader.choose(full, Rung.SMALLER, SHAPE)[0] is not full)
            work, _ = degrader.choose(full, Rung.SMALLER, SHAPE)
            np.testing.assert_array_equal(work.treat(noisy).image, 255 - noisy)

    def test_a_smaller_model_that_cannot_be_used_is_said_at_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "a.tflite").write_bytes(b"garbage")
        with (
            pytest.raises(ModelError, match="not a TensorFlow Lite model"),
            make_degrader(DegradeOptions(smaller=tmp_path / "a.tflite")),
        ):
            pass

    def test_what_a_user_says_of_it(self, small: Path) -> None:
        with make_degrader(DegradeOptions(hot=60, smaller=small)) as degrader:
            assert Rung.HALF_SIZE not in degrader._ladder._steps
            assert degrader._ladder._rules.hot - degrader._ladder._rules.cool == 8
        with make_degrader(DegradeOptions()) as degrader:
            assert degrader._ladder._rules.hot == hot_by_default()
            assert Rung.SMALLER not in degrader._ladder._steps
        with pytest.raises(UsageError, match="--hot"):
            DegradeOptions(hot=7)
        for deadline in (-1.0, float("nan")):
            with pytest.raises(UsageError, match="--deadline"):
                DegradeOptions(deadline=deadline)


class TestTemperature:
    def zone(self, root: Path, number: int, kind: str, degrees: str) -> None:
        folder = root / "class/thermal" / f"thermal_zone{number}"
        folder.mkdir(parents=True)
        (folder / "type").write_text(f"{kind}\n")
        (folder / "temp").write_text(degrees)

    def test_the_warmest_zone_of_the_processor(self, tmp_path: Path) -> None:
        self.zone(tmp_path, 0, "cpu-thermal", "61322\n")
        self.zone(tmp_path, 1, "cpu-b", "64000\n")
        self.zone(tmp_path, 2, "iwlwifi_1", "91000\n")
        self.zone(tmp_path, 3, "cpu-broken", "-273000\n")
        assert Temperature(tmp_path).celsius() == 64.0

    def test_other_zones_where_there_is_none_and_none_at_all(self, tmp_path: Path) -> None:
        assert Temperature(tmp_path).celsius() is None
        self.zone(tmp_path, 0, "board", "40000\n")
        assert Temperature(tmp_path).celsius() == 40.0

    def test_a_temperature_is_not_read_all_the_time(self, tmp_path: Path) -> None:
        self.zone(tmp_path, 0, "cpu-thermal", "50000")
        now = [0.0]
        measured = Temperature(tmp_path, clock=lambda: now[0])
        assert measured.celsius() == 50.0
        (tmp_path / "class/thermal/thermal_zone0/temp").write_text("60000")
        assert measured.celsius() == 50.0
        now[0] = 1.0
        assert measured.celsius() == 60.0

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("0", None),
            ("50000", None),  # it happened once, and is over
            ("50005", "undervoltage, throttled"),
            ("throttled=0x4", "throttled"),
            ("throttled=0x8", "soft temperature limit"),
            ("nonsense", None),
        ],
    )
    def test_the_firmwares_flags_in_words(self, tmp_path: Path, text: str, says: str | None) -> None:
        assert Temperature(tmp_path, ask=lambda: text).throttled() == says
        flags = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
        flags.parent.mkdir(parents=True)
        flags.write_text(f"{text}\n")
        assert Temperature(tmp_path, ask=lambda: "throttled=0x2").throttled() == says

    def test_the_command_is_not_run_all_the_time(self, tmp_path: Path) -> None:
        asked: list[int] = []
        now = [0.0]

        def ask() -> str:
            asked.append(1)
            return "throttled=0x4"

        measured = Temperature(tmp_path, clock=lambda: now[0], ask=ask)
        for second in range(20):
            now[0] = float(second)
            assert measured.throttled() == "throttled"
        assert len(asked) == 2

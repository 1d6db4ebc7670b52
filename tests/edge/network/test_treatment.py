"""What was done to a frame is known wherever it is shown, stored or counted, and nothing else is said of it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import edge.run.sink_thread
from edge.cameras.base import Camera
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.network.denoiser import Denoiser
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.harm import HarmGate
from edge.network.treatment import Rung, Treatment
from edge.run.frame import Frame
from edge.run.health import Degradation, Health, degradation
from edge.run.ladder import Ladder, LadderRules
from edge.run.ladder_denoiser import LadderDenoiser, LadderOptions, open_ladder
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.run.temperature import Thermometer
from edge.sinks.base import Sink
from edge.sinks.folder import FolderSink
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from edge.sinks.web import WebOptions, WebSink
from edge.web.controls import RunControls
from edge.web.metrics import Metrics
from quietcam.data.pictures.caption import caption_of
from quietcam.data.pictures.files import read_picture
from quietcam.errors import DataError, ModelError, StorageError
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene
from tests.edge.conftest import Bus, picture, with_manifest
from tests.edge.treating import Treats
from tests.edge.web.served_page import Controls, Served
from tests.waiting import WAIT, until

LOWEST = (Rung.HALF_SIZE, Rung.SMALLER, Rung.EVERY_SECOND, Rung.PASS_THROUGH)
NETWORK = Treatment(model="small_32x32_int8")
FULL = {"step": "full", "reason": None, "since": 5.0}


class TestTreatment:
    @pytest.mark.parametrize(
        ("treatment", "share", "kind", "words"),
        [
            (NETWORK, 1.0, "full", "denoised"),
            (Treatment(model="a", gate=0.5, strength=0.5), 0.25, "full", "25 % denoised"),
            (Treatment(model="a", gate=0.9999), 0.9999, "full", "99 % denoised"),
            (Treatment(model="a", gate=0.001), 0.001, "full", "1 % denoised"),
            (Treatment(model="a", gate=0.0, why="it is clean"), 0.0, "untouched", "not denoised: it is clean"),
            (Treatment(why="it is clean"), 0.0, "untouched", "not denoised: it is clean"),
            (Treatment(Rung.HALF_SIZE, "a", "half"), 1.0, "fewer pixels", "denoised at half the size"),
            (Treatment(Rung.EVERY_SECOND, "a", "half", 0.5), 0.5, "fewer pixels", "50 % denoised at half the size"),
            (Treatment(Rung.SMALLER, "nano"), 1.0, "smaller model", "denoised by a smaller model"),
            (Treatment(), 0.0, "untouched", "not denoised: no network ran"),
        ],
    )
    def test_its_share_its_kind_and_its_words(self, treatment: Treatment, share: float, kind: str, words: str) -> None:
        assert treatment.share == pytest.approx(share)
        assert (treatment.kind, treatment.words) == (kind, words)
        report = json.loads(json.dumps(treatment.report()))
        assert (report["kind"], report["words"]) == (kind, words)
        assert (report["size"] is None) == (treatment.model is None)


class TestDenoiser:
    def test_all_of_the_network(self, small: Path) -> None:
        noisy = picture(32, 32)
        with Denoiser(small) as denoiser:
            image, treatment = denoiser.treat(noisy)
            np.testing.assert_array_equal(image, denoiser.denoise(noisy))
        assert treatment == NETWORK

    def test_the_strength_and_the_gate_together(self, small: Path) -> None:
        noisy = picture(40, 50)
        with Denoiser(small, strength=0.25, gate=True) as denoiser:
            treatment = denoiser.treat(noisy).treatment
            assert treatment.share == 0.25 * treatment.gate
            assert treatment.sigma == denoiser.noise_sigma
            denoiser.strength = 0.0
            image, treatment = denoiser.treat(noisy)
        np.testing.assert_array_equal(image, noisy)
        assert treatment == Treatment(strength=0.0, why="the strength is 0"), "no old noise either"

    @pytest.mark.parametrize("half", [False, True])
    def test_a_clean_frame_is_untouched_at_any_size(self, models: Path, tmp_path: Path, half: bool) -> None:
        """Fewer pixels blurred it."""
        clean = generate_scene(48, 64, 3)
        closed = with_manifest(models, tmp_path, "small_32x32_int8", gate={"low": 250, "high": 251})
        with Denoiser(closed, gate=True) as denoiser:
            image, treatment = denoiser.treat(clean, half=half)
        np.testing.assert_array_equal(image, clean)
        assert (treatment.model, treatment.share, treatment.why) == (None, 0.0, "it is clean")
        assert treatment.sigma is not None

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("size", [(48, 64), (47, 63)])
    def test_half_the_size_is_the_frame_made_small_denoised_and_enlarged(
        self, small: Path, channels: int, size: tuple[int, int]
    ) -> None:
        noisy = np.repeat(generate_scene(48, 64, 3, channels)[: size[0], : size[1]], 3 // channels, axis=2)
        with Denoiser(small, overlap=12) as denoiser:
            image, treatment = denoiser.treat(noisy, half=True)
            width, height = (size[1] + 1) // 2, (size[0] + 1) // 2
            quiet = denoiser.denoise(cv2.resize(noisy, (width, height), interpolation=cv2.INTER_AREA))
        wanted = cv2.resize(quiet, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(image, wanted)
        assert (treatment.model, treatment.size, treatment.share) == ("small_32x32_int8", "half", 1.0)

    def test_frames_of_half_the_size_are_no_reason_for_advice(self, small: Path, said: list[str]) -> None:
        with Denoiser(small, stream=True) as denoiser:
            for half in (False, True, False, True):
                denoiser.treat(picture(90, 100), half=half)
        assert len(said) == 1
        assert "100x90" in said[0]

    def test_after_another_stream_of_frames_the_gate_judges_afresh(self, small: Path) -> None:
        """A share eases from frame to frame; of a frame long ago nothing must be left."""
        noisy, clean = picture(40, 50), np.full((40, 50, 3), 90, np.uint8)
        with Denoiser(small, gate=True, stream=True) as denoiser, Denoiser(small, gate=True, stream=True) as fresh:
            for _ in range(6):
                denoiser.treat(clean)
            denoiser.resume()
            assert denoiser.treat(noisy).treatment == fresh.treat(noisy).treatment
            assert denoiser.treat(noisy).treatment.share > 0.0

    def test_noise_over_time_that_was_known_still_lets_the_network_in(self) -> None:
        """Of frames that a codec made smooth a single one looks clean: what is kept of them must not pass untouched."""
        rng, still = np.random.default_rng(0), np.full((96, 128, 3), 90, np.uint8)
        smooth = [
            cv2.GaussianBlur(np.clip(rng.normal(90, 25, still.shape), 0, 255).astype(np.uint8), (0, 0), 2.0)
            for _ in range(30)
        ]
        gate = HarmGate(stream=True)
        for frame in smooth[:-1]:
            if gate.look(frame):
                gate.weigh(frame, still)
        gate.resume()
        assert gate.look(smooth[-1])
        assert gate.weigh(smooth[-1], still) == 1.0
        assert not HarmGate(stream=True).look(smooth[-1])

    def test_the_model_that_really_runs_is_the_one_that_is_named(self, bus: Bus, models: Path, tmp_path: Path) -> None:
        """A device that is lost gives its work to the twin on the CPU, or to nobody."""
        for name in ("small_32x32_int8", "small_32x32_int8_edgetpu"):
            (tmp_path / f"{name}.tflite").write_bytes((models / f"{name}.tflite").read_bytes())
        bus.plug("usb0")
        compiled = tmp_path / "small_32x32_int8_edgetpu.tflite"
        with Denoiser(compiled, device="usb:0") as denoiser:
            assert denoiser.treat(picture(32, 32)).treatment.model == "small_32x32_int8_edgetpu"
            bus.unplug("usb0")
            assert denoiser.treat(picture(32, 32)).treatment.model == "small_32x32_int8"
        (tmp_path / "small_32x32_int8.tflite").unlink()
        bus.plug("usb0")
        with Denoiser(compiled, device="usb:0") as denoiser:
            bus.unplug("usb0")
            image, treatment = denoiser.treat(picture(32, 32))
            np.testing.assert_array_equal(image, picture(32, 32))
            assert treatment == Treatment(why="no device runs the network")
            card = RunControls(denoiser, lambda: "a camera").describe()["model"]
            assert card["threads"] == denoiser.threads, "the page goes on without a device"


class Clockwork(Camera):
    """Noisy frames of a camera whose clock the run follows: each comes when the one before was done with."""

    name = "clockwork"
    live = True

    def __init__(self, count: int, step: float) -> None:
        super().__init__()
        self.now = 0.0
        self._count, self._step = count, step
        self._done = threading.Semaphore(1)

    @property
    def size(self) -> tuple[int, int]:
        return 32, 32

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            assert self._done.acquire(timeout=WAIT)
            self.now = index * self._step
            yield Frame(picture(32, 32, seed=index), self.now, index, release=self._done.release)


class Warm(Thermometer):
    """A processor's temperature that a test sets."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.degrees = degrees

    def start(self) -> None:
        """It measures nothing."""

    def celsius(self) -> float | None:
        return self.degrees

    def throttled(self) -> str | None:
        return None


class Viewer(Sink):
    """A live view: what it was given, and what was said of that."""

    name = "viewer"

    def __init__(self) -> None:
        self.taken: list[tuple[Image, Image, Treatment | None]] = []

    def write(self, frame: Frame, denoised: Image) -> None:
        self.taken.append((frame.image.copy(), denoised.copy(), frame.treatment))
        self.frames += 1


def ran(camera: Clockwork, denoiser: FrameDenoiser, sinks: Sequence[Sink]) -> Health:
    return Pipeline(camera, denoiser, sinks, clock=lambda: camera.now).run()


class Inverts(Treats):
    """A network."""

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        return np.subtract(np.uint8(255), noisy, out=out)


class TestSpoolUnderTheLadder:
    @pytest.mark.parametrize("step", LOWEST)
    def test_what_is_stored_got_all_of_the_network(self, small: Path, tmp_path: Path, step: Rung) -> None:
        """`every=10,twin=yes`: of 10 pictures 6 were the noisy ones, bit for bit."""
        camera, viewer = Clockwork(196, 0.5), Viewer()
        options = SpoolOptions.parse(f"{tmp_path / 'spool'},every=10,twin=yes,format=png")
        spool = SpoolSink(options, clock=lambda: camera.now, wall=lambda: camera.now)
        smaller = LadderOptions(smaller=small, threads=1)
        with (
            spool,
            Denoiser(small, 1) as full,
            open_ladder(full, smaller, Warm(40.0)) as denoiser,
            Denoiser(small, 1) as judge,
        ):
            denoiser._ladder = Ladder((step,))
            if step is not Rung.SMALLER:
                denoiser._smaller = None
            health = ran(camera, denoiser, [spool, viewer])
            pairs = sorted(each for each in (tmp_path / "spool").iterdir() if not each.name.startswith("."))
            assert len(pairs) == spool.stored == 10
            for pair in pairs:
                noisy, denoised = read_picture(pair / "noisy.png"), read_picture(pair / "denoised.png")
                np.testing.assert_array_equal(denoised, judge.denoise(noisy))
                assert (denoised != noisy).any()
                said = json.loads(caption_of((pair / "denoised.png").read_bytes()) or "")["quietcam"]
                assert (said["kind"], said["share"], said["model"]) == ("full", 1.0, "small_32x32_int8")
        assert (health.worked["full"], spool.stored_untouched) == (10, 0)
        # The view gets what the ladder allows, in pass-through also of the frames that were worked on: no blink.
        shares = {treatment.share for _, _, treatment in viewer.taken if treatment is not None}
        assert shares == {0.0 if step is Rung.PASS_THROUGH else 1.0}
        assert len(viewer.taken) >= 98
        for noisy, denoised, treatment in viewer.taken:
            assert treatment is not None
            assert np.array_equal(noisy, denoised) == (treatment.share == 0.0)

    def test_also_while_heat_takes_it_down_and_it_comes_back(self, small: Path, tmp_path: Path) -> None:
        camera, heat = Clockwork(2000, 0.5), Warm(90.0)

        class Cooled(Viewer):
            def write(self, frame: Frame, denoised: Image) -> None:
                heat.degrees = 90.0 if 100 < frame.timestamp < 200 else 40.0
                super().write(frame, denoised)

        spool = SpoolSink(
            SpoolOptions.parse(f"{tmp_path},every=10,twin=yes,format=png"),
            clock=lambda: camera.now,
            wall=lambda: camera.now,
        )
        rules = LadderRules(hot=80, cool=72, settle=5, recover=60)
        ladder = Ladder((Rung.FULL, Rung.HALF_SIZE, Rung.PASS_THROUGH), rules)
        viewer = Cooled()
        with spool, Denoiser(small, 1) as denoiser, Denoiser(small, 1) as judge:
            health = ran(camera, LadderDenoiser(denoiser, ladder, heat), [spool, viewer])
            for pair in tmp_path.glob("0*"):
                noisy = read_picture(pair / "noisy.png")
                np.testing.assert_array_equal(read_picture(pair / "denoised.png"), judge.denoise(noisy))
        assert spool.stored == 100
        kinds = [treatment.kind for _, _, treatment in viewer.taken if treatment is not None]
        assert kinds[0] == kinds[-1] == "full"
        assert {"fewer pixels", "untouched"} < set(kinds)
        assert ladder.rung is Rung.FULL
        assert sum(health.worked.values()) == health.frames == 2000

    def test_frames_that_are_kept_as_pictures_are_not_late(self, tmp_path: Path) -> None:
        """Their work is what the ladder saves; counted, they would hold it down for ever."""
        camera = Clockwork(400, 0.5)

        class Slow(Inverts):
            def denoise(self, noisy: Image, out: Image | None = None) -> Image:
                camera.now += 1.0
                return super().denoise(noisy, out)

        spool = SpoolSink(SpoolOptions.parse(f"{tmp_path},every=10"), clock=lambda: camera.now)
        ladder = Ladder((Rung.FULL, Rung.PASS_THROUGH), LadderRules(settle=2, recover=60))
        viewer = Viewer()
        with spool:
            ran(camera, LadderDenoiser(Slow(), ladder, Warm(40.0), deadline=0.5), [spool, viewer])
        steps = [treatment.step for _, _, treatment in viewer.taken if treatment is not None]
        changes = [(a, b) for a, b in itertools.pairwise(steps) if a is not b]
        assert (Rung.FULL, Rung.PASS_THROUGH) in changes
        assert (Rung.PASS_THROUGH, Rung.FULL) in changes

    def test_a_change_asks_for_the_network_once_in_a_gap(self, tmp_path: Path) -> None:
        """A change that the noise alone shows would else keep all of the network at work."""
        now = [0.0]
        spool = SpoolSink(SpoolOptions.parse(f"{tmp_path},change=8,gap=2"), clock=lambda: now[0])
        dark, light = np.full((48, 64, 3), 20, np.uint8), np.full((48, 64, 3), 20, np.uint8)
        light[:24, :30] = 200
        with spool:
            assert spool.wants(Frame(dark, 0.0, 0))
            spool.write(Frame(dark, 0.0, 0, treatment=NETWORK), dark)
            asked = []
            for now[0] in np.arange(0.5, 8.1, 0.5).tolist():
                if spool.wants(Frame(light, now[0], 1)):
                    asked.append(now[0])
                spool.write(Frame(light, now[0], 1, treatment=Treatment(Rung.HALF_SIZE, "a", "half")), light)
            assert asked == [2.0, 4.0, 6.0, 8.0]
            assert not any(spool.wants(Frame(dark, now[0], 1)) for now[0] in (20.0, 40.0))
            assert spool.stored == 1
            spool.write(Frame(light, now[0], 2, treatment=NETWORK), light)
            assert spool.stored == 2

    def test_a_frame_that_no_network_can_do_anything_about_is_kept_and_says_so(self, tmp_path: Path) -> None:
        """A broken network, a clean scene: the sensor goes on, and the names tell."""
        now = [0.0]
        image = picture(16, 16)
        for twin, name in (("yes", "untouched.png"), ("no", "_untouched.png")):
            folder = tmp_path / twin
            spool = SpoolSink(SpoolOptions.parse(f"{folder},every=1,format=png,twin={twin}"), clock=lambda: now[0])
            with spool:
                for _ in range(2):
                    now[0] += 1.0
                    spool.write(Frame(image, now[0], 0, treatment=Treatment(why="the network fails")), image)
            entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
            assert spool.report()["stored_untouched"] == len(entries) == 2
            if twin == "yes":
                assert sorted(each.name for each in entries[0].iterdir()) == ["noisy.png", name]
            else:
                assert entries[0].name.endswith(name)
            with SpoolSink(SpoolOptions(folder)) as again:  # it counts what has such names
                assert len(again._store.entries) == 2

    def test_pictures_of_a_folder_say_it_too(self, small: Path, tmp_path: Path) -> None:
        camera = Clockwork(2, 1.0)
        with FolderSink(tmp_path / "out") as sink, Denoiser(small, 1, strength=0.5) as denoiser:
            ran(camera, denoiser, [sink])
        said = [caption_of(each.read_bytes()) or "" for each in (tmp_path / "out").iterdir()]
        assert [json.loads(each)["quietcam"]["share"] for each in said] == [0.5, 0.5]


class TestReport:
    def test_nothing_old_is_said_of_frames_that_pass_untouched(self, small: Path) -> None:
        camera, heat = Clockwork(400, 0.1), Warm(40.0)
        reports: list[dict[str, Any]] = []

        class Told(Viewer):
            def write(self, frame: Frame, denoised: Image) -> None:
                super().write(frame, denoised)
                heat.degrees = 95.0 if frame.index > 50 else 40.0

        ladder = Ladder((Rung.FULL, Rung.PASS_THROUGH), LadderRules(settle=1))
        with Denoiser(small, 1, gate=True, stream=True) as full:
            denoiser = LadderDenoiser(full, ladder, heat, wall=lambda: 1.7e9)
            pipeline = Pipeline(camera, denoiser, [Told()], clock=lambda: camera.now)
            health = pipeline.run(on_frame=lambda health: reports.append(health.report()))
        first, last = reports[40], reports[-1]
        assert first["latency_ms"]["denoise"].keys() > {"count", "p50"}
        assert first["work"]["model"] == "small_32x32_int8"
        assert first["work"]["share"] == first["work"]["gate"] > 0
        assert first["noise_sigma"] > 10
        assert degradation(first) is None
        assert last["latency_ms"]["denoise"] == {"count": health.worked["full"]}
        assert last["work"] == Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass as they are").report()
        assert (last["work"]["share"], last["work"]["model"]) == (0.0, None)
        assert last["noise_sigma"] is None
        reason = "95 °C, of at most 80"
        assert last["ladder"] == {
            "step": "pass-through",
            "reason": reason,
            "since": 1.7e9,
            "smaller_error": None,
        }
        degraded = degradation(last)
        assert degraded is not None
        assert degraded.words == "pass-through (95 °C, of at most 80)"
        assert last["worked"]["untouched"] + last["worked"]["full"] == 400
        (sink,) = last["sinks"]
        assert sink["untouched"] in (last["worked"]["untouched"], last["worked"]["untouched"] - 1)

    def test_where_no_frames_come_nothing_is_said_of_them(self) -> None:
        now = [0.0]
        health = Health(lambda: now[0])
        health.began()
        health.treated(0.0, NETWORK, NETWORK)
        health.stages["denoise"].add(0.01, 0.0)
        assert health.report()["work"]["share"] == 1.0
        now[0] = 6.0
        report = health.report()
        assert set(report["work"].values()) == {None}
        assert report["latency_ms"]["denoise"] == {"count": 1}
        health.ended()
        report = health.report()
        assert (report["work"]["share"], report["latency_ms"]["denoise"]["p50"]) == (1.0, 10.0), "of the whole run"

    def test_the_rate_sinks_as_soon_as_frames_stay_away(self) -> None:
        now = [0.0]
        health = Health(lambda: now[0])
        health.began()
        for index in range(100):
            now[0] = index / 10
            health.written(now[0])
        assert health.fps_now == pytest.approx(10.0)
        now[0] += 3.0
        assert health.fps_now < 7.0
        now[0] += 3.0
        assert health.fps_now == 0.0
        for index in range(10):  # back, and slower: of the last seconds, not of the last frames
            now[0] = 60.0 + index
            health.written(now[0])
        assert health.fps_now == pytest.approx(1.0)

    @pytest.mark.parametrize(
        ("report", "says"),
        [
            ({}, None),
            ({"ladder": {"step": "full", "reason": None}, "device": {"wanted": "cpu", "used": "cpu"}}, None),
            ({"ladder": {"step": "fewer pixels", "reason": "hot"}}, ("fewer pixels (hot)", None)),
            (
                {"device": {"wanted": "usb:0", "used": "none", "reason": "it is gone"}},
                ("pass-through (no device runs the network: it is gone)", None),
            ),
            (
                {"ladder": FULL, "device": {"wanted": "usb:0", "used": "cpu", "reason": "usb:0 is gone", "since": 8.0}},
                ("the network runs on cpu (usb:0 is gone)", 8.0),  # and not since the ladder's last step
            ),
            ({"device": {"wanted": "usb:0,usb:1", "used": "usb:1,usb:0", "reason": None}}, None),
            ({"sinks": [{"name": "web", "error": None}, {"name": "spool:a", "error": None, "waiting": None}]}, None),
            (
                {
                    "ladder": FULL,
                    "sinks": [{"name": "web", "error": None}, {"name": "spool:/home/a", "waiting": "gone"}],
                },
                ("1 of 2 sinks keeps no frames", None),
            ),
            (
                {"sinks": [{"name": "a.webm", "error": "full"}, {"name": "spool:a", "error": None, "waiting": "gone"}]},
                ("2 of 2 sinks keep no frames", None),
            ),
            (
                {
                    "ladder": {"step": "fewer pixels", "reason": "hot", "since": 8.0},
                    "sinks": [{"name": "a", "error": "full"}],
                },
                ("fewer pixels (hot); 1 of 1 sinks keeps no frames", 8.0),
            ),
        ],
    )
    def test_in_what_way_frames_get_less_or_are_not_kept(
        self, report: dict[str, Any], says: tuple[str, float | None] | None
    ) -> None:
        assert degradation(report) == (None if says is None else Degradation(*says))


class Dies(Camera):
    """A camera that goes away after some frames, time and again."""

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
    """Every sample that Prometheus takes for a counter."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_no_counter_ever_falls_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras, sinks, the network and the page go and come back; the spool evicts; a model is replaced."""
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
            grows("quietcam_stage_frames_total", ("stage", "denoise"), by=5)
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
    for state, value in (("bytes", 8), ("viewers", 2), ("new", 5)):
        assert found[("quietcam_sink_state", *sorted(("null", state)))] == value
    assert not [name for name in found if name[0] == "quietcam_sink_events_total" and "bytes" in name]

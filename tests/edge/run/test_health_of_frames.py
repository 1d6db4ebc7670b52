"""The report's words about frames: only their treatment, and nothing that is past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.network.denoiser import Denoiser
from edge.network.treatment import Rung, Treatment
from edge.run.degrade.ladder import Ladder, LadderRules
from edge.run.degrade.ladder_denoiser import LadderDenoiser
from edge.run.frame import Frame
from edge.run.health import Degradation, Health, degradation
from edge.run.pipeline import Pipeline
from quietcam.image import Image
from tests.edge.run.clockwork import Clockwork, Viewer, Warm

NETWORK = Treatment(model="small_32x32_int8")
FULL = {"step": "full", "reason": None, "since": 5.0}


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
        assert last["work"] == Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass unchanged").report()
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

"""What the scenario of the virtual camera makes of what it finds, without a guest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab.in_guest import virtual_camera as probe
from lab.recorder import Recorder, Result
from lab.scenarios import virtual_camera


def seen(worst: int = 1, size: str = "320x180", share: float = 0.9) -> dict[str, Any]:
    return {"size": size, "worst": worst, "share": share}


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({}, 0),
        ({"frames": False}, 1),
        ({"size": "640x480"}, 1),
        ({"pixels": "NV12"}, 1),
        ({"colors": 1}, 1),
        ({"by": {"v4l2-ctl": seen(4), "OpenCV": seen(-1)}}, 2),
        ({"by": {"v4l2-ctl": seen(size="322x182"), "OpenCV": seen(share=0.1)}}, 2),
        ({"sink": {"error": "busy"}}, 1),
    ],
)
def test_readers_of_a_virtual_camera_see_the_denoised_colors(changed: dict[str, Any], failed: int) -> None:
    found = {"frames": True, "size": "320x180", "pixels": "YUYV", "picture": "320x180", "colors": 99}
    found |= {"by": {"v4l2-ctl": seen(3), "OpenCV": seen()}, "sink": {"error": None}}
    result = Result("thing", "it works")
    virtual_camera.judge_readers(found | changed, Recorder(result, lambda _: None))
    assert len(result.failed) == failed


def test_what_differs_from_the_denoised_picture_is_measured_away_from_edges() -> None:
    """The device has one row and column more, as for an odd size."""
    wanted = np.full((21, 41, 3), 50, np.uint8)
    wanted[:, 21:] = 200  # an edge between two pixels that share their color
    shown = np.pad(wanted, ((0, 1), (0, 1), (0, 0)), mode="edge")
    shown[:, 20:22] = 100
    found = probe.compared(shown, wanted)
    assert (found["size"], found["worst"], found["share"]) == ("42x22", 0, 0.95)
    shown[4, 4:6] = 59
    assert probe.compared(shown, wanted)["worst"] == 9
    assert probe.compared(shown[:-2], wanted)["worst"] == -1


def test_the_doctors_remedy_for_a_virtual_camera() -> None:
    report = {"findings": [{"subject": "x"}, {"subject": "virtual camera", "remedy": "sudo modprobe v4l2loopback"}]}
    assert virtual_camera.remedy_of(report) == "sudo modprobe v4l2loopback"
    report["findings"][1]["remedy"] = None
    assert virtual_camera.remedy_of(report) == ""

"""What the scenarios make of what they find, without a guest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab.device import service
from lab.in_guest import v4l2 as probe
from lab.recorder import Recorder, Result
from lab.scenarios import first_boot, unit, v4l2

REFUSED = "A camera must give a pixel format that OpenCV can convert. Received: x. Remedy: choose a format"


def judged(*found: dict[str, Any], formats: list[str]) -> list[str]:
    """The claims that do not hold."""
    result = Result("thing", "it works")
    v4l2.judge_offer(found, formats, Recorder(result, lambda _: None))
    return [each.claim for each in result.failed]


def test_a_size_that_does_not_come_is_a_fault_of_its_format() -> None:
    result = Result("thing", "it works")
    good = [taken("YUYV", 1) | {"case": f"YUYV={size}", "size": size} for size in ("320x180", "640x480")]
    wrong = [taken("NV12", 1) | {"case": "NV12=640x480"}, {"case": "RGB3=640x480", "error": "lost"}]
    v4l2.judge_sizes([*good, *wrong], Recorder(result, lambda _: None))
    assert [each.holds for each in result.assertions] == [True, False, False]
    assert result.assertions[0].claim.startswith("YUYV in 320x180, 640x480: ")
    assert result.assertions[1].found == "640x360 instead of 640x480; 1 of 255"
    assert "lost instead of 640x480" in result.assertions[2].found


def taken(name: str, worst: int, gray: bool = False, logged: tuple[str, ...] = ()) -> dict[str, Any]:
    more = {"gray": gray, "bars": [], "wanted": [], "logged": logged}
    return {"case": f"{name}=640x360", "size": "640x360", "worst": worst, **more}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (taken("YUYV", 3), False),
        (taken("YUYV", 4), True),
        (taken("YUYV", -1), True),  # of another size
        (taken("YUYV", 0, gray=True), True),
        (taken("GREY", 1, gray=True), False),
        (taken("RGBP", 0, logged=("/dev/video0 gives YUYV instead of RGBP",)), True),
        ({"case": "RGBP=640x360", "error": REFUSED, "logged": ()}, False),
        ({"case": "RGBP=640x360", "error": "Something else", "logged": ()}, True),
        ({"case": "YUYV=640x360", "error": REFUSED, "logged": ()}, True),
    ],
)
def test_a_format_is_right_or_refused_with_a_remedy(found: dict[str, Any], wrong: bool) -> None:
    assert bool(judged(found, formats=["x"])) == wrong


def test_a_format_that_says_nothing_is_a_fault() -> None:
    assert judged(taken("YUYV", 0), formats=["YUYV", "NV12"]) == [
        "Every format that the camera offers is either taken or refused"
    ]


def test_colors_are_compared_everywhere_but_at_the_edges_of_the_bars() -> None:
    wanted = np.repeat(np.repeat(np.arange(8, dtype=np.uint8) * 30, 40)[None, :, None], 3, -1).repeat(10, 0)
    picture = wanted.copy()
    assert probe.differs(picture, wanted)[0] == 0
    picture[:, 38:43] += 90
    assert probe.differs(picture, wanted)[0] == 0
    picture[0, 60] += 90
    assert probe.differs(picture, wanted)[0] == 0
    picture[5, 60] += 7
    worst, bars = probe.differs(picture, wanted)
    assert (worst, bars[3]) == (7, [90, 90, 90])
    assert probe.differs(picture[:, :100], wanted)[0] == -1


def test_what_systemctl_shows_is_read() -> None:
    assert service.shown("NRestarts=0\nStatusText=5.0 frames/s, a=b\n\n") == {
        "NRestarts": "0",
        "StatusText": "5.0 frames/s, a=b",
    }


def test_what_the_kernel_says_of_a_process_is_read() -> None:
    status = "Name:\tpython\nUid:\t61184\t61184\t61184\t61184\nGroups:\t44 105 61184 \nCapEff:\t0000000000000400\n"
    assert unit.process_of(status) == {"Uid": [61184] * 4, "Groups": [44, 105, 61184], "CapEff": [1024]}


def test_the_exposure_is_the_last_line() -> None:
    assert unit.exposure("… 0.1\n→ Overall exposure level for quietcam.service: 1.9 OK :-)\n") == 1.9
    assert unit.exposure("it crashed") == 10.0


def test_two_devices_differ_in_what_is_named() -> None:
    first = {"packages": "a==1", "files": "1 x", "token": "t"}
    assert first_boot.differing(first, {**first, "token": "u"}) == ""
    assert first_boot.differing(first, {"packages": "a==2", "token": "t"}) == "packages, files"


def test_the_token_of_a_device_is_read() -> None:
    assert first_boot.token_of("A=1\nQUIETCAM_TOKEN=quietcam-x\n") == "quietcam-x"
    assert first_boot.token_of("QUIETCAM_TOKEN=\n") == ""

"""What the scenario of the USB camera makes of what it finds, without a guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.recorder import Recorder, Result
from lab.scenarios import usb
from lab.scenarios.usb import BARE, Guests

END = {"what": "end", "code": 130, "traceback": False}
HOLDS: dict[str, Any] = {"descriptors": 20, "devices": 1, "threads": 12, "memory": 90 * 1024}


def pulled(number: int, **other: Any) -> dict[str, Any]:
    found = {
        **{
            "what": "pull",
            "number": number,
            "words": "MJPG=640x480",
            "size": "640x480",
            "node": f"/dev/video{number % 2}",
        },
        **{"lost": 0.2, "reason": "it sends no more frames", "back": 1.5, "flows": True, "stalled": [0.0, 0.0]},
    }
    return {**found, **HOLDS, **other}


def of_pulls(
    change: Callable[[list[dict[str, Any]]], None] = lambda _: None, guests: Guests | None = None
) -> list[str]:
    """The claims that do not hold."""
    found = [*(pulled(number) for number in range(1, usb.TIMES + 1)), {"what": "after", **HOLDS}, dict(END)]
    change(found)
    result = Result("usb", "it works")
    usb.judge_pulls(found, guests or Guests(), Recorder(result, lambda _: None))
    return [each.claim for each in result.failed]


def test_a_camera_that_always_comes_back_is_good() -> None:
    assert of_pulls() == []


@pytest.mark.parametrize(
    ("index", "change", "claim"),
    [
        (3, {"lost": 4.1}, "lost within 4 s"),
        (3, {"lost": None}, "lost within 4 s"),
        (3, {"back": 5.1}, "within 5 s of the device"),
        (3, {"back": None}, "within 5 s of the device"),
        (3, {"size": "320x240"}, "size of the camera that is there now"),
        (3, {"size": ""}, "size of the camera that is there now"),
        (3, {"flows": False}, "Frames go through"),
        (3, {"reason": ""}, "reason"),
        (10, {"descriptors": 21}, "descriptors are as many"),
        (15, {"threads": 13}, "threads are as many"),
        (-2, {"devices": 2}, "devices are as many"),
        (-2, {"memory": 97 * 1024}, "memory stays"),
        (-1, {"code": 1}, "ends as a stop should"),
        (-1, {"traceback": True}, "ends as a stop should"),
    ],
)
def test_what_goes_wrong_once_is_seen(index: int, change: dict[str, Any], claim: str) -> None:
    (failed,) = of_pulls(lambda found: found[index].update(change))
    assert claim in failed


def test_a_run_that_ended_early_is_seen() -> None:
    def cut(found: list[dict[str, Any]]) -> None:
        del found[7:]

    assert "It was pulled out and plugged in as often as it should be" in of_pulls(cut)
    assert "The run ends as a stop should" in of_pulls(cut)


def test_one_number_for_all_cameras_proves_nothing() -> None:
    (failed,) = of_pulls(
        lambda found: [each.update(node="/dev/video0") for each in found if each["what"] == "pull"] and None
    )
    assert "other numbers" in failed


@pytest.mark.parametrize(
    ("guests", "change", "late"),
    [
        (Guests(), {"back": 6.0}, True),
        (Guests(), {"back": 6.0, "stalled": [0.0, 1.5]}, False),  # the host gave no processor
        (Guests(), {"back": 6.0, "stalled": [1.5, 0.0]}, True),  # but at another time
        (Guests(BARE + 2.0), {"back": 6.0}, False),  # a bare program needs two seconds longer, too
        (Guests(BARE + 2.0), {"back": 7.1}, True),
        (Guests(BARE + 2.0), {"lost": 4.5}, True),  # nothing is opened then
        (Guests(0.1), {"back": 5.1}, True),  # a guest that is faster is allowed no less
        (Guests(0.1), {"back": 5.0}, False),
    ],
)
def test_a_slow_guest_is_allowed_what_it_needs_itself_and_no_more(
    guests: Guests, change: dict[str, Any], late: bool
) -> None:
    assert bool(of_pulls(lambda found: found[4].update(change), guests)) == late


def test_what_is_allowed_is_said() -> None:
    result = Result("usb", "it works")
    found = [*(pulled(number) for number in range(1, usb.TIMES + 1)), {"what": "after", **HOLDS}, dict(END)]
    found[4].update(back=6.0, stalled=[0.0, 1.5])
    usb.judge_pulls(found, Guests(), Recorder(result, lambda _: None))
    (claim,) = [each for each in result.assertions if "within 5 s" in each.claim]
    assert claim.found == "20 of 20 times, 6.00 s at most, of which 4.50 s are quietcam's: this guest is slow"


def test_colors_that_are_off_or_of_another_size_are_seen() -> None:
    kinds = ("MJPG 320x240", "MJPG 640x480", "YUYV 320x240", "YUYV 160x120")
    good = [{"what": "colors", "asked": each, "size": each.split()[1], "worst": 8.0} for each in kinds]
    for change, wrong in (({}, 0), ({"worst": 21.0}, 1), ({"size": "160x120"}, 1)):
        result = Result("usb", "it works")
        usb.judge_colors([{**good[0], **change}, *good[1:]], Recorder(result, lambda _: None))
        assert len(result.failed) == wrong

"""What the scenario of the USB camera makes of what it finds, without a guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.recorder import Recorder, Result
from lab.scenarios import usb
from lab.scenarios.usb import BARE, Excuses

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
        **{
            "lost": [number * 100, number * 100 + 0.2],
            "reason": "it sends no more frames",
            "back": [number * 100 + 2, number * 100 + 3.5],
            "flows": True,
        },
    }
    return {**found, **HOLDS, **other}


def of_pulls(
    change: Callable[[list[dict[str, Any]]], None] = lambda _: None, excuses: Excuses | None = None
) -> list[str]:
    """The claims that do not hold."""
    found = [*(pulled(number) for number in range(1, usb.TIMES + 1)), {"what": "after", **HOLDS}, dict(END)]
    change(found)
    result = Result("usb", "it works")
    usb.judge_pulls(found, excuses or Excuses(), Recorder(result, lambda _: None))
    return [each.claim for each in result.failed]


def test_a_camera_that_always_comes_back_is_good() -> None:
    assert of_pulls() == []


@pytest.mark.parametrize(
    ("index", "change", "claim"),
    [
        (3, {"lost": [1.0, 5.1]}, "lost within 4 s"),
        (3, {"lost": None}, "lost within 4 s"),
        (3, {"back": [7.0, 12.1]}, "within 5 s of the device"),
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


def starves(begin: float, end: float) -> float:
    """A host that gives the guest no processor from 10 to 11.5."""
    return max(0.0, min(end, 11.5) - max(begin, 10.0))


@pytest.mark.parametrize(
    ("excuses", "change", "late"),
    [
        (Excuses(), {"back": [8.0, 14.0]}, True),
        (Excuses(starves), {"back": [8.0, 14.0]}, False),
        (Excuses(starves), {"back": [108.0, 114.0]}, True),  # but at another time
        (Excuses(starves), {"lost": [8.0, 13.0]}, False),
        (Excuses(starves), {"lost": [8.0, 14.0]}, True),
        (Excuses(bare=BARE + 2.0), {"back": [0.0, 6.0]}, False),  # a bare program needs two seconds longer, too
        (Excuses(bare=BARE + 2.0), {"back": [0.0, 7.1]}, True),
        (Excuses(bare=BARE + 2.0), {"lost": [0.0, 4.5]}, True),  # nothing is opened then
        (Excuses(bare=0.1), {"back": [0.0, 5.1]}, True),  # a guest that is faster is allowed no less
        (Excuses(bare=0.1), {"back": [0.0, 5.0]}, False),
    ],
)
def test_a_slow_guest_is_excused_for_what_it_needs_itself_and_no_more(
    excuses: Excuses, change: dict[str, Any], late: bool
) -> None:
    assert bool(of_pulls(lambda found: found[4].update(change), excuses)) == late


def test_an_excuse_is_said() -> None:
    result = Result("usb", "it works")
    found = [*(pulled(number) for number in range(1, usb.TIMES + 1)), {"what": "after", **HOLDS}, dict(END)]
    found[4].update(back=[8.0, 14.0])
    usb.judge_pulls(found, Excuses(starves), Recorder(result, lambda _: None))
    (claim,) = [each for each in result.assertions if "within 5 s" in each.claim]
    assert claim.found == "20 of 20 times, 6.00 s at most; 4.50 s without the time that this slow guest itself needed"


def test_what_a_bare_program_needs_is_measured_without_the_time_in_which_the_guest_starved() -> None:
    looked = [{"what": "bare", "opened": span} for span in ([8.0, 12.0], [20.0, 22.5], [30.0, 31.0])]
    assert usb.excuses_of(looked, starves).bare == 2.5


FAULTS: list[dict[str, Any]] = [
    {"mode": "mute", "lost": [0.0, 3.2], "back": [10.0, 14.0], "frames": 0, "reason": "it sends no more frames"},
    {"mode": "still", "lost": [0.0, 4.3], "back": [10.0, 14.0], "frames": 40, "reason": "the same picture for 4 s"},
    {"mode": "broken", "lost": None, "back": None, "frames": 90, "reason": ""},
    {"mode": "black", "lost": None, "back": None, "frames": 90, "reason": ""},
]


@pytest.mark.parametrize(
    ("index", "change", "claims"),
    [
        (0, {}, []),
        (0, {"lost": None}, ["A camera that gives nothing is reported as lost within 4 s"]),
        (1, {"lost": [0.0, 5.1]}, ["A camera that repeats a picture is reported as lost within 5 s"]),
        (1, {"back": [0.0, 20.1]}, ["After it repeats a picture, it delivers within 20 s of being well"]),
        (2, {"flows": False}, ["Frames go on after a camera was broken"]),
        (1, {"descriptors": 21}, []),  # a connection to the page
        (3, {"descriptors": 21}, ["After all faults it has no more descriptors than after the first"]),
        (3, {"threads": 13}, ["After all faults it has no more threads than after the first"]),
        (3, {"lost": [0.0, 5.0]}, ["A camera in the dark is not lost"]),
        (3, {"frames": 0}, ["Its black frames are shown"]),
    ],
)
def test_what_a_fault_does_wrong_is_seen(index: int, change: dict[str, Any], claims: list[str]) -> None:
    found: list[dict[str, Any]] = [{"what": "fault", "flows": True, **HOLDS, **each} for each in FAULTS]
    found[index].update(change)
    result = Result("usb", "it works")
    usb.judge_faults([*found, dict(END)], Excuses(), Recorder(result, lambda _: None))
    assert [each.claim for each in result.failed] == claims


def test_colors_that_are_off_or_of_another_size_are_seen() -> None:
    kinds = ("MJPG 320x240", "MJPG 640x480", "YUYV 320x240", "YUYV 160x120")
    good = [{"what": "colors", "asked": each, "size": each.split()[1], "worst": 8.0} for each in kinds]
    for change, wrong in (({}, 0), ({"worst": 21.0}, 1), ({"size": "160x120"}, 1)):
        result = Result("usb", "it works")
        usb.judge_colors([{**good[0], **change}, *good[1:]], Recorder(result, lambda _: None))
        assert len(result.failed) == wrong

"""A USB camera that is pulled out and plugged in again, each time as another one, and that fails in other ways."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.guest import Guest
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "Excuses", "excuses_of", "judge_colors", "judge_faults", "judge_pulls"]

TIMES = 20
LOST, BACK = 4.0, 5.0
"""Seconds: until a camera that is pulled out is noticed, and until one that is ready delivers again."""
FROZEN = 5.0
"""Seconds until an unchanged picture is noticed: docs/reference/sources.md says 4, and the next picture must come."""
HEALED = 20.0
"""Seconds until a camera that stayed plugged in is open again: docs/reference/sources.md says 15 between attempts."""
COLORS = 20.0
"""Of 255: what JPEG and half the color resolution may change in the middle of a bar, and the noise of a picture."""
GROWTH = 6.0
"""MiB: by how much memory may differ between two times with the same camera."""
BARE = 0.5
"""Seconds that a bare program needs on a desktop from a device that is ready to its first picture."""


def never(_: float, __: float) -> float:
    """A guest that always has a processor."""
    return 0.0


@dataclass(frozen=True)
class Excuses:
    """What is taken off a time in a slow guest, and nothing else: the time for which the host gave it no processor, and
    what a bare program needs in it longer than on a desktop to open a camera.

    Attributes:
        starved: seconds between two times for which the host gave the guest no processor that it wanted.
        bare: seconds that a bare program needs in this guest.
    """

    starved: Callable[[float, float], float] = never
    bare: float = BARE

    def own(self, begin: float, end: float, opens: bool) -> float:
        """The seconds that quietcam answers for; ``opens``: the camera is opened in them."""
        return end - begin - self.starved(begin, end) - (max(0.0, self.bare - BARE) if opens else 0.0)


def run(guest: Guest, record: Recorder) -> None:
    """Measure everything with real drivers, then judge."""
    guest.run("modprobe -a vhci-hcd uvcvideo", check=True)
    looked = guest.measure("usb", "look", limit=240)
    judge_colors([each for each in looked if each["what"] == "colors"], record)
    excuses = excuses_of(looked, guest.starved)
    record.note(f"a bare program needs {excuses.bare:.2f} s in this guest from a ready device to a picture")
    judge_pulls(guest.measure("usb", "pull", str(TIMES), f"{guest.patience:g}", limit=900), excuses, record)
    judge_faults(guest.measure("usb", "faults", f"{guest.patience:g}", limit=600), excuses, record)
    said = guest.run("journalctl -b -k --no-pager | grep -iE 'BUG:|Oops|WARNING:|hung task'").out.strip()
    record.that("The kernel reports no fault of a driver", not said, said[-300:])


def excuses_of(looked: Sequence[Mapping[str, Any]], starved: Callable[[float, float], float]) -> Excuses:
    """From the times of a bare program."""
    spans = [each["opened"] for each in looked if each["what"] == "bare"]
    return Excuses(starved, statistics.median(end - begin - starved(begin, end) for begin, end in spans))


def judge_colors(found: Sequence[Mapping[str, Any]], record: Recorder) -> None:
    """Each format and size comes as asked."""
    for each in found:
        asked = f"{each['asked']}"
        size = asked.split()[1]
        wrong = [] if each["size"] == size else [f"{each['size']} came"]
        record.that(
            f"{asked}: its colors are within {COLORS:g} of what the camera sent",
            not wrong and each["worst"] <= COLORS,
            "; ".join([*wrong, f"{each['worst']} of 255"]),
        )
    record.that("The camera's formats were tried", len(found) >= 4, len(found))


def judge_pulls(found: Sequence[Mapping[str, Any]], excuses: Excuses, record: Recorder) -> None:
    """Each time it was noticed, and came back in time; what it holds does not grow."""
    pulls = [each for each in found if each["what"] == "pull"]
    record.equal("It was pulled out and plugged in as often as it should be", len(pulls), TIMES)
    if not pulls:
        return
    _in_time(
        f"Pulled out, it is reported as lost within {LOST:g} s",
        [each["lost"] for each in pulls],
        LOST,
        excuses,
        record,
    )
    _in_time(
        f"Plugged in again, it delivers within {BACK:g} s of the device being ready",
        [each["back"] for each in pulls],
        BACK,
        excuses,
        record,
        opens=True,
    )
    wrong = [f"{each['size'] or 'none'} of {each['words']}" for each in pulls if each["size"] not in _sizes(each)]
    record.that("It comes back at the size of the camera that is there now", not wrong, "; ".join(wrong))
    stopped = [each["number"] for each in pulls if not each["flows"]]
    record.that("Frames go through the run after each return", not stopped, stopped or "")
    nodes = sorted({each["node"] for each in pulls})
    record.that("It comes back under other numbers, too", len(nodes) > 1, ", ".join(nodes))
    record.that(
        "The name of the driver's error is no riddle: each reason is said", all(each["reason"] for each in pulls)
    )
    after = [each for each in found if each["what"] == "after"]
    _flat([each for each in pulls if each["number"] % 5 == 1][1:] + after, record)
    _ended(found, record)


def _sizes(pull: Mapping[str, Any]) -> list[str]:
    return re.findall(r"\d+x\d+", pull["words"])


def _flat(samples: Sequence[Mapping[str, Any]], record: Recorder) -> None:
    """The same camera each time; the first time is left out: libraries are loaded then."""
    for name in ("descriptors", "devices", "threads"):
        values = [each[name] for each in samples]
        record.that(f"Its {name} are as many after each return", len({*values}) == 1, values)
    memory = [each["memory"] / 1024 for each in samples]
    grown = max(memory) - memory[0] if memory else 0.0
    record.at_most("Its memory stays the same", grown, GROWTH, "MiB more")
    record.note(f"memory at the same camera: {', '.join(f'{each:.1f}' for each in memory)} MiB")


def judge_faults(found: Sequence[Mapping[str, Any]], excuses: Excuses, record: Recorder) -> None:
    """What a camera shows that fails and stays plugged in."""
    by_mode = {each["mode"]: each for each in found if each["what"] == "fault"}
    for mode, what, limit in (("mute", "gives nothing", LOST), ("still", "repeats a picture", FROZEN)):
        if record.that(f"A camera that {what} was tried", mode in by_mode):
            each = by_mode[mode]
            _in_time(
                f"A camera that {what} is reported as lost within {limit:g} s",
                [each["lost"]],
                limit,
                excuses,
                record,
            )
            _in_time(
                f"After it {what}, it delivers within {HEALED:g} s of being well",
                [each["back"]],
                HEALED,
                excuses,
                record,
                opens=True,
            )
    for each in found:
        if each["what"] == "fault":
            record.that(f"Frames go on after a camera was {each['mode']}", each["flows"], each["reason"])
    if record.that("A camera in the dark was tried", "black" in by_mode):
        black = by_mode["black"]
        record.that("A camera in the dark is not lost", black["lost"] is None, black["reason"])
        record.that("Its black frames are shown", black["frames"] > 0, black["frames"])
    for name in ("descriptors", "threads"):  # a connection to the page may still be open at one of these looks
        values = [each[name] for each in found if each["what"] == "fault"]
        record.that(f"After all faults it has no more {name} than after the first", values[-1:] <= values[:1], values)
    _ended(found, record)


def _ended(found: Sequence[Mapping[str, Any]], record: Recorder) -> None:
    (end,) = [each for each in found if each["what"] == "end"] or [{"code": None, "traceback": True}]
    record.equal("The run ends as a stop should", (end["code"], end["traceback"]), (130, False))


def _in_time(
    claim: str,
    spans: Sequence[Sequence[float] | None],
    limit: float,
    excuses: Excuses,
    record: Recorder,
    opens: bool = False,
) -> None:
    """All spans are within the limit, without what the guest itself needed; None never came."""
    came = [(each[0], each[1]) for each in spans if each is not None]
    own = [excuses.own(begin, end, opens) for begin, end in came]
    worst = max((end - begin for begin, end in came), default=0.0)
    text = f"{len(own)} of {len(spans)} times, {worst:.2f} s at most"
    holds = len(own) == len(spans) and all(each <= limit for each in own)
    if holds and worst > limit:
        text += f"; {max(own):.2f} s without the time that this slow guest itself needed"
    record.that(claim, holds, text)


SCENARIO = Scenario(
    "A USB camera: pulled out and plugged in 20 times as another one; mute, frozen, broken, black",
    run,
    limit=1800,
)

"""Hard times for a camera with 256 MB and one processor: a clock that is a year off and jumps, and no network."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lab.device.release import OFFERS, PLACE, bring_release
from lab.device.service import CAMERA, flows, install_camera, killed_for_memory, sink_of, state, status_of
from lab.guest import PYTHON, Guest
from lab.machine import Machine
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "judge_numbers"]

YEAR = 365 * 86400
STATE = "/var/lib/quietcam/update"
SPOOL = "/var/lib/quietcam/spool"
NOBODY = "rtsp://10.9.9.9:8554/door"
"""A server that no network leads to."""
CONFIG = (
    f'source = "{CAMERA}:size=320x180,fps=5"\n'
    f'sink = ["web", "spool:{SPOOL},size=200MB,daily=100MB,every=1", '
    f'"record:/var/lib/quietcam/record,size=100MB", "{NOBODY}"]\n'
    'model = "slot"\n'
)


def run(guest: Guest, record: Recorder) -> None:
    """One hardship after another."""
    install_camera(guest, CONFIG)
    bring_release(guest)
    guest.run("systemctl start quietcam", limit=240, check=True)
    done = _update(guest, "--trial 0 --channel beta")
    record.that("With 256 MB and no network a release in a folder is tried and installed", done.code == 0, done.err)
    record.equal("Its bundle is in use", _in_use(guest), OFFERS["beta"])
    _no_network(guest, record)
    _memory(guest, record)
    _clock(guest, record, -YEAR)
    _clock(guest, record, YEAR)


def judge_numbers(before: Sequence[str], after: Sequence[str], record: Recorder, when: str) -> None:
    """The numbers of a spool's entries, not the clock, order them."""
    kept = [name for name in before if name not in after]
    record.that(f"{when}: no stored frame went", not kept, ", ".join(kept[:3]))
    new = sorted(set(after) - set(before))
    last = max((name[:10] for name in before), default="")
    wrong = [name for name in new if name[:10] <= last]
    record.that(f"{when}: new frames come after those before", bool(new) and not wrong, ", ".join((wrong or new)[:2]))


def _update(guest: Guest, words: str = "", source: str = PLACE) -> Any:
    return guest.run(f"{PYTHON} -P -m quietcam update --from {source} --state {STATE} {words}", limit=300)


def _in_use(guest: Guest) -> str:
    said = guest.run(f"{PYTHON} -P -m quietcam update --status --state {STATE}", limit=120, check=True).out
    found = re.search(r"in use: (\S+),", said)
    return found[1] if found else said


def _entries(guest: Guest) -> list[str]:
    return [each for each in guest.run(f"ls {SPOOL}", check=True).out.split() if re.match(r"\d{10}_", each)]


def _no_network(guest: Guest, record: Recorder) -> None:
    record.that("Without a network frames go through all sinks", flows(guest, "spool") and flows(guest, "record"))
    server = sink_of(status_of(guest), "rtsp")
    record.that("A server that cannot be reached is named as waiting", bool(server.get("waiting")), server)
    record.that("Frames go on meanwhile", flows(guest))
    done = _update(guest, source="https://updates.example.com/cameras")
    record.equal("`update` from a server that cannot be reached fails with 1", done.code, 1)
    record.that("It says that the release cannot be reached", "reach" in done.err, done.err.strip()[-200:])
    record.equal("The bundle in use stays", _in_use(guest), OFFERS["beta"])


def _memory(guest: Guest, record: Recorder) -> None:
    record.that("256 MB are enough for all of this: the kernel ends no process", *killed_for_memory(guest))
    status = guest.run(f"cat /proc/{state(guest)['MainPID']}/status").out
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    if peak:
        record.note(f"page, spool, recording and model took {int(peak[1]) / 1024:.0f} MiB at most, of 256")


def _clock(guest: Guest, record: Recorder, off: int) -> None:
    """A boot at which the clock is wrong; then it is set right while quietcam runs."""
    when = f"The clock a year {'behind' if off < 0 else 'ahead'}"
    before = _entries(guest)
    version = _in_use(guest)
    record.that("The guest shuts down in order", guest.stop())
    wrong = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + off))
    guest.boot(Machine(SMALL.memory, SMALL.processors, qemu=("-rtc", f"base={wrong}")))
    shows = int(guest.run("date +%s", check=True).out) - time.time()
    record.note(f"{when}: the guest's clock is {shows / 86400:+.0f} days off")
    record.that(f"{when}: frames are stored and recorded", flows(guest, "spool") and flows(guest, "record"))
    judge_numbers(before, _entries(guest), record, when)
    other = next(channel for channel, bundle in OFFERS.items() if bundle != version)
    done = _update(guest, f"--trial 0 --channel {other}")
    record.equal(f"{when}: a release that it cannot date is refused with 1", done.code, 1)
    record.that(f"{when}: it says why", bool(re.search("clock|expired|signed", done.err)), done.err.strip()[-300:])
    record.equal(f"{when}: the bundle in use stays", _in_use(guest), version)
    again, before = state(guest), _entries(guest)
    guest.run(f"date -s @{int(time.time())}", check=True)
    record.that("Set right while it runs, frames go on", flows(guest, "spool") and flows(guest))
    now = state(guest)
    same = (now["MainPID"], now["NRestarts"]) == (again["MainPID"], again["NRestarts"])
    record.that("The jump of the clock restarts nothing", same, now["NRestarts"])
    judge_numbers(before, _entries(guest), record, "After the jump")
    spool: Mapping[str, Any] = sink_of(status_of(guest), "spool")
    record.equal("The jump spends no daily budget", spool.get("over_budget"), 0)
    done = _update(guest, f"--trial 0 --channel {other}")
    record.that("With the right time the release is installed", done.code == 0, done.err.strip()[-300:])
    record.equal("Its bundle is in use then", _in_use(guest), OFFERS[other])


SMALL = Machine(memory=256, processors=1)
SCENARIO = Scenario(
    "256 MB, one processor, no network, the clock a year off in both directions and set right while it runs",
    run,
    limit=1500,
    machine=SMALL,
)

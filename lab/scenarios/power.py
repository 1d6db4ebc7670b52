"""Power cuts: qemu is killed at random instants while quietcam stores, records, updates and boots."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.device.examine import Found, Stored, look
from lab.device.release import OFFERS, PLACE, bring_release
from lab.device.service import install_camera
from lab.errors import GoneError
from lab.guest import PYTHON, Guest
from lab.machine import Machine
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "Cut", "Told", "heard", "judge_cuts", "judge_end"]

CUTS = int(os.environ.get("QUIETCAM_LAB_CUTS", "20"))
FROM_ONE_BOOT = 10
"""Cuts from one boot: memory and disk are kept when all works, and each cut goes on from there. The last one's disk is
booted again."""
MOST_TOLD, MOST_AFTER = 25, 1.0
"""A cut comes when the guest has told something up to so often since all worked, and up to so many seconds later."""
UNSAFE = 5.0
"""Seconds: frames that a recording counted so shortly before the cut may be missing. docs/reference/sinks.md: a second,
or as much as a slow card had not stored."""
MARK = b"quietcam-lab "
_PAGE = "http://127.0.0.1:8080/status.json"
_STATE = "/var/lib/quietcam/update"
_CONFIG = (
    'source = "/dev/video0:size=320x180,fps=5"\n'
    'sink = ["web", "spool:/var/lib/quietcam/spool,size=1GB,every=0.2", "record:/var/lib/quietcam/record,size=1GB"]\n'
    'model = "slot"\n'
)
_UNIT = f"""[Unit]
After=quietcam.service
[Service]
ExecStart={PYTHON} -P /opt/lab/power.py
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Told:
    """What a guest told of one start until its power was cut, in order.

    Attributes:
        stored: seconds since the boot, and frames that each sink had stored by then.
        updates: entries of the history of updates: time, event, version.
        trouble: updates that failed.
    """

    stored: tuple[tuple[float, Mapping[str, int]], ...] = ()
    updates: tuple[tuple[float, str, str], ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def much(self) -> int:
        """How often it told something."""
        return len(self.stored) + len(self.updates) + len(self.trouble)

    @property
    def all_work(self) -> bool:
        """Whether frames are stored and recorded, and updates done."""
        return bool(self.count("spool") and self.count("record") and self.updates)

    def __add__(self, later: Told) -> Told:
        return Told(self.stored + later.stored, self.updates + later.updates, self.trouble + later.trouble)

    def count(self, sink: str, spare: float = 0.0) -> int:
        """Frames that a sink had stored ``spare`` seconds before the guest told its last."""
        until = self.stored[-1][0] - spare if self.stored else 0.0
        return max((counts.get(sink, 0) for at, counts in self.stored if at <= until), default=0)


@dataclass(frozen=True)
class Cut:
    """One cut.

    Attributes:
        when: seconds after all worked, or since the start of a boot that was cut.
        booting: it came during a boot.
        before: what was on the disk when the service started.
        told: what the guest acknowledged since.
        found: what is on the disk after the cut.
    """

    when: float
    booting: bool
    before: Found
    told: Told
    found: Found


def run(guest: Guest, record: Recorder) -> None:
    """Cut, look, judge; at the end a boot as after any cut."""
    _prepare(guest)
    record.that("The guest shuts down in order", guest.stop())
    chance = random.Random(int(os.environ.get("QUIETCAM_LAB_SEED", "1")))
    cuts: list[Cut] = []
    before = look(guest)
    while len(cuts) < CUTS:
        cuts += _cuts(guest, before, min(FROM_ONE_BOOT, CUTS - len(cuts)), chance, record)
        before = cuts[-1].found
    judge_cuts(cuts, record)
    _end(guest, before, record)


def heard(serial: Path) -> Told:
    """What the guest told over its serial line; a line that the cut shortened is none."""
    stored, updates, trouble = [], [], []
    if not serial.exists():
        return Told()
    for line in serial.read_bytes().split(b"\n")[:-1]:
        if not line.startswith(MARK):
            continue
        try:
            found: dict[str, Any] = json.loads(line.removeprefix(MARK))
        except ValueError:
            continue  # the kernel spoke into it
        if "stored" in found:
            stored.append((found["up"], found["stored"]))
        if "update" in found:
            time_, event, version = found["update"]
            updates.append((time_, event, version))
        if "trouble" in found:
            trouble.append(found["trouble"])
    return Told(tuple(stored), tuple(updates), tuple(trouble))


def judge_cuts(cuts: Sequence[Cut], record: Recorder) -> None:
    """Everything that was acknowledged is there and whole after each cut."""
    working = [each for each in cuts if not each.booting]
    record.that(f"The power was cut {CUTS} times", len(cuts) == CUTS, f"{len(working)} at work, the others at a boot")
    _none("The file system needs nobody to mend it", ((n, each.found.faults) for n, each in enumerate(cuts, 1)), record)
    for name, what in (("spool", "A stored frame"), ("record", "A segment")):
        broken = ((n, "; ".join(getattr(each.found, name).faults)) for n, each in enumerate(cuts, 1))
        _none(f"{what} decodes to its end after every cut", broken, record)
        gone = ((n, _changed(each, name)) for n, each in enumerate(cuts, 1))
        _none(f"{what} that was there before is there unchanged after every cut", gone, record)
    counted = [(n, each.told.count("spool"), _new(each, "spool")) for n, each in enumerate(cuts, 1)]
    lost = ((n, f"{told} acknowledged, {there} there" if there < told else "") for n, told, there in counted)
    _none("Every frame that the spool counted as stored is there", lost, record)
    counted = [(n, each.told.count("record", UNSAFE), _new(each, "record")) for n, each in enumerate(cuts, 1)]
    lost = ((n, f"{told} acknowledged, {there} there" if there < told else "") for n, told, there in counted)
    _none(f"Every frame that a recording counted {UNSAFE:g} s before the cut can be played", lost, record)
    broken = ((n, "; ".join(each.found.update.faults)) for n, each in enumerate(cuts, 1))
    _none("The bundle in use is whole, byte for byte as it was signed", broken, record)
    missing = ((n, _forgotten(each)) for n, each in enumerate(cuts, 1))
    _none("An update or a rollback that was reported is not forgotten", missing, record)
    trouble = ((n, "; ".join(each.told.trouble)) for n, each in enumerate(cuts, 1))
    _none("After a cut the next updates succeed", trouble, record)
    spooled, recorded = (sum(each.told.count(name) for each in cuts) for name in ("spool", "record"))
    switches = sum(len(each.told.updates) for each in cuts)
    record.that(
        "All three were at work",
        min(spooled, recorded, switches) >= len(working),
        f"{spooled} frames stored, {recorded} recorded, {switches} updates and rollbacks",
    )
    cut = [each.told.count("record") - _new(each, "record") for each in working]
    record.note(f"frames of a recording that were counted and are missing: {max(cut, default=0)} at most")


def judge_end(before: Found, after: Found, record: Recorder) -> None:
    """What a boot after the cuts makes of it all."""
    faults = [*after.spool.faults, *after.record.faults, *after.update.faults, after.faults]
    record.that("Everything decodes after an orderly stop", not any(faults), "; ".join(filter(None, faults)))
    gone = [name for name in before.spool.hashes if after.spool.hashes.get(name) != before.spool.hashes[name]]
    record.that("No stored frame went or changed", not gone, ", ".join(gone[:3]))
    record.that("The spool goes on", after.spool.following > before.spool.following, after.spool.following)
    lost = {n: f for n, f in before.record.frames.items() if after.record.frames.get(n, 0) < f}
    record.that("No frame of a segment that a cut had ended went", not lost, lost or "")


def _prepare(guest: Guest) -> None:
    """A camera, a release, two bundles, and all of it started at every boot."""
    bring_release(guest)
    guest.push(_UNIT.encode(), "/etc/systemd/system/lab-power.service")
    install_camera(guest, _CONFIG)
    guest.run("systemctl enable lab-power", check=True)
    # The service makes its folder, and gives it to a user of its own; what is installed then belongs to that user.
    guest.run("systemctl start quietcam", limit=240, check=True)
    for channel in OFFERS:
        words = f"update --from {PLACE} --channel {channel} --trial 0 --state {_STATE}"
        guest.run(f"{PYTHON} -P -m quietcam {words}", limit=120, check=True)


def _cuts(guest: Guest, before: Found, number: int, chance: random.Random, record: Recorder) -> list[Cut]:
    """Some cuts from one boot, the last of them during the next boot."""
    begun = time.monotonic()
    guest.start()
    _wait_until(lambda: heard(guest.serial).all_work, guest.patience)
    lasted = time.monotonic() - begun
    guest.keep("warm")
    already = heard(guest.serial)
    found: list[Cut] = []
    while len(found) < number - 1:
        guest.start(kept="warm")
        begun = time.monotonic()
        _wait_until(partial(_has_told, guest, chance.randrange(MOST_TOLD)), guest.patience)
        time.sleep(chance.uniform(0, MOST_AFTER))
        guest.kill()
        when = time.monotonic() - begun
        found.append(Cut(when, False, before, already + heard(guest.serial), look(guest)))
    now = found[-1].found if found else before
    when = chance.uniform(0.2, 1.0) * lasted
    guest.start()
    time.sleep(when)
    guest.kill()
    found.append(Cut(when, True, now, heard(guest.serial), look(guest)))
    record.note(f"booted within {lasted:.0f} s, cut {', '.join(f'{each.when:.1f}' for each in found)} s later")
    return found


def _has_told(guest: Guest, often: int) -> bool:
    return heard(guest.serial).much >= often


def _wait_until(holds: Callable[[], bool], patience: float, limit: float = 240.0) -> None:
    until = time.monotonic() + 10 * limit * patience  # a guest that counts its instructions may be much slower
    while not holds():
        if time.monotonic() > until:
            raise GoneError("The guest stores, records or updates no more.")
        time.sleep(0.2)


def _end(guest: Guest, before: Found, record: Recorder) -> None:
    """The last boot: it goes on, updates by its own unit, and stops in order."""
    guest.boot()
    guest.run("systemctl stop lab-power", check=True)
    guest.push(f"QUIETCAM_UPDATE_FROM={PLACE}\n".encode(), "/etc/quietcam-update.env")
    made = f"{PYTHON} -P -m edge.service update >/etc/systemd/system/quietcam-update.service && systemctl daemon-reload"
    guest.run(made, check=True)
    updated = guest.run("systemctl start quietcam-update", limit=240)
    said = guest.run("journalctl -b -u quietcam-update --no-pager -o cat | tail -n 5").out.strip()
    record.that("After the cuts the shipped unit for updates succeeds", updated.code == 0, said)
    version = guest.run(f"{PYTHON} -P -m quietcam update --status --state {_STATE}", limit=60).out
    used = version.partition("in use: ")[2].partition(",")[0]
    same = guest.wait_until(f'curl -s -m 20 {_PAGE} | grep -qF \'"version": "{used}"\'', limit=120, every=2)
    record.that("The run uses the bundle that is in use", bool(used) and same, used)
    stored = guest.wait_until(f"curl -s -m 20 {_PAGE} | grep -qE '\"stored\": [1-9]'", limit=120, every=2)
    record.that("After the cuts frames are stored", stored)
    record.that("The guest shuts down in order at the end", guest.stop())
    judge_end(before, look(guest), record)


def _new(cut: Cut, name: str) -> int:
    """Frames that were stored since the service started."""
    stored: Stored = getattr(cut.found, name)
    return stored.since(getattr(cut.before, name).following)


def _changed(cut: Cut, name: str) -> str:
    """Entries that were finished before and are not there as they were."""
    before, after = (getattr(each, name).hashes for each in (cut.before, cut.found))
    return ", ".join([each for each in before if after.get(each) != before[each]][:3])


def _forgotten(cut: Cut) -> str:
    """The last change that was reported, if the device does not know of it."""
    last, update = cut.told.updates[-1:], cut.found.update
    return "" if {*last} <= {*update.history} else f"{last[0][1]} {last[0][2]} of {last[0][0]:.0f}"


def _none(claim: str, faults: Iterable[tuple[int, str]], record: Recorder) -> None:
    """Nothing is wrong after any cut."""
    wrong = [f"cut {number}: {fault}" for number, fault in faults if fault]
    record.that(claim, not wrong, "; ".join(wrong[:4]))


SCENARIO = Scenario(
    "Power cuts: at random instants of storing, recording, updating and booting; all that was acknowledged is there",
    run,
    limit=3600,
    machine=Machine(memory=768),
)

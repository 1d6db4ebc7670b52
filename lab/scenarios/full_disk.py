"""Disks that take nothing: full while frames are stored and at a boot, read-only from the boot on and suddenly."""

from __future__ import annotations

from lab.device.examine import Found, look
from lab.device.release import OFFERS, PLACE, bring_release
from lab.device.service import CAMERA, flows, install_camera, sink_of, state, status_of
from lab.guest import PYTHON, Guest
from lab.machine import Machine
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "judge_kept"]

STATE = "/var/lib/quietcam/update"
CONFIG = (
    f'source = "{CAMERA}:size=320x180,fps=5"\n'
    'sink = ["web", "spool:/var/lib/quietcam/spool,size=1GB,every=0.5", "record:/var/lib/quietcam/record,size=1GB"]\n'
    'model = "slot"\n'
)
FILL = "/var/lib/fill"
_FULL = f"""
for n in 1 2 3 4 5; do
    left=$(df --output=avail -B1 / | tail -n 1)
    test "$left" -gt 0 && fallocate -l "$left" {FILL}.$n
done 2>/dev/null
df --output=avail -B1 / | tail -n 1
"""
SAYS = "systemctl status quietcam --no-pager | grep -q 'keeps\\? no frames'"


def run(guest: Guest, record: Recorder) -> None:
    """Each trouble begins, is said, ends, and leaves what was stored."""
    install_camera(guest, CONFIG)
    bring_release(guest)
    guest.run("systemctl start quietcam", limit=240, check=True)
    installed = f"{PYTHON} -P -m quietcam update --from {PLACE} --trial 0 --state {STATE} --channel beta"
    guest.run(installed, limit=300, check=True)
    record.that("Frames are stored and recorded", flows(guest, "spool") and flows(guest, "record"))
    _full(guest, record)
    _turns_read_only(guest, record)
    before = _stopped(guest, record)
    _read_only_boot(guest, record)
    judge_kept(before, _stopped(guest, record), record)


def judge_kept(before: Found, after: Found, record: Recorder) -> None:
    """Nothing that was stored went, and all decodes."""
    for name, what in (("spool", "frame"), ("record", "segment")):
        old, new = getattr(before, name), getattr(after, name)
        gone = [each for each in old.hashes if new.hashes.get(each) != old.hashes[each]]
        record.that(f"No stored {what} went or changed", not gone, ", ".join(gone[:3]))
        record.that(f"Every stored {what} decodes to its end", not new.faults, "; ".join(new.faults[:3]))
    record.that("The bundle in use is whole", not after.update.faults, "; ".join(after.update.faults))
    record.equal("The bundle in use is the one before", after.update.version, before.update.version)
    record.that("The file system is clean", not after.faults, after.faults)


def _full(guest: Guest, record: Recorder) -> None:
    """Full while it runs, and at a start."""
    stored = guest.run("ls /var/lib/quietcam/spool | grep -c '^[0-9]'").out
    left = guest.run(_FULL, limit=300).out.split()[-1]
    record.equal("The disk has no byte left", left, "0")
    record.that("A full disk: `systemctl status` says that sinks keep no frames", guest.wait_until(SAYS, 60, every=2))
    _goes_on(guest, record, "A full disk")
    spool = sink_of(status_of(guest), "spool")
    record.that("A full disk: the spool says why it waits", "space" in str(spool.get("waiting")), spool.get("waiting"))
    kept = guest.run("ls /var/lib/quietcam/spool | grep -c '^[0-9]'").out
    record.that("A full disk: no stored frame is removed for it", int(kept) >= int(stored), f"{stored}, then {kept}")
    words = f"{PYTHON} -P -m quietcam update --from {PLACE} --trial 0 --state {STATE} --channel stable"
    done = guest.run(words, limit=300)
    record.that("A full disk: an update fails with 1", done.code == 1, f"{done.code}: {done.err.strip()[-200:]}")
    record.that("A full disk: it says why", "space" in done.err, done.err.strip()[-200:])
    guest.run("systemctl restart quietcam", limit=240)
    started = guest.wait_until("systemctl is-active -q quietcam", limit=120, every=2)
    record.that("A full disk at the start: the camera is shown", started and flows(guest), state(guest)["Result"])
    guest.run(f"rm {FILL}.*", check=True)
    record.that("With room again frames are stored without a restart", flows(guest, "spool") and flows(guest, "record"))
    done = guest.run(words, limit=300)
    record.that("With room again the update succeeds", done.code == 0, done.err.strip()[-200:])
    record.equal("It is the bundle that was offered", look_at_use(guest), OFFERS["stable"])


def _turns_read_only(guest: Guest, record: Recorder) -> None:
    """As after an error of the disk: the kernel lets nobody write any more."""
    guest.run("sync; echo u >/proc/sysrq-trigger")
    turned = guest.wait_until("! touch /var/lib/probe 2>/dev/null", limit=60)
    record.that("The disk turns read-only", turned)
    record.that("It turns read-only: `systemctl status` says that sinks keep no frames", guest.wait_until(SAYS, 60))
    _goes_on(guest, record, "It turns read-only")
    guest.run("mount -o remount,rw /", check=True)
    record.that("Writable again, frames are stored without a restart", flows(guest, "spool") and flows(guest, "record"))


def _read_only_boot(guest: Guest, record: Recorder) -> None:
    """A root that is mounted read-only from the boot on, after quietcam was started on it once."""
    guest.boot(Machine(kernel=("rw",)))
    guest.run("systemctl stop quietcam; sed -i 's/defaults,errors=remount-ro/defaults,ro/' /etc/fstab", check=True)
    record.that("The guest shuts down in order", guest.stop())
    guest.boot(Machine(kernel=("ro",)))
    record.that("The root is read-only", guest.wait_until("! touch /var/lib/probe 2>/dev/null"))
    active = guest.wait_until("systemctl is-active -q quietcam", limit=120, every=2)
    now = state(guest)
    record.that("A read-only root: the service starts", active, f"{now['ActiveState']} ({now['Result']})")
    _goes_on(guest, record, "A read-only root")
    record.equal("A read-only root: the bundle in use is found", look_at_use(guest), OFFERS["stable"])
    guest.run("mount -o remount,rw / && sed -i 's/defaults,ro/defaults,errors=remount-ro/' /etc/fstab", check=True)
    record.that("Writable again, frames are stored without a restart", flows(guest, "spool"))


def _goes_on(guest: Guest, record: Recorder, when: str) -> None:
    before = state(guest)
    record.that(f"{when}: frames go on, and the page shows them", flows(guest))
    code = guest.run("curl -s -m 20 -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/healthz").out
    record.equal(f"{when}: a check that restarts what fails is answered with", code, "200")
    strict = guest.run("curl -s -m 20 -o /dev/null -w '%{http_code}' 'http://127.0.0.1:8080/healthz?strict'").out
    record.equal(f"{when}: a check that calls a person is answered with", strict, "503")
    now = state(guest)
    record.equal(f"{when}: the service is not restarted", now["NRestarts"], before["NRestarts"])


def look_at_use(guest: Guest) -> str:
    """The bundle that `quietcam update --status` names."""
    said = guest.run(f"{PYTHON} -P -m quietcam update --status --state {STATE}", limit=120).out
    return said.partition("in use: ")[2].partition(",")[0]


def _stopped(guest: Guest, record: Recorder) -> Found:
    record.that("The guest shuts down in order", guest.stop())
    return look(guest)


SCENARIO = Scenario(
    "Disks that take nothing: full, at a start too; read-only suddenly and from a boot on; what was stored stays",
    run,
    limit=1500,
)

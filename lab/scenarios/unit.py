"""The shipped systemd unit, from boot to stop: on one slow processor with 256 MB, and without a camera."""

from __future__ import annotations

import re

from lab.device.service import MODULES, configure, install_camera, killed_for_memory, shown, state, status_of
from lab.guest import Guest
from lab.machine import Machine
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "exposure", "process_of"]

SMALL = Machine(memory=256, processors=1)
PROMISED_STOP = 2.0 + 0.2  # seconds: docs/reference/service.md, and what systemd itself needs on a slow processor
PROMISED_EXPOSURE = 2.0  # of systemd-analyze security: it says "OK" below 4.9; docs/reference/service.md says 1.9
WATCHDOG = 30


def run(guest: Guest, record: Recorder) -> None:
    """Boot with a camera, then without one, as a user would find it."""
    install_camera(guest, config())
    _rights(guest, record)
    _boot(guest, record)
    _reload(guest, record)
    _hang(guest, record)
    _stop(guest, record)
    _no_camera(guest, record)


def process_of(status: str) -> dict[str, list[int]]:
    """Users, groups and rights of a process, from /proc/PID/status."""
    found = {name: re.search(rf"^{name}:\s*(.*)$", status, re.M) for name in ("Uid", "Groups")}
    rights = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.M)
    numbers = {name: [int(each) for each in match[1].split()] for name, match in found.items() if match}
    return {**numbers, "CapEff": [int(rights[1], 16)] if rights else []}


def exposure(text: str) -> float:
    """The figure that `systemd-analyze security` ends with; 10 is the worst."""
    match = re.search(r"exposure level for \S+: ([0-9.]+)", text)
    return float(match[1]) if match else 10.0


def config(model: str = "/opt/lab/tiny.tflite") -> str:
    return (
        'source = "/dev/video0:size=320x180,fps=5"\n'
        'sink = ["web", "spool:/var/lib/quietcam/spool,size=20MB,daily=10MB,every=5"]\n'
        f'model = "{model}"\n'
    )


def span(guest: Guest, first: str, second: str) -> tuple[float, float]:
    """The times of two changes of the unit's state, by the guest's monotonic clock."""
    names = [f"{each}TimestampMonotonic" for each in (first, second)]
    times = shown(guest.run(f"systemctl show quietcam -p {','.join(names)}").out)
    return int(times[names[0]]) / 1e6, int(times[names[1]]) / 1e6


def _rights(guest: Guest, record: Recorder) -> None:
    checked = guest.run("systemd-analyze verify /etc/systemd/system/quietcam.service")
    ours = [line for line in checked.err.splitlines() if "quietcam" in line]
    record.that("`systemd-analyze verify` finds no fault in the unit", not ours, "; ".join(ours))
    rating = guest.run("systemd-analyze security --no-pager quietcam.service").out
    record.at_most(
        "`systemd-analyze security` rates the unit as docs/reference/service.md says",
        exposure(rating),
        PROMISED_EXPOSURE,
        "of 10",
    )


def _boot(guest: Guest, record: Recorder) -> None:
    record.that("The guest shuts down in order", guest.stop())
    guest.boot(SMALL)
    ready = guest.wait_until("systemctl is-active -q quietcam", limit=120, every=2)
    now = state(guest)
    claim = "Started at boot on one processor with 256 MB, it becomes active"
    record.that(claim, ready, f"{now['ActiveState']} ({now['Result']}), {now['StatusText']}")
    record.equal("It was started once: loading slowly is no reason for a restart", now["NRestarts"], "0")
    begin, end = span(guest, "ExecMainStart", "ActiveEnter")
    starved = guest.starved(begin, end)
    record.note(
        f"on one processor with 256 MB: ready {end - begin:.0f} s after its start; "
        f"for {starved:.0f} s of them the host gave the guest no processor"
    )
    frames = guest.wait_until(
        "curl -s -m 20 http://127.0.0.1:8080/metrics | grep -qE '^quietcam_frames_worked_total.*full.* [1-9]'",
        limit=30,
        every=2,
    )
    record.that("Its page serves frames that went through the network", frames, state(guest)["StatusText"])
    record.that("256 MB are enough: the kernel ends no process for memory", *killed_for_memory(guest))
    peak = state(guest).get("MemoryPeak", "")  # of systemd 256 and later
    record.note(f"the unit took {int(peak) / 2**20:.0f} MiB at most" if peak.isdigit() else "systemd counts no memory")
    found = process_of(guest.run(f"cat /proc/{now['MainPID']}/status").out)
    groups = guest.run("getent group video render | cut -d: -f3").out.split()
    record.that("It runs as a user of its own, not as root", all(each >= 61184 for each in found["Uid"]), found["Uid"])
    record.that("It is in the groups of cameras and GPUs", {*map(int, groups)} <= {*found["Groups"]}, found["Groups"])
    record.equal("It has no capability", found["CapEff"], [0])
    spooled = guest.wait_until("ls /var/lib/quietcam/spool | grep -qE '^[0-9]{10}_'", limit=30, every=2)
    record.that("It writes into its own folder", spooled)


def _reload(guest: Guest, record: Recorder) -> None:
    configure(guest, config("/opt/lab/no-such-network.tflite"))
    done = guest.run("systemctl reload quietcam", limit=120)
    over = guest.wait_until("systemctl is-active -q quietcam", limit=30)
    record.that(
        "A reload that fails ends", over, f"systemctl took {done.seconds:.1f} s: {done.code} {done.err.strip()}"
    )
    failed = guest.wait_until("systemctl show quietcam -p StatusText | grep -q 'the last reload failed'", limit=30)
    now = state(guest)
    record.that("A reload that fails is shown as failed by `systemctl status`", failed, now["StatusText"])
    reload = status_of(guest).get("reload")
    why = str(reload.get("error")) if isinstance(reload, dict) else ""
    record.that("The page says why it failed", "no-such-network" in why, why)
    record.equal("The run goes on with the present network", (now["ActiveState"], now["NRestarts"]), ("active", "0"))
    configure(guest, config())
    guest.run("systemctl reload quietcam", limit=120)
    gone = guest.wait_until("! systemctl show quietcam -p StatusText | grep -q 'the last reload failed'", limit=30)
    record.that("A reload that succeeds takes the failed one back", gone, state(guest)["StatusText"])


def _hang(guest: Guest, record: Recorder) -> None:
    before = state(guest)["MainPID"]
    guest.run(f"kill -STOP {before}", check=True)
    other = f'p=$(systemctl show -p MainPID --value quietcam); test "$p" != {before} && test "$p" != 0'
    again = guest.wait_until(f"{other} && systemctl is-active -q quietcam", limit=120, every=2)
    now = state(guest)
    record.that("A run that hangs is killed by the watchdog and started again", again, now["ActiveState"])
    said = guest.run("journalctl -b -u quietcam --no-pager | grep -o 'Watchdog timeout.*'").out.strip()
    record.that("The journal names the watchdog as the reason", f"limit {WATCHDOG}s" in said, said)
    record.equal("That was one restart", now["NRestarts"], "1")


def _stop(guest: Guest, record: Recorder) -> None:
    guest.wait_until("systemctl show quietcam -p StatusText | grep -q frames/s", limit=30)
    guest.run("systemctl stop quietcam", limit=60)
    now = state(guest)
    begin, end = span(guest, "ActiveExit", "InactiveEnter")
    starved = guest.starved(begin, end)
    record.equal("A stop ends in order", (now["ActiveState"], now["Result"]), ("inactive", "success"))
    record.equal("The exit code after a stop is 130", now["ExecMainStatus"], "130")
    record.note(f"the stop took {end - begin:.2f} s; for {starved:.2f} s of them the host gave the guest no processor")
    record.at_most(
        "A stop takes as long as docs/reference/service.md says", end - begin - starved, PROMISED_STOP, "s of its own"
    )
    left = guest.run("ls -A /var/lib/quietcam/spool | grep -vE '^[0-9]{10}_|^\\.budget'").out.split()
    record.equal("Nothing half-written is left in the spool", left, [])


def _no_camera(guest: Guest, record: Recorder) -> None:
    guest.run(f"rm {MODULES}", check=True)
    record.that("The guest shuts down in order again", guest.stop())
    guest.boot(SMALL)
    waits = guest.wait_until("systemctl is-active -q quietcam", limit=120, every=2)
    record.that("Without a camera at boot it becomes active and waits", waits, state(guest)["StatusText"])
    guest.run("sleep 45", limit=60)
    now = state(guest)
    record.equal(
        "It waits longer than its watchdog without a restart", (now["ActiveState"], now["NRestarts"]), ("active", "0")
    )
    record.that("`systemctl status` says what is missing", "/dev/video0" in now["StatusText"], now["StatusText"])
    guest.run("modprobe vivid", check=True)
    there = guest.wait_until("systemctl show quietcam -p StatusText | grep -q frames/s", limit=30)
    now = state(guest)
    record.that("It takes the camera that comes later", there, now["StatusText"])
    record.equal("Still without a restart", now["NRestarts"], "0")


SCENARIO = Scenario(
    "The unit: starts at boot with one processor and 256 MB, waits for a camera, survives a hang, stops in time",
    run,
    limit=900,
)

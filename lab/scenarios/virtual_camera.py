"""The virtual camera on the kernel's v4l2loopback: how it is loaded, what others see, what is wrong with a device.

Run piece by piece so far, never from its beginning to its end in one go: the guest is slow under emulation.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lab.guest import PYTHON, Guest
from lab.image import Contents
from lab.link import Done
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "judge_readers", "remedy_of"]

CAMERA, DEVICE = "/dev/video0", "/dev/video10"
SIZE = "320x180"
CLOSE = 3  # of 255: what rounding to 8 bits of YCbCr and back may differ by
LEAST_COLORS = 8  # the bars of vivid
LEAST_SHARE = 0.25  # of the pixels that can be compared: the tiny network ruffles the others
QUIETCAM = f"{PYTHON} -P -m quietcam"
RUN = f"{QUIETCAM} run --model /opt/lab/tiny.tflite --allow-still"


def run(guest: Guest, record: Recorder) -> None:
    """From a machine without the module to programs that watch the denoised camera."""
    guest.run("modprobe vivid n_devs=1 node_types=0x1", check=True)
    record.that("vivid has a device", guest.wait_until(f"test -c {CAMERA} && udevadm settle"))
    guest.run(f"v4l2-ctl -d {CAMERA} -i 0 -c osd_text_mode=2", check=True)
    _load(guest, record)
    _readers(guest, record)
    _wrong(guest, record)
    _other_size(guest, record)


def remedy_of(report: Mapping[str, Any]) -> str:
    """What the doctor says to do for a virtual camera; empty if there is nothing to do."""
    (finding,) = (each for each in report["findings"] if each["subject"] == "virtual camera")
    return str(finding.get("remedy") or "")


def judge_readers(found: Mapping[str, Any], record: Recorder) -> None:
    """All readers see the denoised colors."""
    if not record.that("Frames reach the virtual camera", bool(found["frames"]), found["sink"].get("error") or ""):
        return
    record.equal("Others see its size", found["size"], found["picture"])
    record.equal("Others see its format of pixels", found["pixels"], "YUYV")
    record.that("The picture has colors to compare", found["colors"] >= LEAST_COLORS, found["colors"])
    for reader, each in found["by"].items():
        right = each["size"] == found["picture"] and 0 <= each["worst"] <= CLOSE and each["share"] >= LEAST_SHARE
        record.that(f"{reader} sees the denoised colors within {CLOSE} of 255", right, json.dumps(each))
    record.that("The sink says no error", found["sink"]["error"] is None, found["sink"]["error"] or "")


def _load(guest: Guest, record: Recorder) -> None:
    """Without the module one line says what to do; the doctor's own command loads it."""
    done = guest.run(f"{RUN} --source {CAMERA}:size={SIZE} --sink {DEVICE}", limit=90)
    _one_line("Without the module", done, 2, "which does not exist", record)
    record.that("It says how to load the module", "modprobe v4l2loopback video_nr=10" in done.err, done.err.strip())
    command = remedy_of(_doctor(guest))
    record.that("The doctor says how to load it", command.startswith("sudo modprobe v4l2loopback"), command)
    words = shlex.split(command)[1:]  # the guest has no sudo, and the agent is root
    guest.run(words, check=True)
    record.that("Its command makes the device", guest.wait_until(f"test -c {DEVICE} && udevadm settle"))
    record.equal("Then the doctor has nothing to say", remedy_of(_doctor(guest)), "")
    version = guest.run("cat /sys/module/v4l2loopback/version").out.strip()
    record.note(f"v4l2loopback {version}, {guest.run('uname -r').out.strip()}")


def _readers(guest: Guest, record: Recorder) -> None:
    (found,) = guest.measure("virtual_camera", "show", CAMERA, DEVICE, SIZE, limit=120)
    judge_readers(found, record)
    record.note(f"readers are told {found.get('rate', 0):g} frames a second")


def _wrong(guest: Guest, record: Recorder) -> None:
    """One line each, and no traceback."""
    done = guest.run(f"{RUN} --source synthetic --sink {CAMERA}", limit=90)
    _one_line("A camera as virtual camera", done, 2, "a device of the driver vivid", record)
    done = guest.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {RUN} --source synthetic --sink {DEVICE}")
    _one_line("A user without rights", done, 1, "usermod -aG video", record)
    guest.run(f"sh -c '{RUN} --source {CAMERA}:size={SIZE} --sink {DEVICE} >/tmp/first.log 2>&1 & echo $! >/tmp/first'")
    reads = f"timeout 60 v4l2-ctl -d {DEVICE} --stream-mmap --stream-count=1 --stream-to=/dev/null"
    record.that("A run from the command line shows frames", guest.wait_until(reads, limit=60))
    done = guest.run(f"{RUN} --source synthetic --sink {DEVICE}", limit=90)
    _one_line("A second program that writes", done, 1, "another one writes to", record)
    guest.run("kill -9 $(cat /tmp/first)", check=True)


def _other_size(guest: Guest, record: Recorder) -> None:
    """After kill -9 a new run with an odd size; a reader that stayed keeps its own size."""
    command = f"{RUN} --source synthetic:size=321x181 --sink {DEVICE} --frames 8"
    done = guest.run(command, limit=120)
    record.equal("After kill -9 the next run shows its frames", done.code, 0)
    size = guest.run(f"v4l2-ctl -d {DEVICE} --get-fmt-video-out").out
    record.that("An odd size gets one more row and column", "322/182" in "".join(size.split()), size.strip())


def _doctor(guest: Guest) -> Any:
    return json.loads(guest.run(f"{QUIETCAM} doctor --json -", limit=90).out)


def _one_line(name: str, done: Done, code: int, says: str, record: Recorder) -> None:
    lines = [each for each in done.err.splitlines() if "Received:" in each]
    right = (done.code, done.late, len(lines), "Traceback" in done.err) == (code, False, 1, False)
    record.that(f"{name}: one line, exit code {code}", right and says in lines[0], done.err.strip()[-400:])


SCENARIO = Scenario(
    "A virtual camera: the doctor says how to load v4l2loopback, and other programs see the denoised colors",
    run,
    limit=900,
    contents=Contents("loopback", packages=("linux-headers-amd64", "dkms", "v4l2loopback-dkms")),
)

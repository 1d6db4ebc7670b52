"""A Video4Linux camera in every format and size that the kernel's virtual camera offers, and interlaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.guest import PYTHON, Guest
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "judge_offer"]

DEVICE = "/dev/video0"
CLOSE = 3  # of 255: what rounding in two conversions may differ by
MUST = ("YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "RGB3", "BGR3", "GREY")
"""Formats that OpenCV converts: a camera with one of them must work."""
GRAY = ("GREY", "Y10 ", "Y12 ", "Y16 ")
UNKNOWN = "RGBP"
"""A format of vivid that OpenCV does not convert."""
NOT_THERE = "MJPG"
"""A format that vivid does not have."""
WEBCAM, TELEVISION = 0, 1
STANDARDS = {"ntsc": "720x480", "pal": "720x576"}
FIRST_SIZE, WIDEST = "640x360", "3840x2160"


def run(guest: Guest, record: Recorder) -> None:
    """Ask quietcam for each, and look at the pixels."""
    guest.run("modprobe vivid n_devs=1 node_types=0x1", check=True)
    record.that("vivid has a device", guest.wait_until(f"test -c {DEVICE} && udevadm settle"))
    guest.run(f"v4l2-ctl -d {DEVICE} -i {WEBCAM} -c osd_text_mode=2", check=True)
    (offer,) = guest.measure("v4l2", "offers", DEVICE)
    formats, sizes = offer["formats"], offer["sizes"]
    record.note(f"vivid offers {len(formats)} formats in {len(sizes)} sizes: {', '.join(sizes)}")
    found = guest.measure("v4l2", "take", DEVICE, *(f"{each}={FIRST_SIZE}" for each in formats), limit=300)
    judge_offer(found, formats, record)
    taken = [each["case"].partition("=")[0] for each in found if "size" in each]
    wide = taken if guest.patience == 1 else taken[:1]
    if wide != taken:
        record.note(f"under emulation {WIDEST} is tried with {wide[0]} alone, since that is slow")
    others = [size for size in sizes if size not in (FIRST_SIZE, WIDEST)]
    cases = [f"{each}={size}" for each in taken for size in others] + [f"{each}={WIDEST}" for each in wide]
    judge_sizes(guest.measure("v4l2", "take", DEVICE, *cases, limit=900), record)
    _not_given(guest, record)
    _refused(guest, record)
    _interlaced(guest, record)


def judge_offer(found: Sequence[Mapping[str, Any]], formats: Sequence[str], record: Recorder) -> None:
    """Every format is either right or refused with a remedy, and those of `MUST` are not refused."""
    record.equal("Every format that the camera offers is either taken or refused", len(found), len(formats))
    for each in found:
        name = each["case"].partition("=")[0]
        if "error" in each:
            record.that(
                f"{name} is refused with a remedy, since OpenCV cannot convert it",
                name not in MUST and "pixel format that OpenCV can convert" in each["error"],
                each["error"],
            )
        elif not any("instead of" in line for line in each["logged"]):
            _judge_pixels(f"{name}", each, record)
        else:
            record.that(f"{name} is given, since the camera has it", False, "; ".join(each["logged"]))
    taken = [each["case"].partition("=")[0] for each in found if "size" in each]
    record.note(f"taken: {', '.join(taken)}; refused: {len(found) - len(taken)}")


def judge_sizes(found: Sequence[Mapping[str, Any]], record: Recorder) -> None:
    """Every size comes as asked, with the right colors."""
    for each in found:
        if "error" in each:
            record.that(f"{each['case']} comes", False, each["error"])
        else:
            size = each["case"].partition("=")[2]
            record.that(f"{each['case']} has the size that was asked for", each["size"] == size, each["size"])
            _judge_pixels(each["case"], each, record)


def _judge_pixels(name: str, each: Mapping[str, Any], record: Recorder) -> None:
    worst = each["worst"]
    kind = "grays are within {} of the camera's own" if each["gray"] else "colors are within {} of the camera's own RGB"
    record.that(
        f"{name}: its {kind.format(CLOSE)}",
        0 <= worst <= CLOSE and not (each["gray"] and name[:4] not in GRAY),
        f"{worst} of 255" if worst <= CLOSE else f"{worst} of 255; bars {each['bars']}, not {each['wanted']}",
    )


def _not_given(guest: Guest, record: Recorder) -> None:
    """What the camera does not give as asked is said; what it was left in by another program does no harm."""
    left = f"--set-fmt-video=width=640,height=360,pixelformat={UNKNOWN}"
    cases = (f"{NOT_THERE}={FIRST_SIZE}", "YUYV=333x111", left, "=")
    name, size, own = guest.measure("v4l2", "take", DEVICE, *cases)
    said = "; ".join(name["logged"])
    record.that("A format that the camera does not give is said", f"instead of {NOT_THERE}" in said, said or name)
    said = "; ".join(size["logged"])
    record.that("A size that the camera does not give is said", "instead of 333x111" in said, said or size)
    if record.that(
        f"A camera left in {UNKNOWN} by another program gives pictures", "size" in own, own.get("error", "")
    ):
        record.equal("It keeps the size that it was left in", own["size"], FIRST_SIZE)
        _judge_pixels(f"Left in {UNKNOWN}", own, record)


def _refused(guest: Guest, record: Recorder) -> None:
    """The command ends by itself, and says once why."""
    command = f"{PYTHON} -P -m quietcam run --source {DEVICE}:format={UNKNOWN} --model /opt/lab/tiny.tflite --sink null"
    done = guest.run(command, limit=60)
    record.that("`run` ends when the format cannot be converted, and does not try for ever", not done.late)
    record.equal("Its exit code is 1", done.code, 1)
    record.equal("It says once that OpenCV must convert the format", done.err.count("pixel format that OpenCV"), 1)
    record.that("It prints no traceback", "Traceback" not in done.err, done.err.strip()[-200:])


def _interlaced(guest: Guest, record: Recorder) -> None:
    """A television input in each standard, left by another program in each order of fields."""
    kinds = [(standard, field) for standard in STANDARDS for field in ("interlaced", "alternate", "seq_tb")]
    words = []
    for standard, field in kinds:
        words += [f"--set-input={TELEVISION}", f"--set-standard={standard}", "--set-ctrl=osd_text_mode=2"]
        words += [f"--set-fmt-video=pixelformat=YUYV,field={field}", "="]
    for (standard, field), found in zip(kinds, guest.measure("v4l2", "take", DEVICE, *words, limit=300), strict=True):
        name = f"Interlaced {standard.upper()}, left in {field}"
        if record.that(f"{name}: pictures come", "size" in found, found.get("error", found.get("size", ""))):
            record.equal(f"{name}: a picture has all lines", found["size"], STANDARDS[standard])
            _judge_pixels(name, found, record)


SCENARIO = Scenario(
    "V4L2: every format and size of vivid, interlaced too, has the driver's own colors or is refused with a remedy",
    run,
    limit=900,
)

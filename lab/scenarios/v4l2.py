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
REFUSAL = "pixel format that OpenCV can convert"
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
    _not_given(guest, record)
    _refused(guest, record)
    _interlaced(guest, record)
    guest.run(f"v4l2-ctl -d {DEVICE} -i {WEBCAM} -c osd_text_mode=2", check=True)
    taken = [_format(each) for each in found if "size" in each]
    wide = taken if guest.patience == 1 else taken[:1]
    if wide != taken:
        record.note(f"under emulation {WIDEST} is tried with {wide[0]} alone, since that is slow")
    others = [size for size in sizes if size not in (FIRST_SIZE, WIDEST)]
    cases = [f"{each}={size}" for each in taken for size in others] + [f"{each}={WIDEST}" for each in wide]
    judge_sizes(guest.measure("v4l2", "take", DEVICE, *cases, limit=900), record)


def judge_offer(found: Sequence[Mapping[str, Any]], formats: Sequence[str], record: Recorder) -> None:
    """Every format is either right or refused with a remedy, and those of `MUST` are not refused."""
    record.equal("Every format that the camera offers is either taken or refused", len(found), len(formats))
    refused = {_format(each): each["error"] for each in found if "error" in each}
    wrong = [f"{name}: {text}" for name, text in refused.items() if name in MUST or REFUSAL not in text]
    record.that("What OpenCV cannot convert is refused with a remedy", not wrong, wrong or f"{len(refused)} formats")
    for each in found:
        if "error" not in each:
            said = "; ".join(line for line in each["logged"] if "instead of" in line)
            _judge(_format(each).strip(), [each], record, [said] if said else [])
    record.note(f"taken: {', '.join(_format(each).strip() for each in found if 'size' in each)}")


def judge_sizes(found: Sequence[Mapping[str, Any]], record: Recorder) -> None:
    """Every size comes as asked, with the right colors."""
    for name in dict.fromkeys(map(_format, found)):
        own = [each for each in found if _format(each) == name]
        sizes = [(each["case"].partition("=")[2], each.get("size", each.get("error"))) for each in own]
        wrong = [f"{got} instead of {asked}" for asked, got in sizes if got != asked]
        _judge(f"{name.strip()} in {', '.join(asked for asked, _ in sizes)}", own, record, wrong)


def _judge(name: str, pictures: Sequence[Mapping[str, Any]], record: Recorder, wrong: Sequence[str] = ()) -> None:
    """One claim: nothing else is wrong, and all pictures have the camera's own colors."""
    apart = [each["worst"] for each in pictures if "worst" in each]
    gray = any(each.get("gray") for each in pictures)
    found = [*wrong, f"{max(apart, default=-1)} of 255"]
    off = [each for each in pictures if not 0 <= each.get("worst", -1) <= CLOSE]
    found += [f"{each['case']}: bars {each.get('bars')}, not {each.get('wanted')}" for each in off]
    kind = "grays are within {} of the camera's own" if gray else "colors are within {} of the camera's own RGB"
    known = not gray or _format(pictures[0]) in GRAY
    record.that(f"{name}: its {kind.format(CLOSE)}", known and len(found) == 1, "; ".join(found))


def _format(each: Mapping[str, Any]) -> str:
    return str(each["case"]).partition("=")[0]


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
        _judge(f"Left in {UNKNOWN}", [own], record)


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
            _judge(name, [found], record)


SCENARIO = Scenario(
    "V4L2: every format and size of vivid, interlaced too, has the driver's own colors or is refused with a remedy",
    run,
    limit=900,
)

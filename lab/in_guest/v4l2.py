"""Takes pictures of vivid, the kernel's virtual camera, through quietcam, and compares them with its own RGB.

``v4l2.py offers DEVICE``: its formats and sizes. ``v4l2.py take DEVICE CASE ...``: one picture each; a case is
``FORMAT=WIDTHxHEIGHT``, where either side may be empty: the device's own. A word such as ``--set-input=1`` between
cases goes to v4l2-ctl: another program sets the device before it is opened.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BARS = 8
TOP = 2  # lines: under PAL vivid sends the wide screen signal in the first one, and it changes
EDGE = 6  # pixels beside the edge of a bar, where formats with few colors mix two bars
RAW = Path("/tmp/v4l2.raw")
PICTURES = 2  # the last one is compared


def say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


def control(device: str, *words: str) -> str:
    done = subprocess.run(["v4l2-ctl", "-d", device, *words], capture_output=True, text=True, check=False)
    return done.stdout


def offers(device: str) -> None:
    """Formats by name, and the sizes of the first one: vivid has the same for all."""
    listed = re.findall(r"'(.{4})(-BE)?'", control(device, "--list-formats"))
    formats = [name for name, big_endian in listed if not big_endian]
    sizes = re.findall(r"Discrete (\d+x\d+)", control(device, f"--list-framesizes={formats[0]}"))
    say(formats=formats, sizes=sizes, big_endian=sum(1 for _, big_endian in listed if big_endian))


def current(device: str) -> tuple[int, int]:
    """``(width, height)`` that the device is set to."""
    width, height = re.findall(r"Width/Height\s*:\s*(\d+)/(\d+)", control(device, "--get-fmt-video"))[0]
    return int(width), int(height)


def reference(device: str, width: int, height: int, gray: bool = False) -> Any:
    """What the driver itself draws as RGB or gray, uint8 ``(height, width, 3)``; no OpenCV takes part."""
    import numpy as np

    RAW.unlink(missing_ok=True)
    name, channels = ("GREY", 1) if gray else ("RGB3", 3)
    control(device, f"--set-fmt-video=width={width},height={height},pixelformat={name}")
    got = current(device)
    control(device, "--stream-mmap", "--stream-count=1", f"--stream-to={RAW}")
    pixels = np.fromfile(RAW, np.uint8)[: got[0] * got[1] * channels].reshape(got[1], got[0], channels)
    return pixels.repeat(3 // channels, -1)


def differs(picture: Any, wanted: Any) -> tuple[int, list[list[int]]]:
    """The largest difference away from the edges of the bars, and the colors of the bars; -1 if the sizes differ."""
    import numpy as np

    height, width = picture.shape[:2]
    middle = picture[height * 3 // 4]
    bars = [middle[int((each + 0.5) * width / BARS)].tolist() for each in range(BARS)]
    if picture.shape != wanted.shape:
        return -1, bars
    columns = np.arange(width)
    inside = np.ones(width, bool)
    for each in range(1, BARS):
        inside &= np.abs(columns - each * width / BARS) > EDGE
    apart = np.abs(picture[TOP:, inside].astype(int) - wanted[TOP:, inside].astype(int))
    return int(apart.max()), bars


def take(device: str, cases: list[str]) -> None:
    """One line a case: the size that came and how far its colors are off, or the error; what was logged; openings."""
    heard = Heard()
    logging.getLogger("quietcam").addHandler(heard)
    known: dict[tuple[int, int, bool], Any] = {}
    for case in cases:
        if case.startswith("-"):
            control(device, case)
            known.clear()
            continue
        name, _, size = case.partition("=")
        heard.lines.clear()
        say(case=case, **_taken(device, name, size, known), logged=list(heard.lines))


def _taken(device: str, name: str, size: str, known: dict[tuple[int, int, bool], Any]) -> dict[str, Any]:
    from edge.cameras import open_camera
    from quietcam.errors import QuietcamError

    asked = [f"format={name}"] * bool(name) + [f"size={size}"] * bool(size)
    begun = time.monotonic()
    try:
        with open_camera(f"{device}:{','.join(asked)}" if asked else device, allow_still=True) as camera:
            picture = None
            for number, frame in enumerate(camera, 1):
                picture = frame.image.copy()
                frame.done()
                if number == PICTURES:
                    break
            reopened = camera.state.reopened
    except QuietcamError as error:
        return {"error": str(error), "kind": type(error).__name__, "seconds": time.monotonic() - begun}
    seconds = time.monotonic() - begun
    assert picture is not None
    height, width = picture.shape[:2]
    gray = bool((picture[..., :1] == picture).all())
    if (width, height, gray) not in known:
        known[width, height, gray] = reference(device, width, height, gray)
    wanted = known[width, height, gray]
    worst, bars = differs(picture, wanted)
    return {
        "size": f"{width}x{height}",
        "worst": worst,
        "bars": bars,
        "wanted": differs(wanted, wanted)[1],
        "gray": gray,
        "reopened": reopened,
        "seconds": round(seconds, 2),
    }


class Heard(logging.Handler):
    """Keeps the lines that quietcam logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


if __name__ == "__main__":
    verb, device, *words = sys.argv[1:]
    offers(device) if verb == "offers" else take(device, words)

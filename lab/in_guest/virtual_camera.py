"""Denoises a real camera into a device of v4l2loopback, reads it with other programs, and compares the colors.

``virtual_camera.py show SOURCE DEVICE [SIZE]``: a run in this process. One line tells what readers saw: v4l2-ctl, whose
YUYV is converted here by the formula, and OpenCV in a process of its own. ``virtual_camera.py read DEVICE FILE``: that
process.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

MODEL = "/opt/lab/tiny.tflite"
STEEP = 24  # of 255, between two pixels that share their color: beyond that, one of them may leave the range
RAW, READ = Path("/tmp/virtual.raw"), Path("/tmp/virtual.npy")
FRAMES = 4  # before a reader comes
LONG = 300.0


def show(source: str, device: str, size: str) -> None:
    """Run, and read meanwhile."""
    import numpy as np

    from quietcam import RunOptions, open_session

    newest: list[Any] = []
    several = threading.Event()

    def keep(_: Any, denoised: Any) -> None:
        newest[:] = [denoised.copy()]
        if session.sinks[0].frames >= FRAMES:
            several.set()

    given = f"{source}:size={size}" if size else source
    options = RunOptions(source=given, sink=device, model=MODEL, gate=False, allow_still=True, ladder=False)
    with open_session(options, keep) as session:
        run = threading.Thread(target=session.run)
        run.start()
        try:
            came = several.wait(LONG)
            found: dict[str, Any] = {"frames": came, "by": {}}
            if came:
                found |= described(device)
                picture = newest[0]
                found["picture"] = f"{picture.shape[1]}x{picture.shape[0]}"
                found["by"]["v4l2-ctl"] = compared(by_v4l2(device), picture)
                subprocess.run([sys.executable, __file__, "read", device, str(READ)], check=True, timeout=LONG)
                found["by"]["OpenCV"] = compared(np.load(READ), picture)
                found["colors"] = len(np.unique(picture.reshape(-1, 3), axis=0))
        finally:
            session.stop()
            run.join()
        found["sink"] = session.report()["sinks"][0]
    print(json.dumps(found), flush=True)


def described(device: str) -> dict[str, Any]:
    """What v4l2-ctl says of the device: size, pixels, rate."""
    said = subprocess.run(["v4l2-ctl", "-d", device, "--all"], capture_output=True, text=True, check=False).stdout
    size = re.search(r"Width/Height\s*:\s*(\d+)/(\d+)", said)
    pixels = re.search(r"Pixel Format\s*:\s*'(\w+)'", said)
    rate = re.search(r"Frames per second\s*:\s*([0-9.]+)", said)
    return {
        "size": f"{size[1]}x{size[2]}" if size else "",
        "pixels": pixels[1] if pixels else "",
        "rate": float(rate[1]) if rate else 0.0,
    }


def by_v4l2(device: str) -> Any:
    """A picture, uint8 ``(H, W, 3)``: YUYV as v4l2-ctl reads it, converted by the formula of BT.601."""
    import numpy as np

    RAW.unlink(missing_ok=True)
    words = ["v4l2-ctl", "-d", device, "--stream-mmap", "--stream-count=2", f"--stream-to={RAW}"]
    subprocess.run(words, capture_output=True, check=False, timeout=LONG)
    width, height = (int(each) for each in described(device)["size"].split("x"))
    whole = 2 * width * height
    pixels = np.frombuffer(RAW.read_bytes()[-whole:], np.uint8).reshape(height, width, 2).astype(float)
    y = (pixels[..., 0] - 16) / 219
    cb, cr = (((pixels[:, first::2, 1] - 128) / 224).repeat(2, axis=1) for first in (0, 1))
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def read(device: str, file: str) -> None:
    """A picture as OpenCV converts it, as another program would."""
    import cv2
    import numpy as np

    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    until = time.monotonic() + LONG
    there, bgr = False, None
    while not there and time.monotonic() < until:
        there, bgr = capture.read()
    np.save(file, np.ascontiguousarray(bgr[..., ::-1]) if there and bgr is not None else np.zeros((0, 0, 3), np.uint8))


def compared(seen: Any, wanted: Any) -> dict[str, Any]:
    """Size, and the largest difference of the means of two pixels, which share their color, where these are alike; the
    device may have a row and a column more.
    """
    import numpy as np

    height, width = wanted.shape[0], wanted.shape[1] // 2 * 2
    size = f"{seen.shape[1]}x{seen.shape[0]}"
    if seen.shape[0] - height not in (0, 1) or seen.shape[1] - wanted.shape[1] not in (0, 1):
        return {"size": size, "worst": -1}
    pairs, shown = (each[:height, :width].astype(float).reshape(height, -1, 2, 3) for each in (wanted, seen))
    alike = np.abs(pairs[:, :, 0] - pairs[:, :, 1]).max(-1) <= STEEP
    apart = np.abs(shown.mean(2) - pairs.mean(2))[alike]
    return {"size": size, "worst": float(apart.max()) if apart.size else -1, "share": round(float(alike.mean()), 3)}


if __name__ == "__main__":
    verb, first, second, *more = sys.argv[1:]
    read(first, second) if verb == "read" else show(first, second, more[0] if more else "")

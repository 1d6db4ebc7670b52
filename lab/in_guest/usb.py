"""Pulls a USB camera out of a run of quietcam and plugs it in again, and lets it fail in other ways.

``usb.py look`` plugs in each kind of camera, measures how long a bare program needs from a device that is ready to its
first picture, and takes one in each format through quietcam's camera. ``usb.py pull TIMES PATIENCE`` pulls it out of a
run TIMES times, and ``usb.py faults PATIENCE`` lets it fail. Each prints a line of JSON for what it measured; all times
are by the guest's clock, and a span is a list of its begin and its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WEBCAM = "/opt/lab/webcam.py"
MODEL = "/opt/lab/tiny.tflite"
SOURCE = Path("/dev/v4l/by-id/usb-Lab_Lab_webcam_1-video-index0")
PAGE = "http://127.0.0.1:8080"
KINDS = (
    "MJPG=320x240,640x480 uvc=1.1",
    "YUYV=320x240",
    "MJPG=640x480 uvc=1.0",
    "YUYV=160x120,320x240 MJPG=320x240 uvc=1.1",
    "MJPG=160x120",
)
"""What is plugged in, in turn. The first has the size that resources are compared at."""
AWAY = (1.0, 4.0, 0.0, 9.0)  # seconds without a camera, in turn
HOLD = 3  # each third time another program holds the old device open, so that the next one gets another number
LIVE = 4.0  # seconds with a camera before it is pulled out
WATCHED = 10.0  # seconds for which a fault lasts
STEP = 0.025  # seconds between two looks


def say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


class Camera:
    """The webcam in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", WEBCAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, command: str) -> dict[str, Any]:
        """Give a command; returns what it answers when it has done it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer = dict(json.loads(self._process.stdout.readline() or '{"error": "the webcam ended"}'))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self.tell("quit")
        self._process.kill()
        self._process.wait()


class Run:
    """``quietcam run`` as a user of the group video, and what it logs with the time of each line."""

    def __init__(self) -> None:
        words = ["run", "--source", str(SOURCE), "--model", MODEL, "--sink", "web", "--wait"]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "quietcam", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            user="nobody",
            group="nogroup",
            extra_groups=["video"],
            env={**os.environ, "HOME": "/tmp"},
            cwd="/tmp",
        )
        self.lines: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            print(f"{time.monotonic():.2f} {line.rstrip()}", file=sys.stderr, flush=True)
            with self._changed:
                self.lines.append((time.monotonic(), line.rstrip()))
                self._changed.notify_all()

    def heard(self, pattern: str, since: float, limit: float) -> tuple[float, re.Match[str]] | None:
        """When a line was logged, and how it matches; None if it is not within ``limit`` seconds."""

        def found() -> tuple[float, re.Match[str]] | None:
            matches = ((at, re.search(pattern, line)) for at, line in self.lines if at >= since)
            return next(((at, match) for at, match in matches if match), None)

        with self._changed:
            return self._changed.wait_for(found, limit)

    def frames(self) -> int:
        """How many frames came through; -1 if the page does not say."""
        return int(self.status().get("frames", -1))

    def status(self) -> dict[str, Any]:
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(f"{PAGE}/status.json", timeout=20) as page,
        ):
            return dict(json.loads(page.read()))
        return {}

    def resources(self) -> dict[str, Any]:
        """Descriptors, those of video devices, threads and KiB of memory."""
        folder = Path(f"/proc/{self.process.pid}")
        open_files = []
        for each in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                open_files.append(str(each.readlink()))
        resident = re.search(r"VmRSS:\s+(\d+)", (folder / "status").read_text())
        return {
            "descriptors": len(open_files),
            "devices": sum("/dev/video" in each for each in open_files),
            "threads": len(list((folder / "task").iterdir())),
            "memory": int(resident[1]) if resident else 0,
        }

    def close(self, patience: float) -> None:
        """Stop it and say how it ended."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(10 * patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        traceback = any("Traceback" in line for _, line in self.lines)
        say(what="end", code=code, seconds=time.monotonic() - begun, traceback=traceback)


def ready(limit: float) -> float:
    """Wait until the device has its name and its group may open it; returns when that was."""
    import grp

    video = grp.getgrnam("video").gr_gid
    until = time.monotonic() + limit
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            node = SOURCE.stat()
            if node.st_gid == video and stat.S_IMODE(node.st_mode) & 0o060 == 0o060:
                return time.monotonic()
        time.sleep(STEP)
    raise TimeoutError(f"{SOURCE} does not appear within {limit:.0f} s")


def look() -> None:
    """For each kind of camera the time that the guest itself needs, and the colors that quietcam's camera gives."""
    import cv2
    import numpy as np

    from edge.cameras import open_camera

    sys.path.insert(0, str(Path(WEBCAM).parent))
    from webcam import BARS  # type: ignore[import-not-found]  # it lies beside this file in the guest

    with Camera() as camera:
        for words in KINDS:
            camera.tell(f"plug {words}")
            begun = ready(600)
            native = cv2.VideoCapture(str(SOURCE), cv2.CAP_V4L2)
            there, _ = native.read()
            say(what="bare", opened=[begun, time.monotonic()], there=there)
            native.release()
            for kind, size in offers(words):
                with open_camera(f"{SOURCE}:format={kind},size={size}") as source:
                    image = next(frame.image.copy() for frame in source)
                height, width = image.shape[:2]
                middles = [image[:, int((n + 0.5) * width / 7)].mean(0) for n in range(7)]
                worst = float(np.abs(np.array(middles) - np.array(BARS)).max())
                say(what="colors", asked=f"{kind} {size}", size=f"{width}x{height}", worst=round(worst, 1))
            camera.tell("unplug")


def offers(words: str) -> list[tuple[str, str]]:
    """Each format and size of a kind."""
    cases = re.findall(r"(MJPG|YUYV)=(\S+)", words)
    return [(kind, size) for kind, sizes in cases for size in sizes.split(",")]


@contextlib.contextmanager
def running(words: str, patience: float) -> Iterator[tuple[Camera, Run]]:
    """A camera and a run that shows its frames."""
    with Camera() as camera:
        camera.tell(f"plug {words}")
        ready(60 * patience)
        begun = time.monotonic()
        run = Run()
        try:
            flows(run, 3, 120 * patience)
            say(what="start", seconds=time.monotonic() - begun)
            yield camera, run
        finally:
            run.close(patience)


def flows(run: Run, frames: int, limit: float) -> bool:
    """Whether so many more frames come through within ``limit`` seconds."""
    before = max(0, run.frames())
    until = time.monotonic() + limit
    while time.monotonic() < until and run.process.poll() is None:
        if run.frames() >= before + frames:
            return True
        time.sleep(10 * STEP)
    return False


def pull(times: int, patience: float) -> None:
    """Out and in again, as something else."""
    with running(KINDS[0], patience) as (camera, run):
        held = -1
        for number in range(1, times + 1):
            time.sleep(LIVE)
            before = run.resources()
            if number % HOLD == 0 and held < 0:
                held = os.open(SOURCE, os.O_RDWR)
            out = time.monotonic()
            camera.tell("unplug")
            lost = run.heard(r"is lost: (.*?);", out, 20 * patience)
            time.sleep(AWAY[number % len(AWAY)])
            words = KINDS[number % len(KINDS)]
            camera.tell(f"plug {words}")
            there = ready(60 * patience)
            node = os.path.realpath(SOURCE)
            back = run.heard(r"is back after \d+ s, (\d+x\d+)", out, 60 * patience)
            flow = flows(run, 2, 60 * patience)
            if number % HOLD and held >= 0:
                os.close(held)
                held = -1
            say(
                what="pull",
                number=number,
                words=words,
                node=node,
                lost=[out, lost[0]] if lost else None,
                reason=lost[1][1] if lost else "",
                back=[there, back[0]] if back else None,
                size=back[1][1] if back else "",
                flows=flow,
                **before,
            )
        time.sleep(LIVE)
        say(what="after", **run.resources())


def faults(patience: float) -> None:
    """A camera that stays plugged in and sends nothing, or nothing of use, for a while; then all is well again."""
    with running(KINDS[0], patience) as (camera, run):
        for mode in ("mute", "still", "broken", "garbage", "black"):
            time.sleep(LIVE)
            frames, begun = run.frames(), time.monotonic()
            camera.tell(mode)
            lost = run.heard(r"is lost: (.*?)(;| \()", begun, WATCHED)
            time.sleep(max(0.0, begun + WATCHED - time.monotonic()))
            status = run.status()
            healed = time.monotonic()
            camera.tell("live")
            back = run.heard(r"is back after", healed, 60 * patience) if lost else None
            flow = flows(run, 2, 60 * patience)
            say(
                what="fault",
                mode=mode,
                lost=[begun, lost[0]] if lost else None,
                reason=lost[1][1] if lost else "",
                state=(status.get("camera") or {}).get("state"),
                frames=status.get("frames", 0) - frames,
                back=[healed, back[0]] if back else None,
                flows=flow,
                **run.resources(),
            )


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "look":
        look()
    elif verb == "pull":
        pull(int(words[0]), float(words[1]))
    else:
        faults(float(words[0]))

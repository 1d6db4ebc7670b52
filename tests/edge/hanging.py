"""A run in which a part hangs forever: the library of an Edge TPU, a disk, the camera, the configuration, or all.

Everything is real but the hang: a process with its page, sinks, a delegate library that is compiled here, a disk
that a preloaded library makes hang, a camera at the network, a pipe in the place of the configuration. What is found
is said in numbers; who judges them knows the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from tests.edge.cameras.mjpeg_server import MjpegCamera, mjpeg_camera
from tests.waiting import WAIT, until

__all__ = ["CASES", "Found", "compiled", "live"]

CASES: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "library": ("library",),
    "disk": ("disk",),
    "disk at the start": ("disk", "start"),
    "camera": ("camera",),
    "configuration": ("configuration",),
    "all at once": ("library", "disk", "camera", "configuration"),
}
HERE = Path(__file__).parent


@dataclass
class Found:
    """The results of one run.

    Attributes:
        page: the longest time in which the page answered, seconds.
        frames: number of frames that came through after the hang.
        stop: seconds from SIGTERM to the end of the process.
        code: its exit code.
        faults: the faults that were found.
        said: all of its output.
    """

    page: float = 0.0
    frames: int = 0
    stop: float = 0.0
    code: int | None = None
    said: str = ""
    faults: list[str] = field(default_factory=list)


def compiled(folder: Path) -> tuple[Path, Path]:
    """The delegate library, and the one to preload.

    Raises:
        FileNotFoundError: there is no C compiler.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise FileNotFoundError("no C compiler (cc)")
    made = []
    for source in ("fake_edgetpu", "hanging_disk"):
        made.append(folder / f"lib{source}.so")
        words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made[-1]), str(HERE / f"{source}.c"), "-ldl"]
        subprocess.run(words, check=True, capture_output=True)
    return made[0], made[1]


def live(case: str, folder: Path, libraries: tuple[Path, Path], seconds: float, frames: int = 0) -> Found:
    """One run in which what ``case`` names hangs for so many seconds, until SIGTERM.

    Args:
        frames: that must come meanwhile, however long it takes; where the camera hangs there are none.
    """
    with mjpeg_camera() as camera:
        return _Live(case, folder, libraries, camera).found(seconds, 0 if "camera" in CASES[case] else frames)


class _Live:
    def __init__(self, case: str, folder: Path, libraries: tuple[Path, Path], camera: MjpegCamera) -> None:
        self._hangs, self._folder, self._camera = CASES[case], folder, camera
        self._mark = secrets.token_hex(8)
        self._switch, self._bus = folder / "switch", folder / "bus"
        self._config = folder / "quietcam.toml"
        good, bad = folder / "good", folder / "bad"
        for each in (self._bus, good, bad):
            each.mkdir()
        (self._bus / "usb0").write_text("")
        model = folder / "small_32x32_int8.tflite"
        shutil.copy(HERE / "models" / model.name, model)
        places = [good, bad] if "disk" in self._hangs else [good]
        self._sinks = [f"{place}/clip.avi" for place in places] + [f"{place}/pictures" for place in places]
        self._sinks += [f"spool:{place}/spool,every=0.2" for place in places]
        source = camera.url if "camera" in self._hangs else "synthetic:size=32x32,fps=20,rendered=4"
        camera.size = 32, 32
        lines = {
            "source": source,
            "sink": ["web", *self._sinks],
            "listen": "127.0.0.1:0",
            "model": str(model),
            "device": "usb:0" if "library" in self._hangs else "cpu",
            "threads": 1,
            "gate": False,
        }
        self._config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
        self._environment = {
            **os.environ,
            "QUIETCAM_EDGETPU_LIBRARY": str(libraries[0]),
            "FAKE_EDGETPU": str(self._bus),
            "LD_PRELOAD": str(libraries[1]),
            "HANGING_DISK": str(bad),
            "HANGING_SWITCH": str(self._switch),
            "HANGING_MARK": self._mark,
            "PYTHONPATH": str(HERE.parents[1]),
        }

    def found(self, seconds: float, frames: int) -> Found:
        found = Found()
        report = self._folder / "report.json"
        said = self._folder / "said"
        words = [sys.executable, "-m", "quietcam", "run", "--config", str(self._config), "--json", str(report)]
        if "start" in self._hangs:
            self._switch.touch()
        with said.open("w") as stream, self._ending(words, stream) as process:
            until(lambda: "http://127" in said.read_text() or process.poll() is not None, said.read_text)
            address = said.read_text().partition("Live picture: ")[2].split()[0]
            until(lambda: self._status(address, found).get("frames", 0) > 10, said.read_text)
            self._hang(process)
            if "start" not in self._hangs:
                found.page = 0.0
            before = self._status(address, found)
            status, end = before, time.monotonic() + seconds
            while time.monotonic() < end or (found.frames < frames and time.monotonic() < end + WAIT):
                time.sleep(0.1)
                status = self._status(address, found) or status
                found.frames = status.get("frames", 0) - before.get("frames", 0)
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            found.code = process.wait(WAIT)
            found.stop = time.monotonic() - asked
        found.said = said.read_text()
        self._look(found, status)
        return found

    def _hang(self, process: subprocess.Popen[bytes]) -> None:
        if "library" in self._hangs:
            (self._bus / "usb0").write_text("h")
        if "disk" in self._hangs:
            self._switch.touch()
        if "camera" in self._hangs:
            self._camera.silent = True
        if "configuration" in self._hangs:
            self._config.unlink()
            os.mkfifo(self._config)
            process.send_signal(signal.SIGHUP)

    def _status(self, address: str, found: Found) -> dict[str, Any]:
        """The page's answer; empty if it takes longer than ten seconds."""
        began = time.monotonic()
        status: dict[str, Any] = {}
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}status.json", timeout=10) as answer:
            status = json.load(answer)
        found.page = max(found.page, time.monotonic() - began)
        if not status:
            found.faults.append("the page did not answer")
        return status

    @contextlib.contextmanager
    def _ending(self, words: list[str], stream: Any) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(words, stderr=stream, env=self._environment, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _look(self, found: Found, status: dict[str, Any]) -> None:
        """Check that all output that does not hang is whole, and that nothing is left."""
        if found.code != 130:
            found.faults.append(f"exit code {found.code}")
        if "Traceback" in found.said or "unexpected" in found.said:
            found.faults.append("a traceback")
        good = self._folder / "good"
        took = {each["name"]: each for each in status.get("sinks", [])}
        frames = _frames(good / "clip.avi")
        if frames < max(took.get(f"{good}/clip.avi", {}).get("frames", 0), 1):
            found.faults.append(f"the clip has {frames} frames")
        for kind in ("pictures", "spool"):
            pictures = list((good / kind).glob("*[gp]"))  # png, jpg
            if not pictures or any(cv2.imread(str(each)) is None for each in pictures):
                found.faults.append(f"{kind}: {len(pictures)}, not all of them whole")
        if left := [each.name for each in good.rglob(".*") if each.name != ".lock"]:
            found.faults.append(f"left: {', '.join(left)}")
        end = time.monotonic() + 5.0
        while (alive := _marked(self._mark)) and time.monotonic() < end:
            time.sleep(0.05)
        if alive:
            found.faults.append(f"processes left: {alive}")


def _frames(clip: Path) -> int:
    capture, frames = cv2.VideoCapture(str(clip)), 0
    while capture.read()[0]:
        frames += 1
    capture.release()
    return frames


def _marked(mark: str) -> list[str]:
    """Processes that a run has started, found by their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HANGING_MARK={mark}".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80])
    return found

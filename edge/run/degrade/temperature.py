"""Temperature: the processor's temperature, and the causes that slow it, from the firmware."""

from __future__ import annotations

import contextlib
import platform
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.raspberry_pi import THROTTLED_COMMAND, THROTTLED_FILE, throttled_bits, throttled_now
from quietcam.process.stopping import process

__all__ = ["Temperature", "Thermometer", "hot_by_default"]

_PROCESSORS = ("cpu", "soc", "x86_pkg", "k10", "acpitz")  # beginnings of the names of processors' zones
_SECONDS_BETWEEN_CALLS = 10.0  # of vcgencmd, which is a separate process
_PULSE, _STALE = 1.0, 10.0  # seconds between two measurements; seconds for which one is valid
_GRACE = 0.2  # seconds that the last measurement may take at the end
_FRESH = 0.5  # seconds for which a temperature is not read again


def hot_by_default() -> float:
    """°C at which a processor of this kind is about to be throttled. A Raspberry Pi throttles at 80 to 85 °C; a desktop
    processor works at 90 °C for years.
    """
    return 80.0 if platform.machine().startswith(("arm", "aarch")) else 95.0


class Temperature:
    """Reads the kernel's thermal zones and, on a Raspberry Pi, the firmware's flags. Missing values are None.

    Args:
        root: the folder of sysfs.
        clock: seconds, monotonic.
        ask: returns the output of ``vcgencmd get_throttled``. Defaults to running it, if it is installed.
    """

    def __init__(
        self,
        root: Path = Path("/sys"),
        clock: Callable[[], float] = time.monotonic,
        ask: Callable[[], str] | None = None,
    ) -> None:
        self._clock = clock
        self._zones = _zones(root / "class" / "thermal")
        self._flags = root / THROTTLED_FILE
        self._ask = ask or (_vcgencmd if shutil.which("vcgencmd") else None)
        self._asked = float("-inf")
        self._throttled: str | None = None
        self._temperature: float | None = None
        self._read = float("-inf")

    def celsius(self) -> float | None:
        """°C of the warmest zone of the processor."""
        if self._clock() - self._read >= _FRESH:
            self._read = self._clock()
            found = [value for zone in self._zones if (value := _degrees(zone)) is not None]
            self._temperature = max(found, default=None)
        return self._temperature

    def throttled(self) -> str | None:
        """The cause that slows the processor now, in words; None if there is none, or if it is unknown."""
        text: str | None = None
        with contextlib.suppress(OSError):
            text = self._flags.read_text(encoding="ascii")
        if text is not None:
            return _words(text)
        if self._ask is not None and self._clock() - self._asked >= _SECONDS_BETWEEN_CALLS:
            self._asked = self._clock()
            self._throttled = _words(self._ask())
        return self._throttled


class Thermometer:
    """Measures once a second, in a separate thread, what ``Temperature`` reads. Callers never wait, whatever the
    kernel or the firmware does. After ``_STALE`` seconds without an answer, values are None.

    Args:
        make: makes the ``Temperature``, in that thread.
        clock: seconds, monotonic.
    """

    def __init__(
        self, make: Callable[[], Temperature] = Temperature, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make, self._clock = make, clock
        self._newest: tuple[float, float | None, str | None] = float("-inf"), None, None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quietcam-temperature", daemon=True)

    def celsius(self) -> float | None:
        """°C of the warmest zone of the processor."""
        at, degrees, _ = self._newest
        return degrees if self._clock() - at < _STALE else None

    def throttled(self) -> str | None:
        """The cause that slows the processor now, in words; None if there is none, or if it is unknown."""
        at, _, words = self._newest
        return words if self._clock() - at < _STALE else None

    def start(self) -> None:
        """Start to measure. Call it once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, or abandon it if it hangs."""
        self._stopped.set()
        process.wait([self._thread], _GRACE)

    def _run(self) -> None:
        measured = self._make()
        while not self._stopped.is_set():
            degrees, words = measured.celsius(), measured.throttled()
            self._newest = self._clock(), degrees, words
            self._stopped.wait(_PULSE)


def _zones(folder: Path) -> list[Path]:
    """The zones of the processor; all zones if none has the name of a processor."""
    zones: list[tuple[Path, str]] = []
    for zone in sorted(folder.glob("thermal_zone*")):
        with contextlib.suppress(OSError):
            zones.append((zone / "temp", (zone / "type").read_text(encoding="ascii").strip().lower()))
    processors = [path for path, kind in zones if kind.startswith(_PROCESSORS)]
    return processors or [path for path, _ in zones]


def _degrees(path: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        degrees = int(path.read_text(encoding="ascii")) / 1000
        if 0 < degrees < 150:
            return degrees
    return None


def _words(text: str) -> str | None:
    """``throttled=0x50005``, or the number alone, as words; what was in the past (bits 16 on) does not count."""
    with contextlib.suppress(ValueError):
        return ", ".join(throttled_now(throttled_bits(text))) or None
    return None


def _vcgencmd() -> str:
    import subprocess

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            THROTTLED_COMMAND, capture_output=True, text=True, errors="replace", timeout=2, check=False
        ).stdout
    return ""

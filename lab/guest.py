"""Guest: one virtual machine on a disk of its own. A scenario boots it, uses it, cuts its power and boots it again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.errors import CommandError, GoneError
from lab.link import Done, Link, Monitor
from lab.machine import Accelerator, Machine, qemu_words
from lab.starving import Clock, Waits

__all__ = ["PYTHON", "Guest", "measured"]

PYTHON = "/opt/quietcam/bin/python"
"""The interpreter of the virtual environment in the guest."""

_PROBES, _PLACE = Path(__file__).parent / "in_guest", "/opt/lab"
_BOOT = 60.0  # seconds, times the accelerator's patience
_STOP = 30.0
_SLACK = 10.0  # how much slower than the host's clock a guest's may go that counts instructions


class Guest:
    """A virtual machine. ``with`` ends it, whatever happened. Only the thread that made it may boot it.

    Attributes:
        folder: where its logs are: ``serial-1.log`` of the first boot, and so on.
        disk: its disk (qcow2), which keeps what the guest wrote from one boot to the next.
        patience: factor for the lab's own limits: 1 under KVM. Waits of a scenario's own are multiplied by it.
        boots: how often it was booted.
        has_kernel: whether it has a kernel of its own, with hardware and modules.
    """

    has_kernel = True

    def __init__(self, image: Path, folder: Path, accelerator: Accelerator, machine: Machine | None = None) -> None:
        self.folder = folder
        self.machine = machine or Machine()
        self.patience = accelerator.patience
        self.boots = 0
        self._image = image
        self._accelerator = accelerator
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._expired = ""
        self._given = False
        self._waits: Waits | None = None
        self._clock = Clock()
        folder.mkdir(parents=True, exist_ok=True)
        self._short = Path(tempfile.mkdtemp(prefix="quietcam-lab-"))  # a socket's path has 107 characters at most
        self.disk = self._short / "disk.qcow2"
        self._monitor = self._short / "monitor"
        self._fill_disk()

    def boot(self, machine: Machine | None = None, limit: float = _BOOT) -> float:
        """Boot and wait for the agent; returns the seconds since the kernel's start, by the guest's own clock.

        Args:
            machine: other hardware from now on.
            limit: seconds, times ``patience``.
        """
        self.start(machine)
        return self.wait(limit)

    def start(self, machine: Machine | None = None, kept: str = "") -> None:
        """Boot and do not wait, for a power cut during the boot; :meth:`wait` waits later.

        Args:
            machine: other hardware from now on.
            kept: go on from where :meth:`keep` was, disk and memory, instead of booting. The hardware must be the same.
        """
        self.kill()
        self.machine = machine or self.machine
        self.boots += 1
        port = self._short / f"agent-{self.boots}"
        self._monitor = self._short / f"monitor-{self.boots}"
        place = (self._image, self.disk, self.serial, port, self._monitor)
        words = qemu_words(self.machine, self._accelerator, *place) + (["-loadvm", kept] if kept else [])
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._link = Link(self._connected(port), self.patience, _SLACK if self._accelerator.counts else 1.0)
        self._waits, self._clock = Waits(self._process.pid), Clock()

    def keep(self, name: str, limit: float = _BOOT) -> None:
        """Keep disk and memory as they are now under a name, in place of what had that name; the guest goes on."""
        with Monitor(self._monitor, limit * self.patience * _SLACK) as monitor:
            monitor.command(f"savevm {name}")

    def wait(self, limit: float = _BOOT) -> float:
        """Wait until the agent of a started guest answers, and give it the probes if it has none."""
        hello = self.link.hello(limit * self.patience)
        if not self._given:  # the disk keeps them, and may be read-only at a later boot
            for probe in sorted(_PROBES.glob("*.py")):
                self.push(probe.read_bytes(), f"{_PLACE}/{probe.name}")
            self._given = True
        return float(hello["uptime"])

    def starved(self, begin: float, end: float) -> float:
        """Seconds between two times of the guest's monotonic clock in which the host gave it no processor that it
        wanted. The host measures that, so a program in the guest that sleeps or hangs has no part in it. None where the
        guest's clock counts instructions.
        """
        if self._waits is None or self._accelerator.counts:
            return 0.0
        self._look_at_clock()
        return self._waits.between(self._clock.here(begin), self._clock.here(end))

    @property
    def hunger(self) -> float:
        """The share of the time since the last boot for which the host gave it no processor that it wanted, 0 to 1."""
        return 0.0 if self._waits is None else self._waits.share

    def clock(self) -> float:
        """Seconds since the boot, by the guest's own clock."""
        return float(self.run(["cat", "/proc/uptime"], check=True).out.split()[0])

    def _look_at_clock(self) -> None:
        asked = time.monotonic()
        there = self.clock()
        self._clock.heard(asked, there, time.monotonic())

    @property
    def serial(self) -> Path:
        """What the kernel of the present boot said."""
        return self.folder / f"serial-{self.boots}.log"

    @property
    def link(self) -> Link:
        if self._link is None:
            raise GoneError(self._expired or "The guest is not booted.")
        return self._link

    def run(
        self,
        command: str | Sequence[str],
        limit: float = 60.0,
        check: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """As :meth:`lab.link.Link.run`."""
        return self.link.run(command, limit, check, variables)

    def measure(self, probe: str, *words: str, limit: float = 120.0) -> list[dict[str, Any]]:
        """Run ``lab/in_guest/PROBE.py`` in the guest's environment; returns what it measured, a dictionary a line.

        What it prints besides goes to ``PROBE.log``.

        Raises:
            CommandError: it fails.
        """
        done = self.run([PYTHON, "-P", f"{_PLACE}/{probe}.py", *words], limit)
        with (self.folder / f"{probe}.log").open("a") as log:
            log.write(f"$ {probe} {' '.join(words)}\n{done.out}{done.err}\n")
        if done.code != 0 or done.late:
            ending = "did not end in time" if done.late else f"ended with {done.code}"
            raise CommandError(f"The probe {probe} {ending}: {done.err.strip()[-600:]}")
        return measured(done.out)

    def push(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file in the guest."""
        self.link.push(data, path, mode)

    def pull(self, path: str) -> bytes:
        """Read a file of the guest."""
        return self.link.pull(path)

    def wait_until(self, command: str, limit: float = 30.0, every: float = 0.5) -> bool:
        """Whether a command in the guest succeeds within ``limit`` seconds of its clock, times ``patience``."""
        until = self.clock() + limit * self.patience
        while True:
            if self.run(command).code == 0:
                return True
            if self.clock() > until:
                return False
            time.sleep(every)

    def kill(self) -> None:
        """Cut the power. The disk stays as it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def stop(self, limit: float = _STOP) -> bool:
        """Shut down in order; whether it did so within ``limit`` seconds, times ``patience``. Then it is cut off. Its
        journal is kept before.
        """
        if self._process is None:
            return True
        self.collect()
        self.run("systemctl poweroff --no-block")
        try:
            self._process.wait(limit * self.patience * (_SLACK if self._accelerator.counts else 1.0))
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()
        return True

    def expire(self, reason: str) -> None:
        """End it from another thread: whatever waits for it raises GoneError."""
        self._expired = reason
        if (process := self._process) is not None:
            process.kill()

    @property
    def expired(self) -> str:
        """Why it was ended from outside; empty if it was not."""
        return self._expired

    def collect(self) -> None:
        """Keep the journal of this boot in the folder, if the guest still answers."""
        if self._link is not None and not self._expired:
            try:
                text = self.run("journalctl -b --no-pager -o short-monotonic", limit=60).out
            except (GoneError, CommandError):
                return
            (self.folder / f"journal-{self.boots}.log").write_text(text)

    def renew(self) -> None:
        """Cut the power, and put in a fresh disk: another device of the same kind."""
        self.kill()
        self.disk.unlink()
        self._fill_disk()

    def close(self) -> None:
        """End it and remove its disk. May be called twice."""
        self.kill()
        shutil.rmtree(self._short, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill_disk(self) -> None:
        raw = str(self._image / "disk.raw")
        _made(["qemu-img", "create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw", str(self.disk)])

    def _connected(self, port: Path) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        until = time.monotonic() + 20.0
        while True:
            try:
                connection.connect(str(port))
            except OSError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                    connection.close()
                    said = (self.folder / "qemu.log").read_text(errors="replace").strip()
                    raise GoneError(f"qemu does not start: {said[-400:] or 'it says nothing'}") from None
                time.sleep(0.05)
            else:
                return connection


def measured(out: str) -> list[dict[str, Any]]:
    """The lines of a probe that are JSON objects, in order."""
    found = []
    for line in out.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def _made(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GoneError(f"{words[0]} failed: {done.stderr.strip()[-400:]}")

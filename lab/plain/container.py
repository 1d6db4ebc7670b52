"""Container: a guest without a kernel of its own. systemd-nspawn boots the same disk on this machine's kernel.

It is as quick as this machine where nothing but emulation is to be had. It needs root. A power cut ends all of its
processes at once; what they had written is not lost. Hardware and modules of a kernel are none of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import CommandError, GoneError, MissingError
from lab.guest import Guest
from lab.link import Done
from lab.machine import Accelerator, Machine
from lab.tools import find

__all__ = ["CONTAINER", "Container", "check_container"]

CONTAINER = Accelerator("a container on this machine's kernel", (), 8.0)

_BOOT = 60.0  # seconds, times the patience
_CARD = "boot/firmware"
# Its disks are mounted by us, and cloud-init finds no labels in a container.
_FILES = {
    "etc/fstab": "",
    "etc/cloud/cloud.cfg.d/99_lab.cfg": "datasource_list: [NoCloud, None]\n"
    "datasource: {NoCloud: {seedfrom: 'file:///boot/firmware/'}}\n",
}


def check_container() -> None:
    """Check that containers can be made here.

    Raises:
        MissingError: they cannot.
    """
    if find("systemd-nspawn") is None or os.geteuid() != 0:
        raise MissingError(
            "The lab's containers need root, and systemd-nspawn. Received: a machine or a user without. "
            "Remedy: sudo apt-get install --no-install-recommends systemd-container, and run it as root"
        )


class Container(Guest):
    """As :class:`lab.guest.Guest`, as far as a scenario runs commands, cuts the power and boots again.

    Of the hardware of a machine it takes the second disk alone, as the boot partition of a card.
    """

    has_kernel = False

    def start(self, machine: Machine | None = None, kept: str = "") -> None:
        if kept:
            raise GoneError("A container's state cannot be kept.")
        self.kill()
        self.machine = machine or self.machine
        self.boots += 1
        if not self._root.is_mount():
            layers = f"lowerdir={self._base},upperdir={self._upper},workdir={self._short / 'work'}"
            _made(["mount", "-t", "overlay", "overlay", "-o", layers, str(self._root)])
        for name, text in _FILES.items():
            (self._root / name).write_text(text)
        if card := re.search(r"file=([^,]+)", " ".join(self.machine.qemu)):
            self._insert(card[1])
        words = ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--boot", "--console=pipe"]
        with self.serial.open("wb") as log:
            self._process = subprocess.Popen(
                [*words, "--directory", str(self._root), "--machine", f"lab{os.getpid()}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},  # also where this machine has the old one
            )

    def wait(self, limit: float = _BOOT) -> float:
        begun = time.monotonic()
        if not self.wait_until("systemctl is-active -q basic.target", limit, every=0.2):
            raise GoneError(f"The container did not boot within {limit * self.patience:.0f} s.")
        return time.monotonic() - begun

    def run(
        self,
        command: str | Sequence[str],
        limit: float = 60.0,
        check: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        leader = self._leader()
        if leader is None:
            if self._process is None or self._process.poll() is not None:
                raise GoneError(self._expired or "The container has ended.")
            return Done(-1, "", "its first process has not begun", 0.0, False)
        limit *= self.patience
        begun = time.monotonic()
        try:
            done = subprocess.run(
                ["nsenter", "--target", str(leader), "--all", *words],
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(variables or {})},
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            answer = Done(-9, "", "", limit, True)
        else:
            answer = Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begun, False)
        if check and (answer.code != 0 or answer.late):
            raise CommandError(f"{command!r} ended with {answer.code}: {answer.err.strip()[-600:]}")
        return answer

    def push(self, data: bytes, path: str, mode: int = 0o644) -> None:
        place = self._root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)

    def pull(self, path: str) -> bytes:
        return (self._root / path.lstrip("/")).read_bytes()

    def kill(self) -> None:
        if self._process is not None:
            if (leader := self._leader()) is not None:
                os.kill(leader, 9)
            try:
                self._process.wait(10.0 * self.patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._eject()

    def renew(self) -> None:
        self.kill()
        if self._root.is_mount():
            _made(["umount", str(self._root)])
        for folder in (self._upper, self._short / "work"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def collect(self) -> None:
        if self._process is not None and not self._expired:
            text = self.run("journalctl -b --no-pager -o short-monotonic").out
            (self.folder / f"journal-{self.boots}.log").write_text(text)

    def close(self) -> None:
        self.kill()
        for place in (self._root, self._base):
            if place.is_mount():
                _made(["umount", str(place)])
        shutil.rmtree(self._short, ignore_errors=True)

    def _fill_disk(self) -> None:
        self._card = self._short / "card"
        self._base, self._upper, self._root = (self._short / name for name in ("base", "upper", "root"))
        for folder in (self._base, self._upper, self._root, self._short / "work"):
            folder.mkdir()
        _made(["mount", "-o", "ro,loop", str(self._image / "disk.raw"), str(self._base)])

    def _insert(self, image: str) -> None:
        """Copy the files of a card: this machine's kernel may not know FAT."""
        shutil.rmtree(self._card, ignore_errors=True)
        self._card.mkdir()
        _made(["mcopy", "-s", "-m", "-i", image, "::*", str(self._card)])
        _made(["mount", "--bind", str(self._card), str(self._root / _CARD)])
        self._image_of_card = image

    def _eject(self) -> None:
        """Copy back what the device tells on its card."""
        if (self._root / _CARD).is_mount():
            _made(["umount", str(self._root / _CARD)])
            told = (self._card / "quietcam").glob("*.txt")
            for text in sorted(told) if Path(self._image_of_card).is_file() else ():
                _made(["mcopy", "-o", "-i", self._image_of_card, str(text), "::quietcam/"])

    def _leader(self) -> int | None:
        """The first process of the container, seen from here."""
        if self._process is None:
            return None
        try:
            found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None


def _made(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GoneError(f"{words[0]} failed: {done.stderr.strip()[-400:]}")

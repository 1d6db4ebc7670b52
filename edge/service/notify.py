"""Messages of a service to systemd (sd_notify(3)): datagrams to the socket that systemd names."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping

from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = ["Notifier"]

_EXTENSION = 60.0  # seconds that each request for more time asks for
_LONGEST = 1800.0  # seconds that loading may take in all


class Notifier:
    """Sends states to the service manager. Without a service manager it sends nothing.

    Args:
        environment: holds ``NOTIFY_SOCKET``.
        pulse: seconds between two requests for more time.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, pulse: float = 10.0) -> None:
        self._pulse = pulse
        self._loading: threading.Event | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ means Linux's abstract name space, which begins with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def wanted(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def loading(self) -> None:
        """Ask for more time to start, repeatedly, until ``ready`` or ``loaded``: on a slow processor with cold
        caches, loading takes minutes. A process that hangs stops asking, and the manager ends a process that needs
        longer than ``_LONGEST``.
        """
        if not self._address or self._loading is not None:
            return
        self._loading = threading.Event()
        threading.Thread(target=self._extend, args=(self._loading,), name="quietcam-loading", daemon=True).start()

    def loaded(self) -> None:
        """Loading is over, with or without success."""
        if self._loading is not None:
            self._loading.set()

    def ready(self) -> None:
        self.loaded()
        self._send("READY=1")

    def alive(self) -> None:
        """Tell the watchdog that the run makes progress."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + shown(printable(" ".join(text.split()))))

    def reloading(self) -> None:
        """A reload begins; ``ready`` reports its end."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _extend(self, over: threading.Event) -> None:
        for _ in range(round(_LONGEST / self._pulse)):
            self._send(f"EXTEND_TIMEOUT_USEC={round(_EXTENSION * 1e6)}")
            if over.wait(self._pulse):
                return

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # The manager may have ended or be busy: that must not stop a camera.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.settimeout(0.2)
            out.sendto(message.encode(), self._address)

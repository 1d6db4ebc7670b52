"""Bookworm: ``firstrun.sh``, which systemd runs at the next boot because ``cmdline.txt`` says so.

The Raspberry Pi Imager uses the same way. Where it has written a ``firstrun.sh``, that script gets one line more.
"""

from __future__ import annotations

import shlex

from deploy.card.settings import Settings
from quietcam.errors import UsageError

__all__ = ["HOOK", "firstrun", "with_hook", "with_line"]

_START = "/boot/firmware/quietcam/start.sh"
_LINE = f"sh {_START} later # quietcam card prepare\n"
_IMAGER = "/usr/lib/raspberrypi-sys-mods/imager_custom"

HOOK = (
    " systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
)
"""Words for ``cmdline.txt``: run the script instead of the normal boot, then boot again."""


def firstrun(settings: Settings) -> str:
    """A ``firstrun.sh`` of our own. Raspberry Pi OS brings the program that applies host name, keys and Wi-Fi."""
    lines = ["#!/bin/sh", "# Written by: quietcam card prepare", "set +e"]
    if settings.host_name is not None:
        lines.append(f"{_IMAGER} set_hostname {shlex.quote(settings.host_name)}")
    if settings.ssh_keys:
        lines.append(f"{_IMAGER} enable_ssh -k {' '.join(map(shlex.quote, settings.ssh_keys))}")
        # Without a configured user the system asks for one at the console. No password is set: keys alone open it.
        lines.append("[ ! -f /usr/lib/userconf-pi/userconf ] || /usr/lib/userconf-pi/userconf pi ''")
    if settings.wifi is not None:
        words = [settings.wifi.name, settings.wifi.key or "", settings.wifi.country]
        lines.append(f"{_IMAGER} set_wlan {' '.join(map(shlex.quote, words))}")
    lines.append(_LINE.rstrip("\n"))
    lines.append("rm -f /boot/firmware/firstrun.sh")
    lines.append(r"sed -i 's| systemd\.[^ ]*||g' /boot/firmware/cmdline.txt")
    return "\n".join([*lines, "exit 0", ""])


def with_line(script: str) -> str:
    """The Imager's ``firstrun.sh`` with our line after its first one.

    Raises:
        UsageError: it is no shell script.
    """
    first, end, rest = script.partition("\n")
    if not first.startswith("#!") or "sh" not in first or not end:
        raise UsageError(
            "firstrun.sh must be a shell script of the Raspberry Pi Imager. "
            f"Received: one that begins with {first[:40]!r}. Remedy: write the card again"
        )
    return f"{first}\n{_LINE}{rest}"


def with_hook(cmdline: str) -> str:
    """``cmdline.txt`` with our words at the end of its line. What follows the line stays as it is.

    Raises:
        UsageError: it runs another program at first boot already.
    """
    if " systemd.run" in cmdline or " systemd.unit=" in cmdline:
        raise UsageError(
            "cmdline.txt may run one program at first boot. Received: a cmdline.txt with systemd.run or systemd.unit, "
            "but no firstrun.sh. Remedy: write the card again, or remove these words"
        )
    line = cmdline.rstrip("\r\n\t \0")
    return line + HOOK + cmdline[len(line) :]

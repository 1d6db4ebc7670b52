"""Trixie: what cloud-init reads from the boot partition (data source NoCloud).

quietcam writes ``vendor-data``, which cloud-init merges beneath ``user-data``: so the user-data that the Raspberry Pi
Imager wrote stays as it is, and its settings win. A script in vendor-data runs beside the commands of user-data, where
a second ``runcmd`` would replace the first. Strings are written as JSON, which YAML reads.
"""

from __future__ import annotations

import textwrap

from deploy.card.settings import Settings, Wifi
from quietcam.files.strict_json import dump_json

__all__ = ["USER", "cloud_config", "network_config", "vendor_data"]

USER = "pi"
"""The user that the SSH keys are for."""

_SCRIPT = """\
#!/bin/sh
for card in /boot/firmware/quietcam /boot/quietcam; do
  [ -f "$card/start.sh" ] && exec sh "$card/start.sh"
done
echo "quietcam: the boot partition has no folder quietcam" >&2
exit 1
"""


def vendor_data(settings: Settings) -> str:
    """The file ``vendor-data``: settings, and the script that starts the installation."""
    parts = []
    if config := cloud_config(settings):
        parts.append(_part("text/cloud-config", config))
    parts.append(_part("text/x-shellscript", _SCRIPT, "quietcam-card.sh"))
    return "#cloud-config-archive\n# Written by: quietcam card prepare\n" + "".join(parts)


def cloud_config(settings: Settings) -> str:
    """The cloud-config for a host name and SSH keys; empty if neither is given."""
    lines = []
    if settings.host_name is not None:
        lines += [f"hostname: {_text(settings.host_name)}", "manage_etc_hosts: true"]
    if settings.ssh_keys:
        # Singular: it extends the system's own user, which keeps its groups (video, gpio, sudo).
        lines += ["user:", f"  name: {_text(USER)}", "  lock_passwd: true", "  shell: /bin/bash"]
        lines += ["  sudo: " + _text("ALL=(ALL) NOPASSWD:ALL"), "  ssh_authorized_keys:"]
        lines += [f"    - {_text(key)}" for key in settings.ssh_keys]
        lines += ["ssh_pwauth: false"]
    return "\n".join(["#cloud-config", *lines, ""]) if lines else ""


def network_config(wifi: Wifi) -> str:
    """The file ``network-config`` (version 2, as of netplan): the cable, and this wireless network."""
    access = f"password: {_text(wifi.key)}" if wifi.key is not None else "auth: {key-management: none}"
    return (
        "# Written by: quietcam card prepare\n"
        "network:\n"
        "  version: 2\n"
        "  ethernets:\n"
        "    eth0: {dhcp4: true, dhcp6: true, optional: true}\n"
        "  wifis:\n"
        "    wlan0:\n"
        "      dhcp4: true\n"
        "      optional: true\n"
        f"      regulatory-domain: {_text(wifi.country)}\n"
        "      access-points:\n"
        f"        {_text(wifi.name)}:\n"
        f"          {access}\n"
    )


def _part(kind: str, content: str, name: str | None = None) -> str:
    head = [f"- type: {kind}", *([f"  filename: {name}"] if name else []), "  content: |"]
    return "\n".join([*head, textwrap.indent(content, "    ")])


def _text(value: str) -> str:
    return dump_json(value, ascii_only=False)

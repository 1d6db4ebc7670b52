"""A plain Debian with cloud-init becomes a camera at its first boot, from a prepared card and without a network."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.cache import Cache, home
from lab.guest import Guest
from lab.image import Contents
from lab.machine import Machine
from lab.plain.card import BUNDLE, Card, fresh_boot, make_card, make_release, wheels
from lab.recorder import Recorder
from lab.scenarios import Scenario

__all__ = ["SCENARIO", "differing", "token_of"]

# A camera of the kernel's own: frames of 640x360.
MACHINE = Machine(memory=1024, kernel=("rw", "modules_load=vivid", "vivid.n_devs=1", "vivid.node_types=0x1"))
CONTENTS = Contents("first-boot", ("cloud-init", "cloud-guest-utils"), installed=False)
HOST = "camera1"
_CARD = "/boot/firmware/quietcam"
_CONFIG = 'source = "synthetic:size=640x360,fps=5"\nsink = ["web"]\nlisten = "0.0.0.0:8080"\nmodel = "slot"\n'
_REPORT = f"{_CARD}/first-boot.txt"
_INSTALLED = f"grep -q '^quietcam is installed' {_REPORT}"
_ENDED = f"grep -qE '^quietcam is (not )?installed' {_REPORT}"
_INSTALL = 300.0  # seconds for the installation, times the guest's patience
_TRIED = 240.0  # for the first update
# What makes two devices the same: packages, files that the card brings or the first boot writes, units.
_FACTS = {
    "packages": "/opt/quietcam/bin/pip freeze --disable-pip-version-check",
    "files": "cd / && sha256sum etc/quietcam.toml etc/quietcam-root.json etc/quietcam-update.env "
    "etc/systemd/system/quietcam*",
    "units": "systemctl list-unit-files --no-legend 'quietcam*'",
    "link": "readlink /opt/quietcam",
    "modes": "stat -c '%a %U %n' /etc/quietcam*",
}


def run(guest: Guest, record: Recorder) -> None:
    """Boot two devices from copies of one card; the power of the second fails while it installs."""
    with tempfile.TemporaryDirectory(prefix="quietcam-card-") as place:
        folder = Path(place)
        (folder / "publisher").mkdir()
        release, root = make_release(folder / "publisher")
        words = ["--wheels", str(wheels(Cache(home()))), "--hostname", HOST, "--token-on-card"]
        words += ["--release", str(release), "--root", str(root)]
        if not guest.has_kernel:  # nor the camera that the kernel's module vivid gives
            (folder / "config.toml").write_text(_CONFIG)
            words += ["--config", str(folder / "config.toml")]
        card = make_card(fresh_boot(folder / "boot"), folder / "card.img", *words)
        first = _device(guest, record, card.copy(folder / "first.img"))
        second = _device_without_power(guest, record, card.copy(folder / "second.img"))
        record.that(
            "Two devices from one card are the same, though the power of one failed while it installed",
            not (differs := differing(first, second)),
            differs,
        )
        record.that(
            "Each device makes a token of its own",
            "" not in (first["token"], second["token"]) and first["token"] != second["token"],
        )
        guest.stop()


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    """The facts about two devices that differ; tokens must."""
    return ", ".join(name for name in first if name != "token" and first[name] != second.get(name))


def token_of(text: str) -> str:
    """The token in /etc/quietcam.env; empty if there is none."""
    found = re.search(r"^QUIETCAM_TOKEN=(\S+)$", text, re.M)
    return found[1] if found else ""


def _device(guest: Guest, record: Recorder, card: Card) -> dict[str, str]:
    """The first boot, an update from the card, and a second boot."""
    begun = time.monotonic()
    _boot(guest, card)
    network = guest.run("ls /sys/class/net").out.split()
    record.equal("The device has no network", network, ["lo"])
    record.that("The first boot installs the camera", _installed(guest), guest.run(f"head -c 600 {_REPORT}").out[:300])
    record.note(f"the first device was installed {time.monotonic() - begun:.0f} s after it was switched on")
    told = guest.run("cloud-init status --long").out
    record.that("cloud-init ends without an error", "status: done" in told, " ".join(told.split())[:200])
    record.equal("The device has the host name of the card", guest.run("hostname").out.strip(), HOST)
    facts = _facts(guest)
    record.equal(
        "Root alone can read the token", guest.run("stat -c '%a %U' /etc/quietcam.env").out.split(), ["600", "root"]
    )
    record.equal("The token is on the card, too", guest.run(f"cat {_CARD}/token.txt").out.strip(), facts["token"])
    _camera(guest, record, facts["token"])
    _update(guest, record, facts["token"])
    guest.stop()
    record.that("The card tells that it went well", card.read("first-boot.txt").startswith("quietcam is installed"))
    _boot(guest, card)
    record.that("A second boot runs the camera", guest.wait_until("systemctl is-active quietcam", 60))
    said = guest.run("journalctl -b -u quietcam-first-boot -o cat").out
    record.that("A second boot installs nothing", "installed already" in said, " ".join(said.split())[-200:])
    record.equal("The device keeps its token", token_of(guest.run("cat /etc/quietcam.env").out), facts["token"])
    record.equal("The device keeps the bundle", _version(guest, facts["token"]), BUNDLE)
    return facts


def _device_without_power(guest: Guest, record: Recorder, card: Card) -> dict[str, str]:
    """Another device, whose power fails while pip installs."""
    guest.renew()
    guest.start(_with(card))
    guest.wait()
    begun = guest.wait_until(f"grep -q 'Step 3 of 6' {_REPORT}", _INSTALL, every=0.2)
    record.that("The card tells the step while the device installs", begun)
    guest.kill()
    _boot(guest, card)
    record.that("After a power cut the next boot goes on", _installed(guest), guest.run(f"cat {_REPORT}").out[:300])
    return _facts(guest)


def _boot(guest: Guest, card: Card) -> None:
    guest.boot(_with(card))


def _with(card: Card) -> Machine:
    return Machine(MACHINE.memory, MACHINE.processors, MACHINE.kernel, card.drive)


def _installed(guest: Guest) -> bool:
    return guest.wait_until(_ENDED, _INSTALL) and guest.run(_INSTALLED).code == 0


def _facts(guest: Guest) -> dict[str, str]:
    facts = {name: guest.run(command).out for name, command in _FACTS.items()}
    return {**facts, "token": token_of(guest.run("cat /etc/quietcam.env").out)}


def _camera(guest: Guest, record: Recorder, token: str) -> None:
    record.that("The service runs", guest.run("systemctl is-active quietcam").out.strip() == "active")
    denied = guest.run("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/status.json").out
    record.equal("The page asks for the token", denied, "401")
    record.that(
        "The page shows denoised frames of the camera", guest.wait_until(_frames(token), 60), _status(guest, token)
    )


def _update(guest: Guest, record: Recorder, token: str) -> None:
    """The release is on the card, and the guest's clock is right."""
    took = guest.wait_until(f'{_asked(token)} | grep -q \'"version": *"{BUNDLE}"\'', _TRIED, every=2)
    state = guest.run("/opt/quietcam/bin/quietcam update --status --state /var/lib/quietcam/update").out
    record.that(
        "The device takes over the signed bundle of the release on the card", took, " ".join(state.split())[:200]
    )
    timer = guest.run("systemctl is-active quietcam-update.timer").out.strip()
    record.equal("A timer looks for newer models", timer, "active")


def _asked(token: str) -> str:
    return f"curl -s -m 20 -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/status.json"


def _frames(token: str) -> str:
    return f"{_asked(token)} | grep -qE '\"frames\": *[1-9]'"


def _status(guest: Guest, token: str) -> Any:
    try:
        return json.loads(guest.run(_asked(token)).out).get("frames")
    except ValueError:
        return "no status"


def _version(guest: Guest, token: str) -> Any:
    guest.wait_until(_frames(token), 60)
    try:
        return json.loads(guest.run(_asked(token)).out)["update"]["version"]
    except (ValueError, KeyError, TypeError):
        return None


SCENARIO = Scenario(
    "a card turns a plain Debian without a network into a camera at first boot, twice the same",
    run,
    limit=1500,
    machine=MACHINE,
    contents=CONTENTS,
    boots=False,
    in_container=True,
)

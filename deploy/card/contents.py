"""What a prepared card holds: each file with its bytes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from deploy.card.boot import BEFORE, FOLDER, Boot, Record, sha256
from deploy.card.cloud_init import network_config, vendor_data
from deploy.card.firstrun import firstrun, with_hook, with_line
from deploy.card.settings import Settings
from deploy.card.systems import CLOUD_INIT
from deploy.card.wheels import WheelSet
from quietcam.errors import UsageError

__all__ = ["Contents", "compose", "has_login"]

_ON_CARD = ("first-boot.sh", "start.sh", "quietcam-first-boot.service")


@dataclass(frozen=True)
class Contents:
    """All files that belong on the card, in the order in which they are written: what starts the others comes last.

    Attributes:
        texts: paths on the card, and bytes.
        wheels: paths on the card, and the files they are copied from, with their SHA-256.
        record: what is written about them.
    """

    texts: dict[str, bytes]
    wheels: dict[str, tuple[Path, str]]
    record: Record


def compose(
    boot: Boot, wheels: WheelSet, folder: Path, config: bytes | None, settings: Settings, token_on_card: bool
) -> Contents:
    """Decide what the card holds.

    Args:
        folder: where the wheels are.
        config: the configuration of the device. None: the page, for every network that it is in.
        token_on_card: whether the device leaves a copy of its token on the boot partition.

    Raises:
        UsageError: the card is for another system, or somebody else has set what we were asked to set.
    """
    _check_system(boot, wheels)
    plain: dict[str, bytes] = {
        "quietcam.toml": _shipped("quietcam.toml") if config is None else config,
        "requirements.txt": wheels.requirements().encode(),
        **{name: _shipped(name) for name in _ON_CARD},
    }
    hooks = _cloud_init(boot, settings) if boot.first_boot == CLOUD_INIT else _firstrun(boot, settings)
    ours = {f"{FOLDER}/{name}": content for name, content in plain.items()}
    identity = _digest(*(f"{name} {sha256(each)}" for name, each in sorted(ours.items())), str(token_on_card))
    ours[f"{FOLDER}/settings"] = _settings(wheels, identity, settings, token_on_card)
    changed = frozenset(name for name in hooks if boot.original(name) is not None)
    before = {f"{BEFORE}/{name}": content for name in changed if (content := boot.original(name)) is not None}
    texts = {**before, **ours, **hooks}
    files = {f"{FOLDER}/wheels/{each.file}": (folder / each.file, each.sha256) for each in wheels.wheels}
    written = {name: sha256(content) for name, content in texts.items()} | {
        name: hashed for name, (_, hashed) in files.items()
    }
    return Contents(texts, files, Record({name: (hashed,) for name, hashed in written.items()}, changed))


def _check_system(boot: Boot, wheels: WheelSet) -> None:
    if boot.first_boot != wheels.system.first_boot:
        kinds = {True: "Trixie (with meta-data and user-data)", False: "Bookworm (without meta-data or user-data)"}
        raise UsageError(
            f"The wheels must be for the system on the card. Received: wheels for {wheels.system.name}, and a boot "
            f"partition of {kinds[boot.first_boot == CLOUD_INIT]}. Remedy: quietcam card fetch --for {_other(wheels)} "
            "--out wheels, or write another system on the card"
        )


def _other(wheels: WheelSet) -> str:
    return "bookworm-arm64" if wheels.system.first_boot == CLOUD_INIT else "trixie-arm64"


def _cloud_init(boot: Boot, settings: Settings) -> dict[str, bytes]:
    if boot.original("vendor-data") is not None:
        raise UsageError(
            "vendor-data on the boot partition is the file by which quietcam is started. Received: one that somebody "
            "else wrote. Remedy: move its settings to user-data, and remove it"
        )
    if settings.host_name is not None or settings.ssh_keys:
        _check_unused(boot, "user-data", "`hostname` and `ssh_key`")
    hooks = {"vendor-data": vendor_data(settings).encode()}
    if settings.wifi is not None:
        _check_unused(boot, "network-config", "`wifi`")
        hooks = {"network-config": network_config(settings.wifi).encode(), **hooks}
    return hooks


def _check_unused(boot: Boot, name: str, options: str) -> None:
    """Refuse to set what a file sets already. A fresh image's files hold comments alone."""
    if _is_used(boot, name):
        raise UsageError(
            f"{options} set what {name} leaves open. Received: a {name} with settings, of the Raspberry Pi Imager or "
            f"your own; it stays as it is. Remedy: make these settings there, and leave out {options}"
        )


def _is_used(boot: Boot, name: str) -> bool:
    lines = (boot.original(name) or b"").decode("utf-8", "replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def has_login(boot: Boot, settings: Settings) -> bool:
    """Whether somebody can log in on the device, as far as the card tells."""
    return bool(settings.ssh_keys) or any(_is_used(boot, name) for name in ("user-data", "firstrun.sh", "userconf.txt"))


def _firstrun(boot: Boot, settings: Settings) -> dict[str, bytes]:
    script, cmdline = boot.original("firstrun.sh"), boot.original("cmdline.txt")
    if script is not None:
        if settings != Settings():
            raise UsageError(
                "`hostname`, `ssh_key` and `wifi` set what firstrun.sh leaves open. Received: a firstrun.sh of the "
                "Raspberry Pi Imager; it keeps its settings. Remedy: make these settings in the Imager, and leave out "
                "these options"
            )
        return {"firstrun.sh": with_line(script.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")}
    if cmdline is None:
        raise UsageError("The boot partition must hold cmdline.txt. Received: none. Remedy: write the card again")
    hooked = with_hook(cmdline.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return {"firstrun.sh": firstrun(settings).encode(), "cmdline.txt": hooked}


def _settings(wheels: WheelSet, identity: str, settings: Settings, token_on_card: bool) -> bytes:
    values = {
        "card_id": identity,
        "packages_id": _digest(wheels.requirements()),
        "system": wheels.system.name,
        "python_version": wheels.system.python,
        "architecture": wheels.system.architecture,
        "token_on_card": "yes" if token_on_card else "no",
        "enable_ssh": "yes" if settings.ssh_keys else "no",
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    return "".join(["# Written by: quietcam card prepare. Read by: start.sh, first-boot.sh\n", *lines]).encode()


def _digest(*texts: str) -> str:
    return sha256("\n".join(texts).encode())[:16]


def _shipped(name: str) -> bytes:
    return resources.files("deploy.card").joinpath("on_card", name).read_bytes()

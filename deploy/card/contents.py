"""What a prepared card holds: each file with its bytes."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.card.boot import BEFORE, FOLDER, Boot, Record, sha256
from deploy.card.cloud_init import network_config, vendor_data
from deploy.card.firstrun import firstrun, with_hook, with_line
from deploy.card.settings import Settings
from deploy.card.systems import CLOUD_INIT
from deploy.card.wheels import WheelSet, hash_of
from edge.update.slots.running import SLOT
from quietcam.errors import UsageError
from quietcam.files.strict_toml import parse_toml

if TYPE_CHECKING:
    from deploy.card.release import CardRelease

__all__ = ["Contents", "compose", "has_login"]

_ON_CARD = ("first-boot.sh", "start.sh", "quietcam-first-boot.service")


@dataclass(frozen=True)
class Contents:
    """All files that belong on the card, in the order in which they are written: what starts the others comes last.

    Attributes:
        texts: paths on the card, and bytes.
        copies: paths on the card, and the files they are copied from, with their SHA-256: wheels, and a release.
        record: what is written about them.
    """

    texts: dict[str, bytes]
    copies: dict[str, tuple[Path, str]]
    record: Record


def compose(
    boot: Boot,
    wheels: WheelSet,
    folder: Path,
    config: bytes | None,
    settings: Settings,
    token_on_card: bool,
    release: CardRelease | None = None,
) -> Contents:
    """Decide what the card holds.

    Args:
        folder: where the wheels are.
        config: the configuration of the device. None: the page, for every network that it is in.
        token_on_card: whether the device leaves a copy of its token on the boot partition.
        release: that the device follows. None: it looks for no updates.

    Raises:
        UsageError: the card is for another system, somebody else has set what we were asked to set, or the device could
            not follow ``release``.
    """
    _check_system(boot, wheels)
    plain: dict[str, bytes] = {
        "quietcam.toml": _config(config, release),
        "requirements.txt": wheels.requirements().encode(),
        **{name: _shipped(name) for name in _ON_CARD},
    }
    copies = {f"wheels/{each.file}": (folder / each.file, each.sha256) for each in wheels.wheels}
    if release is not None:
        _check_updates(wheels)
        plain |= {"root.json": release.root, "update.env": release.environment.encode()}
        copies |= {f"release/{name}": (path, hash_of(path)) for name, path in release.files.items()}
    hooks = _cloud_init(boot, settings) if boot.first_boot == CLOUD_INIT else _firstrun(boot, settings)
    ours = {f"{FOLDER}/{name}": content for name, content in plain.items()}
    released = sorted(f"{name} {hashed}" for name, (_, hashed) in copies.items() if name.startswith("release/"))
    identity = _digest(
        *(f"{name} {sha256(each)}" for name, each in sorted(ours.items())), *released, str(token_on_card)
    )
    ours[f"{FOLDER}/settings"] = _settings(wheels, identity, settings, token_on_card)
    changed = frozenset(name for name in hooks if boot.original(name) is not None)
    before = {f"{BEFORE}/{name}": content for name in changed if (content := boot.original(name)) is not None}
    texts = {**before, **ours, **hooks}
    files = {f"{FOLDER}/{name}": copy for name, copy in copies.items()}
    written = {name: sha256(content) for name, content in texts.items()} | {
        name: hashed for name, (_, hashed) in files.items()
    }
    return Contents(texts, files, Record({name: (hashed,) for name, hashed in written.items()}, changed))


def _config(config: bytes | None, release: CardRelease | None) -> bytes:
    """The configuration of the device, which uses what updates bring if there are any."""
    if config is None:
        return _shipped("quietcam.toml") + (b"" if release is None else f'model = "{SLOT}"\n'.encode())
    model: object = None
    with contextlib.suppress(ValueError):
        model = parse_toml(config.decode()).get("model")
    if release is not None and model != SLOT:
        raise UsageError(
            f'A device with a `release` runs what updates bring: model = "{SLOT}". '
            f"Received: a `config` with {'no model' if model is None else f'model = {model!r}'}. "
            "Remedy: write that line into it"
        )
    return config


def _check_updates(wheels: WheelSet) -> None:
    if "update" not in wheels.extras:
        raise UsageError(
            "A device with a `release` needs the extra update. "
            f"Received: wheels with {', '.join(wheels.extras)}. "
            f"Remedy: quietcam card fetch --for {wheels.system.name} --extra update --out wheels"
        )


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

"""The commands `card prepare`, `card undo` and `card fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.terminal.options import Json

if TYPE_CHECKING:
    from deploy.card.prepare import Change

__all__ = ["mount"]

_Boot = Annotated[
    Path,
    typer.Argument(
        metavar="BOOT", help="The folder where the boot partition of the card is mounted: /media/you/bootfs."
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="List the files, and change nothing.")]


def mount(app: typer.Typer) -> None:
    """Register the group ``card``."""
    card = typer.Typer(
        no_args_is_help=True,
        help="Turn a plain Raspberry Pi OS card into this camera at its first boot, without a network. "
        "Example: `quietcam card prepare /media/you/bootfs --wheels wheels --hostname camera1`",
    )
    card.command("prepare")(prepare_command)
    card.command("undo")(undo_command)
    card.command("fetch")(fetch_command)
    app.add_typer(card, name="card")


def prepare_command(
    boot: _Boot,
    wheels: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder that `quietcam card fetch` filled.")],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Configuration of the device (/etc/quietcam.toml). Default: the page, for every network that the "
            "device is in; viewers need the token.",
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            help="The release that the device follows. A folder goes with the card; of a URL the card has the address. "
            "Needs --root.",
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The root.json of that release, which the device trusts.")
    ] = None,
    hostname: Annotated[str | None, typer.Option(metavar="NAME", help="Host name of the device.")] = None,
    ssh_key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.pub", help="Public keys that may log in as pi over SSH; may be given several times."
        ),
    ] = None,
    wifi: Annotated[str | None, typer.Option(metavar="NAME", help="Wireless network (SSID) to join.")] = None,
    wifi_password: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE", help="Its password, or @FILE that contains it. Default: an open network."),
    ] = None,
    wifi_country: Annotated[
        str | None, typer.Option(metavar="CC", help="The country where the device is, for example DE.")
    ] = None,
    token_on_card: Annotated[
        bool,
        typer.Option(
            "--token-on-card",
            help="The device leaves a copy of its token on the boot partition (quietcam/token.txt), for people who "
            "cannot log in.",
        ),
    ] = False,
    dry_run: _DryRun = False,
    json: Json = None,
) -> None:
    """Prepare the boot partition of a card that the Raspberry Pi Imager has just written.

    At its first boot the device installs quietcam from the card and starts it as a service. Each device makes a token
    of its own. The device tells how it went in quietcam/first-boot.txt on the boot partition. Twice the same leaves the
    card as it is.

    Example: `quietcam card prepare /media/you/bootfs --wheels wheels --hostname camera1 --ssh-key id_ed25519.pub`

    With updates: add `--release https://updates.example.com/cameras --root root.json`

    With Wi-Fi: add `--wifi Home --wifi-password @wifi.txt --wifi-country DE`
    """
    from deploy.card.boot import Boot
    from deploy.card.contents import has_login
    from deploy.card.prepare import prepare
    from deploy.card.settings import Settings, read_host_name, read_ssh_keys, read_wifi
    from quietcam.errors import UsageError
    from quietcam.files.at_file import read_at_file
    from quietcam.terminal.say import say

    if (release is None) != (root is None):
        raise UsageError("`release` and `root` belong together. Received: one without the other. Remedy: name both.")
    if wifi is None and (wifi_password is not None or wifi_country is not None):
        raise UsageError("`wifi_password` and `wifi_country` belong to a network. Received: no `wifi`.")
    if wifi_password is not None and wifi_password.startswith("@"):
        wifi_password = read_at_file(wifi_password, "a Wi-Fi password", "the password").rstrip("\r\n")
    settings = Settings(
        None if hostname is None else read_host_name(hostname),
        read_ssh_keys(ssh_key or []),
        None if wifi is None else read_wifi(wifi, wifi_password, wifi_country),
    )
    content = None if config is None else _checked(config)
    followed = None
    if release is not None and root is not None:
        from deploy.card.release import read_release

        followed = read_release(release, root)
    changes = prepare(boot, wheels, content, settings, token_on_card, dry_run, followed)
    _show(changes, dry_run, json)
    if not has_login(Boot(boot), settings) and not token_on_card:
        say(
            "warning: nobody can log in on this device, so nobody can read the token of its page. "
            "Remedy: `ssh_key=FILE.pub`, or `token_on_card=True`"
        )
    if not dry_run:
        say("The card is ready. Eject it, and boot the device. Its LED blinks fast while it installs.")


def undo_command(boot: _Boot, dry_run: _DryRun = False, json: Json = None) -> None:
    """Take quietcam off a boot partition, and restore the files of the system byte for byte.

    A device that booted from the card keeps what it installed.

    Example: `quietcam card undo /media/you/bootfs`
    """
    from deploy.card.prepare import undo

    _show(undo(boot, dry_run), dry_run, json)


def fetch_command(
    system: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="SYSTEM",
            help="trixie-arm64, bookworm-arm64, bookworm-armv7 (with the extra edge-legacy), or trixie-amd64 (a PC).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the wheels.")] = Path("wheels"),
    own: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.whl",
            help="The wheel of quietcam itself: in a clone, pip wheel --no-deps . makes it. Default: the one in --out.",
        ),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further extra, such as mqtt or video; may be given several times."),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A further package index; may be given several times."),
    ] = None,
    json: Json = None,
) -> None:
    """Gather the wheels for a device, by pip. An interrupted fetch goes on with the file where it stopped.

    In the end pip resolves everything once more from the folder alone.

    Example: `quietcam card fetch --for trixie-arm64 --own quietcam-0.1.0-py3-none-any.whl --out wheels`
    """
    from deploy.card.fetch import fetch
    from deploy.card.systems import find_system
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    found = fetch(find_system(system), out, own, extra or (), index or (), say)
    wheels = [vars(wheel) for wheel in found.wheels.wheels]
    counts = f"{len(wheels)} wheels for {system}, {found.size / 1e6:.0f} MB, {len(found.new)} of them new"
    report_console(json).print(f"{out}: {counts}")
    write_report(json, {"for": system, "out": out, "bytes": found.size, "new": found.new, "wheels": wheels})


def _checked(path: Path) -> bytes:
    """The bytes of a configuration that `quietcam run` accepts."""
    from edge.config import options_of, read_config
    from edge.run.cli import run_command

    read_config(path, options_of(run_command))
    return path.read_bytes()


def _show(changes: list[Change], dry_run: bool, json: str | None) -> None:
    from rich.table import Table

    from quietcam.terminal.report import report_console, write_report

    table = Table("file", "would be" if dry_run else "is", "bytes", box=None)
    for change in changes:
        table.add_row(change.path, change.action, f"{change.size:,}")
    report_console(json).print(table)
    write_report(json, {"dry_run": dry_run, "files": [vars(change) for change in changes]})

"""The commands of bundles and offers: release add, offer, withdraw, pause."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.release.options_cli import Channel, Device, Folder, Keys, Passphrase, audience, open_keys, say_signed
from quietcam.terminal.options import number

__all__ = ["add_command", "offer_command", "pause_command", "withdraw_command"]

_Tag = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Only devices with this tag. Repeat it for several.")
]
_Share = Annotated[
    float,
    typer.Option(metavar="PERCENT", parser=number(0, 100), help="Share of the devices, chosen by a hash of their ids."),
]
_Bundle = Annotated[str, typer.Argument(metavar="BUNDLE", help="Id of a bundle: NAME-VERSION.")]


def add_command(
    release: Folder,
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL…", help="Model files with manifests; or one bundle, a .tar made before."),
    ],
    keys: Keys,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "camera",
    version: Annotated[str, typer.Option(help="Version of the bundle: what has a version never changes.")] = "1",
    settings: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Settings that go with the models, such as strength.")
    ] = None,
    least_db: Annotated[
        float,
        typer.Option(
            metavar="DB",
            parser=number(20, 100),
            help="A device's output on the golden frames must be at least this close to that of this machine.",
        ),
    ] = 55.0,
    most_noisy_db: Annotated[
        float,
        typer.Option(
            metavar="DB",
            parser=number(10, 100),
            help="The noisy golden frames must be no closer than this to the output.",
        ),
    ] = 30.0,
    most_ms: Annotated[
        float | None,
        typer.Option(metavar="MS", parser=number(0.01, 10**6), help="Most milliseconds for one run of the network."),
    ] = None,
    most_mib: Annotated[
        float | None, typer.Option(metavar="MIB", parser=number(1, 10**6), help="Most memory of the process.")
    ] = None,
    channel: Channel = "stable",
    device: Device = None,
    tag: _Tag = None,
    share: _Share = 100.0,
    passphrase: Passphrase = None,
) -> None:
    """Make a bundle of models and offer it as the newest one.

    Example: `quietcam release add release small.tflite --name yard --version 2 --keys keys --channel beta --share 10`
    """
    import tempfile
    from datetime import UTC, datetime

    from deploy.release.bundle import BundlePlan, make_bundle
    from deploy.release.offers import add_bundle, offer
    from deploy.release.repository import Repository
    from edge.models import resolve_model
    from edge.update.channel import Offer
    from edge.update.contents import Bounds

    repository, folder, whom = Repository(release), open_keys(keys, passphrase), audience(channel, device)
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as place:
        archive = models[0]
        if len(models) > 1 or archive.suffix != ".tar":
            archive = Path(place) / "bundle.tar"
            files = [resolve_model(str(model)) for model in models]
            make_bundle(
                BundlePlan(name, version, files, settings, Bounds(least_db, most_noisy_db, most_ms, most_mib)), archive
            )
        bundle = add_bundle(repository, folder, archive, now)
        size = archive.stat().st_size
    offer(repository, folder, whom, Offer(bundle, tuple(tag or ()), share), now)
    print(f"{bundle}: {size} bytes, offered to {share:g} % of {_whom(channel, device)}")
    say_signed(repository)


def offer_command(
    release: Folder,
    bundle: _Bundle,
    keys: Keys,
    channel: Channel = "stable",
    device: Device = None,
    tag: _Tag = None,
    share: _Share = 100.0,
    passphrase: Passphrase = None,
) -> None:
    """Offer a bundle of the release to others, or to more of them.

    Example: `quietcam release offer release yard-2 --keys keys --share 50`
    """
    from datetime import UTC, datetime

    from deploy.release.offers import offer
    from deploy.release.repository import Repository
    from edge.update.channel import Offer

    repository = Repository(release)
    offered = Offer(bundle, tuple(tag or ()), share)
    offer(repository, open_keys(keys, passphrase), audience(channel, device), offered, datetime.now(UTC))
    print(f"{bundle}: offered to {share:g} % of {_whom(channel, device)}")
    say_signed(repository)


def withdraw_command(
    release: Folder,
    bundle: _Bundle,
    keys: Keys,
    channel: Channel = "stable",
    device: Device = None,
    passphrase: Passphrase = None,
) -> None:
    """Offer a bundle no more: devices that run it go back to the newest other one.

    Example: `quietcam release withdraw release yard-2 --keys keys`
    """
    from datetime import UTC, datetime

    from deploy.release.offers import withdraw
    from deploy.release.repository import Repository

    repository = Repository(release)
    withdraw(repository, open_keys(keys, passphrase), audience(channel, device), bundle, datetime.now(UTC))
    print(f"{bundle}: no longer offered to {_whom(channel, device)}")
    say_signed(repository)


def pause_command(
    release: Folder,
    keys: Keys,
    channel: Channel = "stable",
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="Let changes go on.")] = False,
    passphrase: Passphrase = None,
) -> None:
    """Stop all changes of a channel's devices, until they are resumed.

    Example: `quietcam release pause release --keys keys --channel stable`
    """
    from datetime import UTC, datetime

    from deploy.release.offers import pause
    from deploy.release.repository import Repository

    repository = Repository(release)
    pause(repository, open_keys(keys, passphrase), audience(channel, device), not resume, datetime.now(UTC))
    print(f"{_whom(channel, device)}: {'changes go on' if resume else 'paused'}")
    say_signed(repository)


def _whom(channel: str, device: str | None) -> str:
    return f"channel {channel}" if device is None else f"device {device}"

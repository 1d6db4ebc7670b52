"""The command `release`: make one, sign, publish, other keys, show. Bundles and offers are in ``offers_cli``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.release.offers_cli import add_command, offer_command, pause_command, withdraw_command
from deploy.release.options_cli import Folder, Keys, Passphrase, open_keys, say_signed
from quietcam.terminal.options import Json, whole

if TYPE_CHECKING:
    from deploy.release.publish import Signers

__all__ = ["mount"]

_Threshold = Annotated[
    str, typer.Option(metavar="M/N", help="Of N keys of the root, M must sign. The root says which keys count.")
]
_Days = typer.Option(metavar="DAYS", parser=whole(1, 3650))


def mount(app: typer.Typer) -> None:
    """Register the commands."""
    release = typer.Typer(no_args_is_help=True, help=_group.__doc__)
    release.callback()(_group)
    release.command("init")(init_command)
    release.command("add")(add_command)
    release.command("offer")(offer_command)
    release.command("withdraw")(withdraw_command)
    release.command("pause")(pause_command)
    release.command("sign")(sign_command)
    release.command("publish")(publish_command)
    release.command("rotate-key")(rotate_command)
    release.command("show")(show_command)
    app.add_typer(release, name="release")


def _group() -> None:
    """Releases: signed bundles of models and settings that devices update themselves from (The Update Framework)."""


def init_command(
    release: Folder,
    keys: Keys,
    root: _Threshold = "1/1",
    targets: Annotated[
        str, typer.Option(metavar="M/N", help="Of N keys of the targets, M must sign. They say what devices may run.")
    ] = "1/1",
    passphrase: Passphrase = None,
) -> None:
    """Make a release with new keys, and publish it empty.

    Example: `quietcam release init release --keys keys --root 2/3 --passphrase @passphrase`
    """
    from datetime import UTC, datetime

    from deploy.release.publish import init

    folder = open_keys(keys, passphrase)
    repository = init(release, folder, {"root": _signers(root), "targets": _signers(targets)}, datetime.now(UTC))
    print(f"{release}: serve metadata/ and targets/ with any web server")
    print(f"{repository.folder / 'metadata' / '1.root.json'}: devices trust this file; give it to them as root.json")
    locked = "with a passphrase" if passphrase else "WITHOUT a passphrase"
    print(f"{keys}: keys of root and targets, {locked}: keep them offline; online-1.pem signs every few days")


def sign_command(
    release: Folder,
    role: Annotated[str, typer.Argument(metavar="root|targets", help="What is signed.")],
    keys: Keys,
    renew: Annotated[bool, typer.Option("--renew", help="Begin a new version, so that it expires later.")] = False,
    passphrase: Passphrase = None,
) -> None:
    """Add the signatures of the keys that are here to what is drafted.

    Example: `quietcam release sign release targets --keys keys`
    """
    from datetime import UTC, datetime

    from tuf.api.metadata import Root, Targets

    from deploy.release.repository import Repository
    from quietcam.errors import UsageError

    kinds: dict[str, Any] = {"root": Root, "targets": Targets}
    if role not in kinds:
        raise UsageError(f"What is signed offline is root or targets. Received: {role}. Remedy: name one of these.")
    repository, folder = Repository(release), open_keys(keys, passphrase)
    draft = repository.draft(role, kinds[role])
    if renew:
        repository.edit(role, kinds[role], folder, datetime.now(UTC))
    elif draft is not None:
        repository.sign(role, draft, folder)
    else:
        raise UsageError(
            f"Only a draft is signed. Received: {role}, of which there is none. "
            "Remedy: `renew=True` begins a new version with a later end."
        )
    say_signed(repository)


def publish_command(
    release: Folder,
    keys: Annotated[Path, typer.Option(help="Folder with the online key.")],
    timestamp_days: Annotated[int, _Days] = 14,
    snapshot_days: Annotated[int, _Days] = 30,
) -> None:
    """Show devices what is signed. Run it every few days, too: the timestamp expires.

    Example: `quietcam release publish release --keys keys`
    """
    from datetime import UTC, datetime

    from deploy.release.publish import publish
    from deploy.release.repository import Repository

    days = {"timestamp": timestamp_days, "snapshot": snapshot_days}
    version = publish(Repository(release), open_keys(keys, None), datetime.now(UTC), days)
    print(f"{release}: published as version {version}; publish again within {timestamp_days} days")


def rotate_command(
    release: Folder,
    role: Annotated[str, typer.Argument(metavar="root|targets|online", help="Whose key.")],
    keys: Keys,
    retire: Annotated[
        str | None, typer.Option(metavar="ID", help="The beginning of the id of the key that goes.")
    ] = None,
    public: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Public key of a new key that is elsewhere, such as in an HSM.")
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Where that key is, as securesystemslib names it: hsm:…, awskms:…, gcpkms:…"),
    ] = None,
    passphrase: Passphrase = None,
) -> None:
    """Replace a key: one that is lost, known to others, or moves into an HSM.

    Example: `quietcam release rotate-key release targets --keys keys`
    """
    from datetime import UTC, datetime

    from deploy.release.keys import public_key_of
    from deploy.release.repository import Repository
    from deploy.release.rotate import rotate_key
    from quietcam.errors import UsageError

    if (public is None) != (signer is None):
        raise UsageError("`public` and `signer` belong together. Received: one of them. Remedy: give both.")
    repository, folder = Repository(release), open_keys(keys, passphrase)
    new = None
    if public is not None and signer is not None:
        new = public_key_of(public)
        folder.add_external(new, signer)
    old, fresh = rotate_key(repository, folder, role, datetime.now(UTC), retire, new)
    print(f"{role}: {old[:12]} goes, {fresh[:12]} comes")
    say_signed(repository)


def show_command(release: Folder, json: Json = None) -> None:
    """Show a release: who signs, until when, its bundles, and who is offered them.

    Example: `quietcam release show release`
    """
    from deploy.release.repository import Repository
    from deploy.release.show import describe_release
    from edge.table import show_table

    report = describe_release(Repository(release))
    rows = [
        [
            each["role"],
            str(each["version"]),
            each["expires"],
            f"{each['threshold']} of {len(each['keys'])}",
            ", ".join(key[:12] for key in each["keys"]),
            (f"draft, lacks {each['missing']}" if each["missing"] else "draft, signed")
            if each["draft"]
            else "published",
        ]
        for each in report["roles"]
    ]
    notes = [f"{each['bundle']}: {each['bytes']} bytes" for each in report["bundles"]]
    for each in report["audiences"]:
        whom = f"channel {each['channel']}" if "channel" in each else f"device {each['device']}"
        offers = [
            f"{offer['bundle']} to {offer['share']:g} %"
            + (f" with {', '.join(offer['tags'])}" if offer["tags"] else "")
            for offer in each["offers"]
        ]
        notes.append(f"{whom}{' (paused)' if each['paused'] else ''}: {'; '.join(offers) or 'nothing'}")
    show_table(json, report, str(release), ["role", "version", "expires", "signers", "keys", "state"], rows, notes)


def _signers(text: str) -> Signers:
    from deploy.release.publish import Signers
    from quietcam.errors import UsageError

    threshold, slash, count = text.partition("/")
    if not slash or not (threshold.isdecimal() and count.isdecimal() and len(text) < 6):
        raise UsageError(f"How many keys sign is M/N. Received: {text}. Remedy: for example 2/3.")
    return Signers(int(count), int(threshold))

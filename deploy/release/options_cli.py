"""What the commands of releases share: options, the keys' folder, and what is said after a change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.release.keys import KeyFolder
    from deploy.release.offers import Audience
    from deploy.release.repository import Repository

__all__ = ["Channel", "Device", "Folder", "Keys", "Passphrase", "audience", "open_keys", "say_signed"]

Folder = Annotated[Path, typer.Argument(metavar="RELEASE", help="The release's folder.")]
Keys = Annotated[Path, typer.Option(help="Folder of the private keys. Keep it away from the release.")]
Passphrase = Annotated[
    str | None,
    typer.Option(
        metavar="PASSPHRASE|@FILE",
        envvar="QUIETCAM_RELEASE_PASSPHRASE",
        show_envvar=True,
        help="Passphrase of the keys of root and targets; @FILE reads it. Without one the keys are not encrypted.",
    ),
]
Channel = Annotated[str, typer.Option(help="The channel.")]
Device = Annotated[
    str | None, typer.Option(metavar="ID", help="One device alone, by its id. It follows no channel from then on.")
]


def open_keys(folder: Path, passphrase: str | None) -> KeyFolder:
    """The folder of keys, with the passphrase itself or from its file."""
    from deploy.release.keys import KeyFolder
    from quietcam.files.at_file import read_at_file

    if passphrase is not None and passphrase.startswith("@"):
        passphrase = read_at_file(passphrase, "a passphrase", "the passphrase").strip()
    return KeyFolder(folder, passphrase)


def audience(channel: str, device: str | None) -> Audience:
    """Whom a command speaks of."""
    from deploy.release.offers import Audience

    return Audience(channel, device)


def say_signed(repository: Repository) -> None:
    """What must happen until devices see a change."""
    from deploy.release.repository import OFFLINE

    for role in OFFLINE:
        if missing := repository.missing(role):
            print(
                f"{role} lacks {missing} more signature{'s' * (missing > 1)}: quietcam release sign "
                f"{repository.folder} {role}"
            )
            return
    print(f"signed; devices see it after: quietcam release publish {repository.folder}")

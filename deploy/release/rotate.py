"""Other keys for a role: a new one counts and an old one does not, as soon as that is signed and published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tuf.api.metadata import Key, Root, Targets

from deploy.release.keys import KeyFolder
from deploy.release.repository import ONLINE, Repository
from quietcam.errors import UsageError

__all__ = ["ROTATED", "rotate_key"]

ROTATED = ("root", "targets", "online")
"""Roles by the names of their keys; ``online`` signs snapshot and timestamp."""


def rotate_key(
    repository: Repository,
    keys: KeyFolder,
    role: str,
    now: datetime,
    retired: str | None = None,
    new: Key | None = None,
) -> tuple[str, str]:
    """Replace one key of a role. The root file is drafted again, signed by the keys before and after that are here.

    Args:
        role: one of ``ROTATED``.
        retired: the beginning of the id of the key that goes. Defaults to the role's only key.
        new: the public half of a key elsewhere. Defaults to a new key in the folder.

    Returns:
        Ids of the key that goes, and of the one that comes.

    Raises:
        UsageError: there is no such role or key.
    """
    if role not in ROTATED:
        raise UsageError(f"Keys belong to {', '.join(ROTATED)}. Received: {role}. Remedy: name one of these.")
    roles = ONLINE if role == "online" else (role,)
    old = _retired(repository.root.roles[roles[0]].keyids, retired)
    fresh = keys.make(keys.free_name(role), encrypted=role != "online") if new is None else new

    def change(root: Root) -> None:
        for each in roles:
            root.add_key(fresh, each)
            root.revoke_key(old, each)

    repository.edit("root", Root, keys, now, change)
    if role == "targets":
        repository.edit("targets", Targets, keys, now)
    return old, fresh.keyid


def _retired(ids: Sequence[str], beginning: str | None) -> str:
    found = [each for each in ids if each.startswith(beginning or "")]
    if len(found) != 1:
        raise UsageError(
            f"One key goes. Received: {beginning or 'no id'}, for {', '.join(each[:12] for each in ids)}. "
            "Remedy: `retire` takes the beginning of one id."
        )
    return found[0]

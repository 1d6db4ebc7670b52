"""Prepares a boot partition, and undoes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.card.boot import BEFORE, FOLDER, RECORD, Boot
from deploy.card.contents import Contents, compose
from deploy.card.settings import Settings
from deploy.card.wheels import hash_of, read_wheels
from quietcam.errors import StorageError, UsageError
from quietcam.files.atomic import atomic_path, write_bytes
from quietcam.files.paths import is_dir, is_file

if TYPE_CHECKING:
    from deploy.card.release import CardRelease

__all__ = ["Change", "prepare", "undo"]

_SPARE = 1 << 20  # bytes that stay free on the card


@dataclass(frozen=True)
class Change:
    """What happens to one file: ``new``, ``changed``, ``unchanged``, ``removed``, ``restored`` or ``left``."""

    path: str
    action: str
    size: int


def prepare(
    root: Path,
    folder: Path,
    config: bytes | None = None,
    settings: Settings | None = None,
    token_on_card: bool = False,
    dry_run: bool = False,
    release: CardRelease | None = None,
) -> list[Change]:
    """Write all that a device needs onto its boot partition. Twice the same leaves everything as it is.

    Args:
        root: the mounted boot partition.
        folder: the wheels, as :func:`deploy.card.fetch.fetch` gathered them.
        dry_run: change nothing.
        release: that the device follows.

    Returns:
        What changed, or would change, in the order of writing.

    Raises:
        UsageError: the card cannot be prepared; nothing was changed.
        StorageError: the card is full or fails.
    """
    boot = Boot(root)
    contents = compose(boot, read_wheels(folder), folder, config, settings or Settings(), token_on_card, release)
    changes = list(_changes(boot, contents))
    if not dry_run:
        _check_space(root, changes)
        if any(change.action != "unchanged" for change in changes):
            write_bytes(root / RECORD, (boot.record | contents.record).to_bytes())
        for change in changes:
            _carry_out(boot, contents, change)
        _remove_empty(root / FOLDER)
    return changes


def _changes(boot: Boot, contents: Contents) -> Iterator[Change]:
    for name, (source, hashed) in contents.copies.items():
        here = is_file(boot.root / name) and hash_of(boot.root / name) == hashed
        yield Change(name, _action(boot, name, here), source.stat().st_size)
    for name, content in contents.texts.items():
        yield Change(name, _action(boot, name, boot.now(name) == content), len(content))
    stale = [name for name in boot.record.files if name not in contents.record.files and is_file(boot.root / name)]
    yield from (_restoring(boot, name) for name in stale if name in boot.record.changed)
    yield from (_removing(boot, name) for name in stale if name not in boot.record.changed)
    yield Change(RECORD, _action(boot, RECORD, boot.record == contents.record), len(contents.record.to_bytes()))


def _action(boot: Boot, name: str, is_same: bool) -> str:
    return "unchanged" if is_same else "changed" if is_file(boot.root / name) else "new"


def _carry_out(boot: Boot, contents: Contents, change: Change) -> None:
    path = boot.root / change.path
    if change.action == "unchanged":
        return
    if change.path in contents.copies:
        with atomic_path(path) as temporary:
            shutil.copyfile(contents.copies[change.path][0], temporary)
    elif change.path in contents.texts:
        write_bytes(path, contents.texts[change.path])
    elif change.path == RECORD:
        write_bytes(path, contents.record.to_bytes())
    else:
        _take_back(boot, change)


def _check_space(root: Path, changes: list[Change]) -> None:
    needed = sum(each.size for each in changes if each.action in ("new", "changed")) + _SPARE
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UsageError(
            f"The boot partition must have room for what it shall hold. Received: {root} with {free >> 20} MiB free, "
            f"{needed >> 20} MiB are needed. Remedy: a system image with a boot partition of 512 MB"
        )


def undo(root: Path, dry_run: bool = False) -> list[Change]:
    """Restore the files of the system byte for byte, and remove our own: all of our folder, the device's texts too.

    A file of the system that was changed again since, as by its first boot, keeps that change.

    Raises:
        UsageError: the folder is no boot partition, or was not prepared.
        StorageError: the card fails.
    """
    boot = Boot(root)
    if not is_file(root / RECORD):
        raise UsageError(f"`boot` is a card that `quietcam card prepare` prepared. Received: {root}, without {RECORD}.")
    recorded = [name for name in boot.record.files if is_file(root / name)]
    restored = [name for name in recorded if name in boot.record.changed]
    hooks = [name for name in recorded if not name.startswith(f"{FOLDER}/") and name not in restored]
    inside = sorted(path.relative_to(root).as_posix() for path in (root / FOLDER).rglob("*") if path.is_file())
    last = [name for name in inside if name.startswith(f"{BEFORE}/")] + [RECORD]
    others = [name for name in inside if name not in last]
    changes = [_restoring(boot, name) for name in restored]
    changes += [_removing(boot, name) for name in [*hooks, *others, *last]]
    if not dry_run:
        for change in changes:
            _take_back(boot, change)
        _remove_empty(root / FOLDER)
    return changes


def _restoring(boot: Boot, name: str) -> Change:
    now, before = boot.now(name), boot.original(name) or b""
    if now is not None and boot.is_written(name, now):
        return Change(name, "restored", len(before))
    return Change(name, "left" if now == before else "changed", len(before))


def _removing(boot: Boot, name: str) -> Change:
    """A file in our folder is ours; one outside is, as long as it has the bytes that we wrote."""
    is_ours = name.startswith(f"{FOLDER}/") or boot.original(name) is None
    return Change(name, "removed" if is_ours else "left", (boot.root / name).stat().st_size)


def _take_back(boot: Boot, change: Change) -> None:
    if change.action in ("restored", "changed"):
        write_bytes(boot.root / change.path, boot.original(change.path) or b"")
    elif change.action == "removed":
        _remove(boot.root / change.path)


def _remove_empty(folder: Path) -> None:
    """Remove a folder, and those in it, as far as they hold nothing."""
    inside = [path for path in folder.rglob("*") if is_dir(path)]
    for place in (*sorted(inside, reverse=True), folder):
        if is_dir(place) and not any(place.iterdir()):
            place.rmdir()


def _remove(path: Path) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError.writing(path, error) from error

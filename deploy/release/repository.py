"""A release's folder on the publisher's machine: metadata that are published, drafts that are not, and the targets.

``metadata/`` and ``targets/`` are what devices see. A change goes into ``draft/`` first. ``publish`` moves a draft over
when it has enough signatures, and signs which versions belong together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from deploy.release.keys import KeyFolder
from edge.update.trust import stored_path
from quietcam.errors import UpdateError, UsageError
from quietcam.files.atomic import atomic_path, write_bytes
from quietcam.files.regular import read_regular

__all__ = ["LIFETIMES", "OFFLINE", "ONLINE", "ROLES", "Repository"]

OFFLINE = ("root", "targets")
ONLINE = ("snapshot", "timestamp")
ROLES = (*OFFLINE, *ONLINE)
LIFETIMES = {"root": 1095, "targets": 365, "snapshot": 30, "timestamp": 14}
"""Days until a role's metadata expire, unless they are signed again."""

_LARGEST = 64 << 20  # bytes of one file of metadata
_KINDS: dict[str, type[Any]] = {"root": Root, "targets": Targets, "snapshot": Snapshot, "timestamp": Timestamp}
_Signed = TypeVar("_Signed", Root, Targets, Snapshot, Timestamp)


class Repository:
    """A release's folder. One command works in it at a time.

    Raises:
        UsageError: there is no release in ``folder``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata, self._drafts = folder / "metadata", folder / "draft"
        if not (self._metadata / "1.root.json").is_file() and not (self._drafts / "root.json").is_file():
            raise UsageError(
                f"A release is a folder that `quietcam release init` made. Received: {folder}. "
                "Remedy: check the path, or make one."
            )

    @property
    def root(self) -> Root:
        """The newest root, be it published or not."""
        return self.newest("root", Root).signed

    @property
    def targets(self) -> Targets:
        """The newest list of targets, be it published or not."""
        return self.newest("targets", Targets).signed

    def published(self, role: str, kind: type[_Signed]) -> Metadata[_Signed] | None:
        """What devices see; None before the first time."""
        if role == "timestamp":
            return self._read(self._metadata / "timestamp.json", kind)
        versions = self._versions(role)
        return self._read(self._metadata / f"{versions[-1]}.{role}.json", kind) if versions else None

    def draft(self, role: str, kind: type[_Signed]) -> Metadata[_Signed] | None:
        """What waits for its signatures or for ``publish``."""
        return self._read(self._drafts / f"{role}.json", kind)

    def newest(self, role: str, kind: type[_Signed]) -> Metadata[_Signed]:
        """The draft, or else what is published."""
        found = self.draft(role, kind) or self.published(role, kind)
        assert found is not None  # `init` made them
        return found

    def edit(
        self,
        role: str,
        kind: type[_Signed],
        keys: KeyFolder,
        now: datetime,
        change: Callable[[_Signed], None] = lambda _: None,
    ) -> Metadata[_Signed]:
        """Change a draft, begun here if there is none, and sign it with the keys that are here.

        Signatures that were there before are gone, since they were for other content.
        """
        metadata = self.draft(role, kind)
        if metadata is None:
            metadata = self.newest(role, kind)
            metadata.signed.version += 1
        metadata.signed.expires = now.replace(microsecond=0) + timedelta(days=LIFETIMES[role])
        change(metadata.signed)
        metadata.signatures.clear()
        return self.sign(role, metadata, keys)

    def sign(self, role: str, metadata: Metadata[_Signed], keys: KeyFolder) -> Metadata[_Signed]:
        """Add the signatures of the keys that are here to a draft, and keep it."""
        for signer in keys.signers(self._keys_of(role, metadata.signed)):
            metadata.sign(signer, append=True)
        write_bytes(self._drafts / f"{role}.json", metadata.to_bytes())
        return metadata

    def missing(self, role: str) -> int:
        """How many signatures a draft still lacks, of its role's keys, and for a root also of those before."""
        metadata = self.newest(role, _KINDS[role])
        counts = [self.root.get_verification_result(role, metadata.signed_bytes, metadata.signatures).missing]
        before = self.published("root", Root)
        if role == "root" and before is not None:
            counts.append(
                before.signed.get_verification_result(role, metadata.signed_bytes, metadata.signatures).missing
            )
        return max(counts)

    def is_trusted(self, role: str, metadata: Metadata[Any] | None) -> bool:
        """Whether metadata are signed as the newest root demands."""
        if metadata is None:
            return False
        try:
            self.root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError:
            return False
        return True

    def publish_draft(self, role: str) -> None:
        """Move a draft to what devices see."""
        metadata = self.draft(role, _KINDS[role])
        if metadata is not None:
            name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
            write_bytes(self._metadata / name, metadata.to_bytes())
            (self._drafts / f"{role}.json").unlink()

    def store(self, path: str, content: bytes | Path, targets: Targets) -> TargetFile:
        """Put a file among the targets, and into ``targets``. Devices see it after ``publish``."""
        if isinstance(content, Path):
            target = TargetFile.from_file(path, str(content), ["sha256"])
            stored = self.folder / stored_path(target)
            if not stored.exists():
                with atomic_path(stored) as draft:
                    draft.write_bytes(content.read_bytes())
        else:
            digest = hashlib.sha256(content).hexdigest()
            target = TargetFile(len(content), {"sha256": digest}, path)
            write_bytes(self.folder / stored_path(target), content)
        targets.targets[path] = target
        return target

    def read_target(self, path: str) -> bytes | None:
        """A small target of the newest list, checked; None if there is none."""
        if (target := self.targets.targets.get(path)) is None:
            return None
        place = self.folder / stored_path(target)
        try:
            content = read_regular(place, _LARGEST)
            target.verify_length_and_hashes(content)
        except (OSError, RepositoryError) as error:
            raise UpdateError(f"A release must be whole. Received: {place}: {error}. Remedy: bring it back.") from error
        return content

    def target_of_metadata(self, metadata: Metadata[Any]) -> MetaFile:
        """What the next role says of this one: version, length and hash."""
        content = metadata.to_bytes()
        return MetaFile.from_data(metadata.signed.version, content, ["sha256"])

    def _keys_of(self, role: str, signed: Any) -> list[Any]:
        """Public keys that count for a draft: those of the newest root; for a root its own, and those before."""
        roots: list[Root] = [signed if role == "root" else self.root]
        before = self.published("root", Root)
        if role == "root" and before is not None:
            roots.append(before.signed)
        return list({each: root.keys[each] for root in roots for each in root.roles[role].keyids}.values())

    def _versions(self, role: str) -> list[int]:
        found = (re.fullmatch(rf"([1-9]\d*)\.{role}\.json", path.name) for path in self._metadata.glob("*.json"))
        return sorted(int(each[1]) for each in found if each)

    def _read(self, path: Path, kind: type[_Signed]) -> Metadata[_Signed] | None:
        try:
            metadata: Metadata[Any] = Metadata.from_bytes(read_regular(path, _LARGEST))
            if not isinstance(metadata.signed, kind):
                raise RepositoryError(f"it is a {metadata.signed.type}")
            return metadata
        except FileNotFoundError:
            return None
        except (OSError, RepositoryError) as error:
            raise UpdateError(
                f"A release's metadata must be readable. Received: {path}: {error}. Remedy: bring back a copy of it."
            ) from error

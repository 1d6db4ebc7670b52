"""Somebody has the server and some of a release's keys. What that is enough for, what it is not, and the way back."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from deploy.release.keys import KeyFolder
from deploy.release.publish import Signers
from deploy.release.repository import Repository
from deploy.release.rotate import rotate_key
from edge.update.trust import stored_path
from quietcam.errors import UpdateError
from tests.deploy.release.made import Made, now, wanted

FAR = 1 << 20
"""A version that an honest publisher never reaches."""


class Thief:
    """Writes files of a mirror without the publisher's checks, signed with the keys that were stolen.

    Attributes:
        mirror: what devices ask.
    """

    def __init__(self, made: Made, keys: Iterable[str]) -> None:
        self.mirror = Path(shutil.copytree(made.folder, made.home / "mirror"))
        self._repository = Repository(self.mirror)
        self._keys = KeyFolder(made.home / "stolen")
        (made.home / "stolen").mkdir()
        for name in ("keys.json", *(f"{each}.pem" for each in keys)):
            (made.home / "stolen" / name).write_bytes((made.keys.folder / name).read_bytes())

    def write(self, role: str, kind: type[Any], **values: Any) -> Metadata[Any]:
        """Publish a role with other values, signed with what there is."""
        metadata = self._repository.published(role, kind)
        assert metadata is not None
        metadata.signed.version += 1
        metadata.signed.expires = now().replace(microsecond=0) + timedelta(days=300)
        for name, value in values.items():
            setattr(metadata.signed, name, value)
        metadata.signatures.clear()
        for keyid in self._repository.root.roles[role].keyids:
            key = self._repository.root.keys[keyid]
            if self._has(keyid):
                for signer in self._keys.signers([key]):
                    metadata.sign(signer, append=True)
        name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        (self.mirror / "metadata" / name).write_bytes(metadata.to_bytes())
        return metadata

    def follow(self, targets: Metadata[Any] | None = None, version: int | None = None) -> None:
        """Publish a snapshot and a timestamp for these targets; both can be had with the online key."""
        newest = targets or self._repository.published("targets", Targets)
        assert newest is not None
        versions = {} if version is None else {"version": version}
        snapshot = self.write("snapshot", Snapshot, meta={"targets.json": _described(newest)}, **versions)
        self.write("timestamp", Timestamp, snapshot_meta=_described(snapshot), **versions)

    def offer(self, content: bytes) -> Metadata[Any]:
        """Targets in which the channel `stable` is ``content``."""
        targets = self._repository.targets.targets
        forged = dict(targets)
        target = self._repository.store("channels/stable.json", content, Targets(targets=forged))
        assert (self.mirror / stored_path(target)).is_file()
        return self.write("targets", Targets, targets=forged)

    def _has(self, keyid: str) -> bool:
        name = self._keys._index()[keyid].removeprefix("file:")
        return (self._keys.folder / name).is_file()


def _described(metadata: Metadata[Any]) -> MetaFile:
    return MetaFile.from_data(metadata.signed.version, metadata.to_bytes(), ["sha256"])


def refused(made: Made, source: Path, state: str = "state") -> str:
    with pytest.raises(UpdateError) as caught:
        made.client(str(source), state=state).check(None)
    return caught.value.reason


NOTHING = b'{"format": 1, "offers": [], "paused": true}\n'


@pytest.mark.parametrize("state", ["state", "new"])
def test_one_key_of_two_offers_nothing(tmp_path: Path, state: str) -> None:
    made = Made(tmp_path, {"targets": Signers(2, 2)})
    made.offer("1")
    made.client().check(None)
    thief = Thief(made, ["targets-1", "online-1"])
    thief.follow(thief.offer(NOTHING))
    assert refused(made, thief.mirror, state) == "foreign"


def test_the_online_key_alone_changes_no_offer(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.offer("1")
    made.client().check(None)
    thief = Thief(made, ["online-1"])
    thief.follow(thief.offer(NOTHING))
    assert refused(made, thief.mirror) == "foreign"


def test_root_keys_below_the_threshold_change_no_key(tmp_path: Path) -> None:
    made = Made(tmp_path, {"root": Signers(3, 2)})
    made.client().check(None)
    thief = Thief(made, ["root-1", "online-1"])
    mine = KeyFolder(tmp_path / "mine").make("mine", encrypted=False)
    root = made.repository.root
    root.add_key(mine, "targets")
    thief.write("root", Root, keys=root.keys, roles=root.roles)
    thief.follow()  # a device asks for a new root when the timestamp is another one
    assert refused(made, thief.mirror) == "foreign"
    assert refused(made, thief.mirror, "new") == "foreign"


def test_a_threshold_of_stolen_keys_is_enough_until_they_are_rotated(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.offer("1")
    thief = Thief(made, ["targets-1", "online-1"])
    thief.follow(thief.offer(NOTHING))
    assert made.client(str(thief.mirror)).check(None).archive is None, "so these keys are kept well"
    for role in ("targets", "online"):
        rotate_key(made.repository, made.keys, role, now())
    made.publish()
    made.offer("2")
    assert wanted(made.client()).bundle == "small-2"
    assert refused(made, thief.mirror) == "foreign"


@pytest.mark.parametrize("role", ["online", "targets"])
def test_versions_that_a_thief_raised_do_not_count_after_the_rotation(tmp_path: Path, role: str) -> None:
    """The attack is called fast forward: honest versions would look old for ever."""
    made = Made(tmp_path)
    made.offer("1")
    thief = Thief(made, ["targets-1", "online-1"])
    targets = thief.write("targets", Targets, version=FAR) if role == "targets" else None
    thief.follow(targets, FAR)
    made.client(str(thief.mirror)).check("small-1")
    made.publish()
    assert refused(made, made.folder) == "rolled_back"
    for each in {"online", role}:
        rotate_key(made.repository, made.keys, each, now())
    made.publish()
    assert made.offer("2") == "small-2"
    assert wanted(made.client(), "small-1").bundle == "small-2"

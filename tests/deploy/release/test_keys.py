"""Keys of a release: their files, passphrases, rotation, and what a device makes of it."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tuf.api.metadata import Root, Targets

from deploy.release.keys import KeyFolder, public_key_of
from deploy.release.publish import Signers, init, publish
from deploy.release.repository import Repository
from deploy.release.rotate import ROTATED, rotate_key
from quietcam.errors import UpdateError, UsageError
from tests.deploy.release.made import Made, now, wanted


def test_keys_belong_to_their_owner_alone(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys", "correct horse")
    init(tmp_path / "release", keys, {}, now())
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (b"ENCRYPTED" in path.read_bytes()) == (path.stem != "online-1")
    with pytest.raises(UsageError, match="empty folder"):
        init(tmp_path / "release", keys, {}, now())
    with pytest.raises(UsageError, match="never overwritten"):
        init(tmp_path / "other", keys, {}, now())


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys", "correct horse")
    repository = init(tmp_path / "release", keys, {}, now())
    for wrong in (None, "battery staple"):
        with pytest.raises(UsageError, match="passphrase"):
            repository.edit("targets", Targets, KeyFolder(tmp_path / "keys", wrong), now())
    repository.edit("targets", Targets, keys, now())
    publish(repository, KeyFolder(tmp_path / "keys"), now())  # the online key has none


@pytest.mark.parametrize("role", ROTATED)
def test_a_device_follows_another_key(tmp_path: Path, role: str) -> None:
    made = Made(tmp_path)
    made.offer("1")
    assert wanted(made.client()).bundle == "small-1"
    old, fresh = rotate_key(made.repository, made.keys, role, now())
    made.publish()
    assert made.client().check(None).is_new
    assert wanted(made.client()).bundle == "small-1"
    assert wanted(made.client(state="new")).bundle == "small-1"
    root = made.repository.root
    assert old not in root.keys
    assert fresh in root.keys
    made.offer("2")
    assert wanted(made.client()).bundle == "small-2"


def test_what_the_retired_key_signs_is_refused(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.client().check(None)
    rotate_key(made.repository, made.keys, "targets", now())
    made.publish()
    made.client().check(None)
    # Whoever has the old key of the targets and the server signs a list of their own.
    stolen = KeyFolder(tmp_path / "stolen")
    stolen.folder.mkdir()
    for name in ("targets-1.pem", "online-1.pem", "keys.json"):
        (stolen.folder / name).write_bytes((made.keys.folder / name).read_bytes())
    index = stolen.folder / "keys.json"
    index.write_text(
        "\n".join(line for line in index.read_text().splitlines() if "-2" not in line and "root" not in line)
    )
    index.write_text(index.read_text().replace(",\n}", "\n}"))
    made.repository.edit("targets", Targets, stolen, now())
    assert made.repository.missing("targets") == 1
    with pytest.raises(UpdateError, match="lacks 1"):
        publish(made.repository, stolen, now())


def test_a_root_of_three_keys_survives_the_loss_of_one(tmp_path: Path) -> None:
    made = Made(tmp_path, {"root": Signers(3, 2)})
    lost = made.repository.root.roles[Root.type].keyids[0]
    index = made.keys.folder / "keys.json"
    (made.keys.folder / "root-1.pem").unlink()
    index.write_text(index.read_text().replace(lost, "0" * 64))
    with pytest.raises(UsageError, match="One key goes"):
        rotate_key(made.repository, made.keys, "root", now())
    rotate_key(made.repository, made.keys, "root", now(), lost[:12])
    made.publish()
    assert made.client().check(None).is_new
    assert len(made.repository.root.roles[Root.type].keyids) == 3


def test_signatures_are_gathered_one_by_one(tmp_path: Path) -> None:
    made = Made(tmp_path, {"targets": Signers(2, 2)})
    index = (made.keys.folder / "keys.json").read_text()

    def only(number: int) -> KeyFolder:
        folder = tmp_path / f"only{number}"
        folder.mkdir()
        other = f"targets-{3 - number}"
        left = "\n".join(line for line in index.splitlines() if other not in line).replace(",\n}", "\n}")
        (folder / "keys.json").write_text(left)
        for path in made.keys.folder.glob("*.pem"):
            if path.stem != other:
                (folder / path.name).write_bytes(path.read_bytes())
        return KeyFolder(folder)

    made.repository.edit("targets", Targets, only(1), now())
    assert made.repository.missing("targets") == 1
    draft = made.repository.draft("targets", Targets)
    assert draft is not None
    made.repository.sign("targets", draft, only(2))
    assert made.repository.missing("targets") == 0
    made.publish()


def test_a_key_elsewhere_is_noted_and_asked_for(tmp_path: Path) -> None:
    made = Made(tmp_path)
    private = Ed25519PrivateKey.generate()
    pem = tmp_path / "public.pem"
    pem.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    key = public_key_of(pem)
    made.keys.add_external(key, "nowhere:1")
    with pytest.raises(UsageError, match="nowhere:1"):
        rotate_key(made.repository, made.keys, "targets", now(), new=key)
    # securesystemslib's own file signer stands for an HSM here: it is found by its URI alone.
    secret = tmp_path / "elsewhere.pem"
    encoding, form, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(private.private_bytes(encoding, form, bare))
    made.keys.add_external(key, f"file2:{secret}")
    repository = Repository(made.folder)
    repository.edit("targets", Targets, made.keys, now())
    assert repository.missing("targets") == 0
    made.publish()
    assert made.client().check(None).is_new
    with pytest.raises(UsageError, match="PEM file"):
        public_key_of(tmp_path / "release")


def test_signing_again_moves_the_end(tmp_path: Path) -> None:
    made = Made(tmp_path)
    before = made.repository.targets.expires
    made.repository.edit("targets", Targets, made.keys, now() + timedelta(days=10))
    assert made.repository.targets.expires > before + timedelta(days=9)


def test_a_folder_without_a_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quietcam release init"):
        Repository(tmp_path)
    with pytest.raises(UsageError, match="for example 2 of 3"):
        Signers(1, 2)

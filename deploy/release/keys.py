"""Keys of a release: made, kept in files of their owner alone, and found again by the roles that they sign for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.exceptions import Error as LibraryError
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from quietcam.errors import JsonError, StorageError, UpdateError, UsageError
from quietcam.files.atomic import make_folder, write_json
from quietcam.files.regular import read_regular
from quietcam.files.strict_json import read_object

__all__ = ["KeyFolder", "public_key_of"]

_INDEX = "keys.json"
_FILE = "file:"
_LARGEST = 64 << 10  # bytes


class KeyFolder:
    """A folder of private keys, and the list of keys that are elsewhere, such as in an HSM.

    ``keys.json`` gives for each key id where its private half is: ``file:NAME.pem`` in this folder, or a URI of
    securesystemslib, such as ``hsm:2?label=…``, ``awskms:…`` or ``gcpkms:…``.

    Args:
        folder: created if it does not exist, for its owner alone.
        passphrase: of the keys that are encrypted.
    """

    def __init__(self, folder: Path, passphrase: str | None = None) -> None:
        self.folder = folder
        self._passphrase = passphrase

    def make(self, name: str, *, encrypted: bool) -> Key:
        """Make an Ed25519 key in ``NAME.pem``, readable by its owner alone. Its public half.

        Args:
            encrypted: with the passphrase, if there is one.

        Raises:
            UsageError: there is such a file.
            StorageError: it cannot be written.
        """
        private = Ed25519PrivateKey.generate()
        locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if encrypted and self._passphrase:
            locked = serialization.BestAvailableEncryption(self._passphrase.encode())
        content = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        make_folder(self.folder)
        path = self.folder / f"{name}.pem"
        try:
            self.folder.chmod(0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:  # noqa: PTH123  a descriptor
                file.write(content)
                file.flush()
                os.fsync(handle)
        except FileExistsError:
            raise UsageError(
                f"A key is never overwritten. Received: {path}, which exists. "
                "Remedy: choose another folder for the keys."
            ) from None
        except OSError as error:
            raise StorageError.writing(path, error) from error
        public = SSlibKey.from_crypto(private.public_key())
        self._note(public.keyid, f"{_FILE}{path.name}")
        return public

    def add_external(self, key: Key, uri: str) -> None:
        """Note where the private half of ``key`` is: a URI of securesystemslib."""
        make_folder(self.folder)
        self._note(key.keyid, uri)

    def signers(self, keys: Iterable[Key]) -> list[Signer]:
        """A signer for each of ``keys`` of which this folder has the private half, or knows where it is.

        Raises:
            UsageError: a key is encrypted, and the passphrase is missing or wrong; or a signer cannot be had.
            UpdateError: a key cannot be read.
        """
        index = self._index()
        return [self._signer(key, index[key.keyid]) for key in keys if key.keyid in index]

    def free_name(self, role: str) -> str:
        """``ROLE-N`` with the first N of which there is no key."""
        number = 1
        while (self.folder / f"{role}-{number}.pem").exists():
            number += 1
        return f"{role}-{number}"

    def _signer(self, key: Key, uri: str) -> Signer:
        if not uri.startswith(_FILE):
            try:
                return Signer.from_priv_key_uri(uri, key, lambda _: self._passphrase or "")
            except (LibraryError, ValueError, OSError, ImportError) as error:
                raise UsageError(
                    f"A key outside this folder must be reachable. Received: {uri}: {error}. "
                    "Remedy: connect it, and install what securesystemslib needs for it."
                ) from error
        path = self.folder / uri.removeprefix(_FILE)
        try:
            content = read_regular(path, _LARGEST)
        except OSError as error:
            raise UpdateError(
                f"A key must be readable. Received: {path}: {error.strerror or error}. Remedy: bring it back."
            ) from error
        locked = b"ENCRYPTED" in content
        try:
            given = self._passphrase.encode() if locked and self._passphrase else None
            private = serialization.load_pem_private_key(content, given)
            assert isinstance(key, SSlibKey)
            return CryptoSigner(private, key)
        except (ValueError, TypeError, LibraryError) as error:
            why = "without its passphrase" if locked and not self._passphrase else str(error)
            raise UsageError(
                f"An encrypted key needs its `passphrase`. Received: {path}: {why}. "
                "Remedy: set QUIETCAM_RELEASE_PASSPHRASE, or give `passphrase=@FILE`."
            ) from error

    def _index(self) -> dict[str, str]:
        path = self.folder / _INDEX
        try:
            return {key: str(uri) for key, uri in read_object(path).items()}
        except FileNotFoundError:
            return {}
        except (OSError, JsonError) as error:
            raise UpdateError(f"The list of keys must be readable. Received: {path}: {error}.") from error

    def _note(self, keyid: str, uri: str) -> None:
        write_json(self.folder / _INDEX, {**self._index(), keyid: uri})


def public_key_of(path: Path) -> Key:
    """The public key of a PEM file, such as an HSM's.

    Raises:
        UsageError: it is none.
    """
    try:
        return SSlibKey.from_crypto(serialization.load_pem_public_key(read_regular(path, _LARGEST)))
    except (OSError, ValueError, LibraryError) as error:
        raise UsageError(f"A public key is a PEM file. Received: {path}: {error}. Remedy: check the file.") from error

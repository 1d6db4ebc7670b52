"""What a card tells a device about its surroundings: host name, SSH keys, Wi-Fi."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from quietcam.errors import UsageError
from quietcam.files.regular import read_regular_text

__all__ = ["Settings", "Wifi", "read_host_name", "read_ssh_keys", "read_wifi"]

_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)
_SSH_KEY = re.compile(r"(?:ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,3}(?: .*)?")
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


@dataclass(frozen=True)
class Wifi:
    """A wireless network.

    Attributes:
        key: 64 hexadecimal digits that open this network and no other (the pre-shared key of WPA2). None: it is open.
        country: two letters: which channels are allowed.
    """

    name: str
    key: str | None = field(repr=False)
    country: str


@dataclass(frozen=True)
class Settings:
    """What the device is told. Nothing is given: the device keeps what it has."""

    host_name: str | None = None
    ssh_keys: tuple[str, ...] = ()
    wifi: Wifi | None = None


def read_host_name(text: str) -> str:
    """Check a host name: letters, digits and hyphens, 63 at most (RFC 1123).

    Raises:
        UsageError: it is none.
    """
    if not _HOST_NAME.fullmatch(text):
        raise UsageError(
            f"`hostname` has 1 to 63 letters, digits and hyphens, and no hyphen at its ends. Received: {text}. "
            "Remedy: for example `hostname=camera1`"
        )
    return text.lower()


def read_ssh_keys(paths: list[Path]) -> tuple[str, ...]:
    """The public keys of files such as ``id_ed25519.pub``, one a line.

    Raises:
        UsageError: a file cannot be read, has no key, or holds a private key.
    """
    keys: list[str] = []
    for path in paths:
        try:
            text = read_regular_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise _no_key(path, getattr(error, "strerror", None) or "it is not text") from None
        lines = [line.strip() for line in text.splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        if "PRIVATE KEY" in text:
            raise _no_key(path, "a private key, which must never leave its machine")
        if not found or not all(_SSH_KEY.fullmatch(line) and line.isprintable() for line in found):
            raise _no_key(path, "a line that is no public key")
        keys += found
    return tuple(dict.fromkeys(keys))


def _no_key(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"`ssh_key` is a file of public keys. Received: {path}: {reason}. "
        "Remedy: name the file whose name ends in .pub; ssh-keygen -t ed25519 makes one"
    )


def read_wifi(name: str, password: str | None, country: str | None) -> Wifi:
    """Check a wireless network, and derive its key from the password.

    Args:
        name: its SSID: 1 to 32 bytes of UTF-8.
        password: 8 to 63 printable ASCII characters, or the key itself: 64 hexadecimal digits. None: it is open.
        country: two letters (ISO 3166).

    Raises:
        UsageError: one of them is not so. The message never shows the password.
    """
    if not 1 <= len(name.encode("utf-8", "replace")) <= 32 or not name.isprintable():
        raise UsageError(f"`wifi` is the name of a network: 1 to 32 bytes of printable text. Received: {name!r}.")
    if country is None or not _COUNTRY.fullmatch(country.upper()):
        raise UsageError(
            f"A card with `wifi` needs `wifi_country`, two letters. Received: {country}. "
            "Remedy: for example `wifi_country=DE`: the radio stays off until it knows which channels are allowed"
        )
    return Wifi(name, None if password is None else wifi_key(name, password), country.upper())


def wifi_key(name: str, password: str) -> str:
    """The key of a WPA2 network: PBKDF2 of the password with the network's name as salt (IEEE 802.11i, H.4).

    Raises:
        UsageError: the password has another form.
    """
    if _HEX_KEY.fullmatch(password):
        return password.lower()
    if not 8 <= len(password) <= 63 or not all(" " <= letter <= "~" for letter in password):
        raise UsageError(
            "`wifi_password` has 8 to 63 printable ASCII characters, or is a key of 64 hexadecimal digits. "
            f"Received: {len(password)} characters, not shown."
        )
    return hashlib.pbkdf2_hmac("sha1", password.encode(), name.encode(), 4096, 32).hex()

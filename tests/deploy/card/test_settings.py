"""Host names, SSH keys and Wi-Fi: what is accepted, what is refused, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.card.settings import read_host_name, read_ssh_keys, read_wifi, wifi_key
from quietcam.errors import UsageError

KEY = "ssh-ed25519 " + "A" * 68 + " me@desk"


@pytest.mark.parametrize(
    ("password", "name", "key"),
    [  # the test vectors of IEEE 802.11i, H.4.3
        ("password", "IEEE", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
        ("ThisIsAPassword", "ThisIsASSID", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"),
        ("a" * 32, "Z" * 32, "becb93866bb8c3832cb777c2f559807c8c59afcb6eae734885001300a981cc62"),
    ],
)
def test_the_key_of_a_network_is_that_of_the_standard(password: str, name: str, key: str) -> None:
    assert wifi_key(name, password) == key
    assert wifi_key(name, key.upper()) == key


@given(st.text(max_size=80))
def test_a_wrong_password_is_refused_and_never_shown(password: str) -> None:
    try:
        assert len(wifi_key("Home", password)) == 64
    except UsageError as error:
        assert len(password) < 8 or len(password) > 63 or not password.isascii() or not password.isprintable()
        assert len(password) < 4 or password not in str(error)  # noqa: PT017


def test_a_network_does_not_show_its_key() -> None:
    wifi = read_wifi("Home", "correct horse", "de")
    assert (wifi.name, wifi.country) == ("Home", "DE")
    assert wifi.key is not None
    assert wifi.key not in repr(wifi)
    assert read_wifi("Open", None, "DE").key is None


@pytest.mark.parametrize(
    ("name", "country"), [("", "DE"), ("a" * 33, "DE"), ("ü" * 17, "DE"), ("a\nb", "DE"), ("a", None)]
)
def test_a_network_that_cannot_be_is_refused(name: str, country: str | None) -> None:
    with pytest.raises(UsageError, match="Received"):
        read_wifi(name, "correct horse", country)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a.b", "a b", "ü", "a" * 64, "a\n", "$(reboot)"])
def test_a_host_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="hostname"):
        read_host_name(name)
    assert read_host_name("Camera-1") == "camera-1"


def test_public_keys_are_read_once_each(tmp_path: Path) -> None:
    path = tmp_path / "id.pub"
    path.write_text(f"# mine\n{KEY}\n\n{KEY}\n")
    assert read_ssh_keys([path, path]) == (KEY,)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "hello\n", f"{KEY}\nhello\n", "ssh-ed25519 AAAA\n", f'command="sh" {KEY}\n', f"{KEY}\x1b[2J\n"],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "id.pub"
    path.write_text(text)
    with pytest.raises(UsageError, match="public keys"):
        read_ssh_keys([path])


def test_a_private_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="private key") as caught:
        read_ssh_keys([path])
    assert "c2VjcmV0" not in str(caught.value)

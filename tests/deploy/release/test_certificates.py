"""A release over HTTPS: a server whose certificate this system does not trust is not asked for anything."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quietcam.errors import UpdateError
from tests.deploy.release.hostile import serving
from tests.deploy.release.made import Made, now, wanted

HERE = "127.0.0.1"


def certificate(folder: Path, address: str = HERE, days: int = 2) -> tuple[ssl.SSLContext, Path]:
    """What a server needs for a certificate that signs itself, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of the tests")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=30))
        .not_valid_after(now() + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, private = folder / "server.pem", folder / "server.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return context, path


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path)
    made.offer("1")
    return made


def test_a_certificate_that_this_system_trusts(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with serving(made.folder, context) as server:
        client = made.client(server.url)
        assert client.fetch(wanted(client)).read_bytes() == (made.home / "small-1.tar").read_bytes()


@pytest.mark.parametrize(
    ("address", "days", "known", "why"),
    [
        (HERE, 2, False, "self-signed certificate"),
        (HERE, -1, True, "certificate has expired"),
        ("127.0.0.2", 2, True, "IP address mismatch"),
    ],
)
def test_a_certificate_that_it_does_not_trust(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, days: int, known: bool, why: str
) -> None:
    context, path = certificate(tmp_path, address, days)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with serving(made.folder, context) as server:
        with pytest.raises(UpdateError, match=why) as caught:
            made.client(server.url).check(None)
        assert caught.value.reason == "offline"
        assert server.asked == [], "nothing was asked over such a connection"


def test_https_never_leads_to_http(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with serving(made.folder) as plain, serving(made.folder, context) as server:

        def moved(path: str, handler: BaseHTTPRequestHandler) -> bool:
            handler.send_response(302)
            handler.send_header("Location", f"{plain.url}/{path}")
            handler.end_headers()
            return True

        server.lie = moved
        with pytest.raises(UpdateError, match="redirects") as caught:
            made.client(server.url).check(None)
        assert caught.value.reason == "offline"
        assert plain.asked == []

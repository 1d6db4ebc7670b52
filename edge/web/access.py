"""Access to the page: the token, its cookie, the Host and Origin of requests, and the headers of answers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = [
    "HEADERS",
    "LONGEST_TOKEN",
    "SHORTEST_TOKEN",
    "Access",
    "host_allowed",
    "is_loopback",
    "new_token",
    "origin_allowed",
]

SHORTEST_TOKEN = 12
LONGEST_TOKEN = 256

_PREFIX = "quietcam-"
_MADE = re.compile(_PREFIX.encode() + rb"[\w-]{24}")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of our own forms "null"
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "quietcam",
}
"""Headers of every answer."""


class Access:
    """Checks tokens and the cookie that a browser gets for one.

    The cookie is an HMAC of the token: it stays valid across restarts and does not reveal the token.

    Args:
        token: token that viewers must enter to open the page; None: everybody may open it.
        port: port of the server; part of the cookie's name, because cookies do not distinguish ports.
    """

    def __init__(self, token: str | None, port: int) -> None:
        self._token = None if token is None else token.encode()
        self.cookie_name = f"quietcam_{port}"
        self.cookie = "" if token is None else hmac.digest(token.encode(), b"quietcam cookie", "sha256").hex()

    @property
    def is_beyond_guessing(self) -> bool:
        """The token was made by :func:`new_token`: no number of guesses finds it."""
        return self._token is not None and _MADE.fullmatch(self._token) is not None

    @property
    def is_open(self) -> bool:
        return self._token is None

    def token_is_right(self, token: str) -> bool:
        """Compare the hashes, which takes the same time for every token."""
        if self._token is None:
            return True
        given, right = (hashlib.sha256(each).digest() for each in (token.encode("utf-8", "replace"), self._token))
        return hmac.compare_digest(given, right)

    def cookie_is_right(self, cookie: str | None) -> bool:
        if self._token is None:
            return True
        return cookie is not None and hmac.compare_digest(cookie.encode("utf-8", "replace"), self.cookie.encode())


def new_token() -> str:
    """A token of 144 bits that nobody can guess, in a form that shows that quietcam made it."""
    return _PREFIX + secrets.token_urlsafe(18)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that the server listens to."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def host_allowed(host: str | None, names: frozenset[str]) -> bool:
    """Whether a ``Host`` header may be answered: an IP address, or one of ``names``.

    A page on the internet can make its own name point at this machine (DNS rebinding), and would then count as the
    same origin. It cannot do so with an address, or with a name that is ours.
    """
    name = _name_of(host or "")
    if name is None:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".").lower() in names
    return True


def origin_allowed(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from our own page, or from no page at all (curl sends no Origin)."""
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str | None:
    """The name in ``name``, ``name:port`` or ``[v6]:port``; None for any other text."""
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:
        return None
    del port
    clean = parts.netloc == host and parts.username is None and not parts.path and not parts.query
    return parts.hostname if clean else None

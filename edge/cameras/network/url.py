"""CameraUrl: the URL of a camera in its parts; a password may contain any character."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from quietcam.errors import UsageError
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = ["SCHEMES", "CameraUrl", "is_url"]

SCHEMES = {
    **{"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443},
    **{"srt": 0, "udp": 0, "tcp": 0},
}
"""The schemes of cameras and their ports; 0: the URL must name the port."""

DATAGRAMS = ("srt", "udp")
"""Schemes without a connection that could be tried."""

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(/*)(.*)", re.DOTALL)
_PLACE = re.compile(r"(\[[^\]/?#@]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?(?=[/?#]|$)")
_LONGEST, _LONGEST_HOST = 2048, 253  # characters
_AS_IT_IS = "/?&=#:@+,;!$'()*~[]-._"


def is_url(source: str) -> bool:
    """Whether ``source`` is written as a URL of any scheme, with or without its two slashes."""
    found = _FORM.match(source)
    if found is None:
        return False
    scheme, slashes, rest = found.groups()
    return len(slashes) >= 2 or (scheme.lower() in SCHEMES and bool(rest)) or (not slashes and "@" in rest)


@dataclass(frozen=True)
class CameraUrl:
    """The parts of a camera's URL.

    Attributes:
        scheme: one of ``SCHEMES``, in lower case.
        user, password: decoded, without % codes; None if the URL has none. Never shown.
        host, port: where the camera is.
        tail: path, query and fragment, from the first slash on.
        name: the URL as it may be shown, without secrets.
    """

    scheme: str
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    host: str
    port: int
    tail: str = field(repr=False)
    name: str

    @classmethod
    def parse(cls, text: str) -> CameraUrl:
        """Split ``text``. A password may be written literally or with % codes.

        Raises:
            UsageError: ``text`` is not the URL of a camera, or it can be read in two ways.
        """
        name = shown(text, whole=True)
        if len(text) > _LONGEST or not text.isprintable():  # bytes that are not UTF-8 are not printable either
            raise _no_url(printable(name)[:200])
        found = _FORM.match(text)
        scheme, slashes, rest = found.groups() if found else ("", "", "")
        if scheme.lower() not in SCHEMES or slashes != "//" or any(map(str.isspace, rest.rpartition("@")[2])):
            raise _no_url(name)
        usual = SCHEMES[scheme.lower()]
        if not usual:  # udp://:5000 and udp://@:5000 listen at every address
            rest = re.sub("^:", "0.0.0.0:", rest.removeprefix("@"))
        user, place, tail = _split(rest, name)
        host, port = _place(place, name)
        if not (port or usual):
            raise UsageError(
                f"A URL of {scheme.lower()} must name its port. Received: {name}. "
                f"Remedy: for example {scheme.lower()}://0.0.0.0:5000."
            )
        name_of, colon, password = (user or "").partition(":")
        return cls(
            scheme.lower(),
            None if user is None else _decoded(name_of),
            _decoded(password) if colon else None,
            host,
            port or usual,
            tail,
            name,
        )

    @property
    def full(self) -> str:
        """The URL with user and password in % codes, for the program that opens it. Never show it."""
        user = ""
        if self.user is not None:
            user = quote(self.user, safe="")
            user += f":{quote(self.password, safe='')}@" if self.password is not None else "@"
        return f"{self.scheme}://{user}{self._address}"

    @property
    def bare(self) -> str:
        """The URL without user, password and fragment, for an HTTP request. Never show it: a query may be secret."""
        return f"{self.scheme}://{self._address.partition('#')[0]}"

    @property
    def _address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port != SCHEMES[self.scheme] else ""
        # A % that starts no code is an ordinary character of the path.
        tail = quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", self.tail), safe=_AS_IT_IS + "%")
        return f"{host}{port}{tail}"


def _split(rest: str, name: str) -> tuple[str | None, str, str]:
    """Split the text after ``//`` into user information, place and tail. By the standard the place ends at the first
    of ``/?#``. People paste passwords that contain these, so if the strict reading gives no place, the last ``@``
    separates the password from it.
    """
    place, tail = _cut(rest)
    user, at, host = place.rpartition("@")
    strict = (user if at else None, host, tail)
    if "@" not in tail:
        return strict
    user, _, other = rest.rpartition("@")
    loose = (user, *_cut(other))
    if not _is_place(loose[1]):
        return strict
    if not _is_place(host):
        return loose
    # Both readings make sense: rtsp://admin:12/34@camera/ and http://camera:80/a@2x. The wrong one would send part of a
    # password to the name server and to the host that answers.
    bare = not at and ":" not in host  # no password fits there
    if bare or (_is_address(host) and not _is_address(loose[1])):
        return strict
    raise UsageError(
        "A URL with @ behind its first / ? or # can be read in two ways. "
        f"Received: {name}. Remedy: in user and password write / as %2F, ? as %3F, # as %23, @ as %40; behind the host "
        "write @ as %40."
    )


def _cut(text: str) -> tuple[str, str]:
    """The text before the first of ``/?#``, and the rest."""
    end = min((at for at in map(text.find, "/?#") if at >= 0), default=len(text))
    return text[:end], text[end:]


def _is_place(text: str) -> bool:
    found = _PLACE.fullmatch(text)
    return found is not None and (found[2] is None or 0 < int(found[2]) < 65536)


def _is_address(place: str) -> bool:
    found = _PLACE.fullmatch(place)
    try:
        return found is not None and bool(ipaddress.ip_address(found[1].strip("[]").partition("%")[0]))
    except ValueError:
        return False


def _place(text: str, name: str) -> tuple[str, int | None]:
    found = _PLACE.fullmatch(text)
    if found is None or not _is_place(text) or (text.startswith("[") and not _is_address(text)):
        raise _no_url(name)
    host = found[1].strip("[]")
    try:
        if (
            len(host.encode("idna")) > _LONGEST_HOST
        ):  # as a name server is asked: at most 63 characters between two dots
            raise _no_url(name)
    except UnicodeError:
        if not _is_address(text):
            raise _no_url(name) from None
    return host, int(found[2]) if found[2] else None


def _decoded(text: str) -> str:
    return unquote(text) if re.search(r"%[0-9A-Fa-f]{2}", text) else text


def _no_url(name: str) -> UsageError:
    return UsageError(
        f"The URL of a camera is one of {', '.join(f'{scheme}://HOST/…' for scheme in SCHEMES)}. If the camera asks "
        f"for a password, put user, colon, password and @ before HOST. Received: {name}. Remedy: see the camera's "
        "manual for the URL of its stream."
    )

"""URLs as they may be shown. Every message, report and log line that may hold one goes through ``shown``."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["shown", "shown_words"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(/*)(.*)", re.DOTALL)
_IN_TEXT = re.compile(r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "ftp"})
_HIDDEN = "***"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%a-z]*\]|[A-Za-z0-9._\-]*)(?::([^/?#]*))?")
_HARMLESS = re.compile(r"[A-Za-z]{1,16}=[0-9]{1,2}")  # channel=1, subtype=0: they tell cameras apart
_KEY = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_\-]{12,}")  # a path of some recorders is the password


def shown(text: str, whole: bool = False) -> str:
    """A text without what is secret in the URLs of it: user, password, values of a query, keys in a path.

    Hides too much rather than too little: all that stands before the last ``@`` of a URL.

    Args:
        whole: the text is one URL, or another source that a user named, and may hold spaces.

    >>> shown("rtsp://admin:p#s/w@rd@10.0.0.9/live?token=x is lost")
    'rtsp://***@10.0.0.9/live?*** is lost'
    """
    if whole:
        return _one(text)
    return _IN_TEXT.sub(lambda found: _one(found[0]), text)


def shown_words(text: str, words: Iterable[str]) -> str:
    """``text``, which may quote ``words`` of a command line: as ``shown``, also where a password holds spaces."""
    for word in words:
        for value in (word, word.partition("=")[2]):
            hidden = _one(value) if _URL.match(value) else value
            if hidden != value:
                text = text.replace(value, hidden).replace(repr(value)[1:-1], hidden)
                text = text.replace(" ".join(value.split()), hidden)
    return shown(text)


def _one(text: str) -> str:
    found = _URL.match(text)
    if found is None:
        return text
    scheme, slashes, rest = found.groups()
    known = scheme.lower() in _SCHEMES or (slashes and "?" in rest)  # a path of it has lost a slash
    if "@" not in rest and len(slashes) < 2 and not known:  # KEY:VALUE of something else
        return f"{scheme}:{slashes}{_IN_TEXT.sub(lambda inner: _one(inner[0]), rest)}"
    strict = rest[: min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))]
    before, _, place = rest.rpartition("@")
    if "@" in rest[len(strict) :] and _is_place(strict.rpartition("@")[2]):
        # What stands behind the last @ may be a part of a query, and what stands before it one of a password.
        before, _, place = "", "", rest if _is_number(strict) else _HIDDEN
    ends = re.search(r"[.,;:)'\"]*$", place)
    end = ends[0] if ends is not None else ""  # of the sentence around it
    place = place[: len(place) - len(end)] if end else place
    start = f"{scheme}:{slashes}" if slashes or scheme.lower() in _SCHEMES else ""
    user = f"{_HIDDEN}@" if before or ("@" in rest and place not in (rest, _HIDDEN)) else ""
    return f"{start}{user}{_place(place)}{end}"


def _is_place(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and bool(found[1]) and (found[2] is None or found[2].isdigit())


def _is_number(text: str) -> bool:
    """Whether it is an address, which is nobody's name."""
    found = _HOST.fullmatch(text)
    return found is not None and (found[1].startswith("[") or re.fullmatch(r"[0-9.]{7,15}", found[1]) is not None)


def _place(text: str) -> str:
    """Host, port and path, as far as they are such."""
    if text in ("…", "HOST/…"):
        return text  # our own, in a remedy
    host = _HOST.match(text)
    if host is None or (host.end() < len(text) and text[host.end()] not in "/?#"):
        return _HIDDEN
    port = host[2]
    if port is None:
        return f"{host[1]}{_path(text[host.end() :])}"
    if re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536:
        return f"{host[1]}:{port}{_path(text[host.end() :])}"
    return f"{host[1]}:{_HIDDEN}"  # a password where the host was forgotten, and what stands behind it is its rest


def _path(text: str) -> str:
    path, _, _ = text.partition("#")
    path, query, values = path.partition("?")
    if "=" in path:  # user=admin_password=…, as some cameras have it
        path = f"{path.partition('=')[0]}={_HIDDEN}"
        return f"{path}{query and '?'}{query and _HIDDEN}"
    path = "/".join(_HIDDEN if _KEY.fullmatch(segment) else segment for segment in path.split("/"))
    kept: list[str] = []
    for part in values.split("&") if query else ():
        if not _HARMLESS.fullmatch(part):
            kept.append(_HIDDEN)
            break
        kept.append(part)
    return f"{path}{query}{'&'.join(kept)}"

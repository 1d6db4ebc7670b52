"""Hiding secrets in text: passwords in URLs, tokens. Messages, reports and lines of the log go through ``shown``."""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections.abc import Iterable, Mapping
from typing import Any

from quietcam.terminal.secret_names import HIDDEN, hide_assigned, is_secret

__all__ = ["shown", "shown_values", "shown_words"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):(/*+)(.*)", re.DOTALL)
_RUN = re.compile(r"\S++")
_AT = re.compile(r"(?<=\S)@(?=\S)")
_COLON = re.compile(r":|%3[aA]")
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.\-])([A-Za-z][A-Za-z0-9+.\-]*+):")
_SCHEMES = frozenset(
    {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "ftp", "mqtt", "mqtts"}
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%a-z]*\]|[A-Za-z0-9._\-]*)(?::([^/?#]*))?")
_KEYED = ("rtmp", "rtmps")
_STREAM_KEY = re.compile(r"^([^/?#]*/[^/?#]+/)[^?#]+")  # whoever knows what follows the application may publish
_HARMLESS = re.compile(r"[A-Za-z]{1,16}=[0-9]{1,2}")  # channel=1, subtype=0: they distinguish cameras
_KEY = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_\-]{12,}")  # the path of some recorders is a password


def shown(text: str, whole: bool = False) -> str:
    """Return ``text`` without secrets.

    Hidden are user, password, values of the query and keys in the path of a URL, and values after the name of a secret,
    as in ``token = …``. When in doubt, more is hidden: everything before the last ``@`` of a URL. The time is linear in
    the length of the text, also for hostile text.

    Args:
        whole: the text is one URL, or another source that a user named, and may contain spaces.

    >>> shown("rtsp://admin:p#s/w@rd@10.0.0.9/live?token=x is lost")
    'rtsp://***@10.0.0.9/live?*** is lost'
    """
    return hide_assigned(_run(text) if whole else _runs(text))


def shown_values(values: Any) -> Any:
    """Return a report without secrets: its texts as by ``shown``, and nothing under a key that names a secret."""
    if isinstance(values, Mapping):
        return {
            key: HIDDEN if is_secret(str(key)) and _tells(value) else shown_values(value)
            for key, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [shown_values(each) for each in values]
    return shown(os.fspath(values)) if isinstance(values, str | os.PathLike) else values


def shown_words(text: str, words: Iterable[str]) -> str:
    """As ``shown``, for a text that may quote ``words`` of a command line.

    It also hides passwords that contain spaces, and the values of options that name a secret, such as the token.
    """
    before = ""
    for word in words:
        option, _, value = word.partition("=")
        told = value if is_secret(option) else word if is_secret(before) else ""
        if len(told) >= _SHORTEST and not told.startswith("@"):  # @ precedes the name of a file
            text = _replaced(text, told, HIDDEN)
        for each in (word, value):
            if (hidden := shown(each, whole=True)) != each:
                text = _replaced(text, each, hidden)
        before = word if word.startswith("--") and "=" not in word else ""
    return shown(text)


_SHORTEST = 4  # shortest secret that is searched for: a shorter one is part of many words


def _tells(value: object) -> bool:
    return value not in (None, "") and not isinstance(value, bool | Mapping)


def _replaced(text: str, value: str, hidden: str) -> str:
    for each in dict.fromkeys((value, repr(value)[1:-1], " ".join(value.split()))):
        text = text.replace(each, hidden) if each else text
    return text


def _runs(text: str) -> str:
    """Handle each word on its own, but a URL that is split by a password with spaces as one."""
    pieces, done = [], 0
    ends = [found.start() for found in _AT.finditer(text)]
    for found in _RUN.finditer(text):
        if found.start() < done or (":" not in found[0] and "%" not in found[0]):
            continue
        hidden, end = _run(found[0]), found.end()
        if _is_torn(found[0], hidden) and (at := _last_at(text, end, ends)) is not None:
            rest = _RUN.match(text, at)
            end = rest.end() if rest is not None else end
            hidden = _run(text[found.start() : end])
        pieces += [text[done : found.start()], hidden]
        done = end
    return "".join([*pieces, text[done:]])


def _last_at(text: str, start: int, ends: list[int]) -> int | None:
    """The place of the last @ of the line from ``start`` on that is inside a word or follows the first space."""
    if ends and ends[-1] > start:
        line = text.find("\n", start)
        at = bisect(ends, line if line >= 0 else len(text)) - 1
        if at >= 0 and ends[at] > start:
            return ends[at]
    return start + 1 if text.startswith(" @", start) else None


def _is_torn(run: str, hidden: str) -> bool:
    """Whether it may be the start of a URL whose password continues after a space."""
    if hidden.endswith(f":{HIDDEN}"):  # that is no port
        return True
    scheme = _SCHEME.search(run)
    if scheme is None or "@" in run:
        return False
    host = _HOST.match(run[scheme.end() :].lstrip("/"))
    return host is not None and bool(host[1]) and host[2] is not None and not _is_number(host[0].rpartition(":")[0])


def _run(text: str) -> str:
    """One word, or one source, with or without a URL in it."""
    at, query = text.rfind("@"), text.rfind("?")
    if (colon := _COLON.search(text, 0, max(at, 0))) is not None:
        start = max(text.rfind(mark, 0, colon.start()) for mark in "\"'=(<[{,") + 1
        user = text[start : colon.start()]
        if not _SCHEME.search(text, start, colon.end()) and "/" not in user.lstrip("/"):
            return f"{text[:start]}{HIDDEN}@{_ended(text[at + 1 :])}"
    for found in _SCHEME.finditer(text):
        end = found.end()
        known = found[1].lower() in _SCHEMES or text.startswith("//", end)
        if known or at >= end or (query > end and text.startswith("/", end)):  # a URL in a path, which has lost a slash
            return text[: found.start()] + _one(text[found.start() :])
    return text


def _one(text: str) -> str:
    """A URL, from its scheme on."""
    found = _URL.match(text)
    if found is None:
        return text
    scheme, slashes, rest = found.groups()
    strict = rest[: min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))]
    before, _, place = rest.rpartition("@")
    if "@" in rest[len(strict) :] and _is_place(strict.rpartition("@")[2]):
        # The text after the last @ may be part of a query, and the text before it part of a password.
        before, _, place = "", "", rest if _is_number(strict) else HIDDEN
    start = f"{scheme}:{slashes}" if slashes or scheme.lower() in _SCHEMES else ""
    user = f"{HIDDEN}@" if before or ("@" in rest and place not in (rest, HIDDEN)) else ""
    told = _ended(place)
    if scheme.lower() in _KEYED:
        told = _STREAM_KEY.sub(rf"\1{HIDDEN}", told)
    return f"{start}{user}{told}"


def _ended(place: str) -> str:
    """The place as ``_place`` shows it, and the punctuation of the sentence after it."""
    inner = place.rstrip(".,;:)'\"")
    return f"{_place(inner)}{place[len(inner) :]}"


def _is_place(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and bool(found[1]) and (found[2] is None or found[2].isdigit())


def _is_number(text: str) -> bool:
    """Whether it is an IP address, and so no user name."""
    found = _HOST.fullmatch(text)
    return found is not None and (found[1].startswith("[") or re.fullmatch(r"[0-9.]{7,15}", found[1]) is not None)


def _place(text: str) -> str:
    """Host, port and path, as far as they are valid."""
    if text in ("…", "HOST/…"):
        return text  # placeholders in our own remedies
    host = _HOST.match(text)
    if host is None or (host.end() < len(text) and text[host.end()] not in "/?#"):
        return HIDDEN
    port = host[2]
    if port is None:
        return f"{host[1]}{_path(text[host.end() :])}"
    if re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536:
        return f"{host[1]}:{port}{_path(text[host.end() :])}"
    return f"{host[1]}:{HIDDEN}"  # a password without a host; the text after it is the rest of the password


def _path(text: str) -> str:
    path, _, _ = text.partition("#")
    path, query, values = path.partition("?")
    if "=" in path:  # user=admin_password=…, as in URLs of some cameras
        path = f"{path.partition('=')[0]}={HIDDEN}"
        return f"{path}{query and '?'}{query and HIDDEN}"
    path = "/".join(HIDDEN if _KEY.fullmatch(segment) else segment for segment in path.split("/"))
    kept: list[str] = []
    for part in values.split("&") if query else ():
        if not _HARMLESS.fullmatch(part):
            kept.append(HIDDEN)
            break
        kept.append(part)
    return f"{path}{query}{'&'.join(kept)}"

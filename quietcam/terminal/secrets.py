"""What may be shown of a text that holds URLs or secrets. Every message, report and log line goes through ``shown``."""

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
_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "ftp"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%a-z]*\]|[A-Za-z0-9._\-]*)(?::([^/?#]*))?")
_HARMLESS = re.compile(r"[A-Za-z]{1,16}=[0-9]{1,2}")  # channel=1, subtype=0: they tell cameras apart
_KEY = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_\-]{12,}")  # a path of some recorders is the password


def shown(text: str, whole: bool = False) -> str:
    """A text without what is secret in it: of URLs user, password, values of a query and keys in a path; and what
    stands behind the name of a secret, as in ``token = …``.

    Hides too much rather than too little: all that stands before the last ``@`` of a URL. Takes no longer than the
    text is long, whoever wrote it.

    Args:
        whole: the text is one URL, or another source that a user named, and may hold spaces.

    >>> shown("rtsp://admin:p#s/w@rd@10.0.0.9/live?token=x is lost")
    'rtsp://***@10.0.0.9/live?*** is lost'
    """
    return hide_assigned(_run(text) if whole else _runs(text))


def shown_values(values: Any) -> Any:
    """A report as it may be shown: its texts as ``shown``, and nothing of what is kept under the name of a secret."""
    if isinstance(values, Mapping):
        return {
            key: HIDDEN if is_secret(str(key)) and _tells(value) else shown_values(value)
            for key, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [shown_values(each) for each in values]
    return shown(os.fspath(values)) if isinstance(values, str | os.PathLike) else values


def shown_words(text: str, words: Iterable[str]) -> str:
    """``text``, which may quote ``words`` of a command line: as ``shown``, also where a password holds spaces, and
    without what stands behind an option such as ``--token``.
    """
    before = ""
    for word in words:
        option, _, value = word.partition("=")
        told = value if is_secret(option) else word if is_secret(before) else ""
        if len(told) >= _SHORTEST and not told.startswith("@"):  # behind @ stands the name of a file
            text = _replaced(text, told, HIDDEN)
        for each in (word, value):
            if (hidden := shown(each, whole=True)) != each:
                text = _replaced(text, each, hidden)
        before = word if word.startswith("--") and "=" not in word else ""
    return shown(text)


_SHORTEST = 4  # letters of a secret that is looked for in a text: a shorter one stands in every other word


def _tells(value: object) -> bool:
    return value not in (None, "") and not isinstance(value, bool | Mapping)


def _replaced(text: str, value: str, hidden: str) -> str:
    for each in dict.fromkeys((value, repr(value)[1:-1], " ".join(value.split()))):
        text = text.replace(each, hidden) if each else text
    return text


def _runs(text: str) -> str:
    """Each stretch between spaces for itself; a URL that a password with spaces tears apart as one."""
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
    """Where the last @ from there on stands in its line, of those within a word or right behind a first space."""
    if ends and ends[-1] > start:
        line = text.find("\n", start)
        at = bisect(ends, line if line >= 0 else len(text)) - 1
        if at >= 0 and ends[at] > start:
            return ends[at]
    return start + 1 if text.startswith(" @", start) else None


def _is_torn(run: str, hidden: str) -> bool:
    """Whether it may be the front of a URL whose password goes on behind a space."""
    if hidden.endswith(f":{HIDDEN}"):  # no port stands there
        return True
    scheme = _SCHEME.search(run)
    if scheme is None or "@" in run:
        return False
    host = _HOST.match(run[scheme.end() :].lstrip("/"))
    return host is not None and bool(host[1]) and host[2] is not None and not _is_number(host[0].rpartition(":")[0])


def _run(text: str) -> str:
    """A text that means one thing, with a URL in it or none."""
    at, query = text.rfind("@"), text.rfind("?")
    if (colon := _COLON.search(text, 0, max(at, 0))) is not None:
        start = max(text.rfind(mark, 0, colon.start()) for mark in "\"'=(<[{,") + 1
        user = text[start : colon.start()]
        if not _SCHEME.search(text, start, colon.end()) and "/" not in user.lstrip("/"):
            return f"{text[:start]}{HIDDEN}@{_ended(text[at + 1 :])}"
    for found in _SCHEME.finditer(text):
        end = found.end()
        known = found[1].lower() in _SCHEMES or text.startswith("//", end)
        if known or at >= end or (query > end and text.startswith("/", end)):  # a path of it has lost a slash
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
        # What stands behind the last @ may be a part of a query, and what stands before it one of a password.
        before, _, place = "", "", rest if _is_number(strict) else HIDDEN
    start = f"{scheme}:{slashes}" if slashes or scheme.lower() in _SCHEMES else ""
    user = f"{HIDDEN}@" if before or ("@" in rest and place not in (rest, HIDDEN)) else ""
    return f"{start}{user}{_ended(place)}"


def _ended(place: str) -> str:
    """The place, without the signs of the sentence around it, and these."""
    inner = place.rstrip(".,;:)'\"")
    return f"{_place(inner)}{place[len(inner) :]}"


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
        return HIDDEN
    port = host[2]
    if port is None:
        return f"{host[1]}{_path(text[host.end() :])}"
    if re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536:
        return f"{host[1]}:{port}{_path(text[host.end() :])}"
    return f"{host[1]}:{HIDDEN}"  # a password where the host was forgotten, and what stands behind it is its rest


def _path(text: str) -> str:
    path, _, _ = text.partition("#")
    path, query, values = path.partition("?")
    if "=" in path:  # user=admin_password=…, as some cameras have it
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

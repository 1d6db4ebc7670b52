"""Values after the name of a secret: ``token = …``, ``"password": …``, ``Authorization: …``."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "hide_assigned", "is_secret"]

HIDDEN = "***"

_WITHIN = ("token", "passw", "passphrase", "secret", "credential", "apikey")
_PARTS = frozenset({"pass", "pwd", "pw", "psk", "auth", "authorization", "cookie"})
_TO_LINE_END = frozenset({"authorization", "cookie"})  # in HTTP, their values have several words

# Possessive quantifiers throughout: no backtracking, however long and hostile the text is.
_ASSIGNED = re.compile(r"(?<![\w-])([\w-]++)(?:([\"']?+\s*+=\s*+|[\"']\s*+:\s*+)|(:\s*+))(?=\S)")
_VALUE = re.compile(
    r"\"(?:[^\"\\\n]|\\.)*+\"?+|'(?:[^'\\\n]|\\.)*+'?+|\[[^\]]*+\]?+|\{[^}]*+\}?+|\S++",
)
_LINE = re.compile(r"[^\n]++")
_ITSELF = ("…", HIDDEN)  # a placeholder in our own remedies, and a value that is hidden already
_NOTHING = re.compile(r"(?:None|null|true|false|True|False)\b")


def is_secret(key: str) -> bool:
    """Whether a value of this name is a secret.

    >>> [is_secret(key) for key in ("token", "RTSP_PASSWORD", "stream-key", "key", "width")]
    [True, True, True, False, False]
    """
    name = key.lower()
    if any(word in name for word in _WITHIN):
        return True
    parts = re.split(r"[_\-\s]", name)
    return not _PARTS.isdisjoint(parts) or (len(parts) > 1 and parts[-1] == "key")


def hide_assigned(text: str) -> str:
    """Return ``text`` without the values after names of secrets, in any notation.

    >>> hide_assigned("token = 12345, width = 640")
    'token = ***, width = 640'
    """
    pieces, done = [], 0
    for found in _ASSIGNED.finditer(text):
        key, loose = found[1], found[3]
        if found.start() < done or not is_secret(key) or (loose and key.lower() not in _TO_LINE_END):
            continue
        value = (_LINE if key.lower() in _TO_LINE_END else _VALUE).match(text, found.end())
        if value is None or value[0].startswith(_ITSELF) or _NOTHING.match(value[0]):
            continue
        quoted = value[0][0] in "\"'[{"
        end = value.end() if quoted else found.end() + len(value[0].rstrip(".,;:)]}'\""))
        pieces += [text[done : found.end()], HIDDEN]
        done = max(end, found.end())
    return "".join([*pieces, text[done:]]) if pieces else text

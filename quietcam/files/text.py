"""Valid text: strings that can be written as UTF-8."""

from __future__ import annotations

import os

__all__ = ["valid_text"]


def valid_text(text: str | os.PathLike[str]) -> str:
    """``text`` with ``\\xNN`` for each byte that is not UTF-8; names of files may hold such bytes.

    >>> valid_text("caf\\udce9.png")
    'caf\\\\xe9.png'
    """
    text = os.fspath(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:  # surrogates that do not stand for a byte
            return text.encode("utf-8", "backslashreplace").decode()
    return text

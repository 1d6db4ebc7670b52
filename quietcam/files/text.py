"""Valid text: strings that any reader of UTF-8 takes."""

from __future__ import annotations

import os

__all__ = ["valid_text"]


def valid_text(text: str | os.PathLike[str]) -> str:
    """``text`` with ``\\xNN`` in the place of each byte that is not UTF-8, as file names may hold them.

    >>> valid_text("caf\\udce9.png")
    'caf\\\\xe9.png'
    """
    text = os.fspath(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:  # surrogates that stand for no byte
            return text.encode("utf-8", "backslashreplace").decode()
    return text

"""Text as it may reach a terminal or a journal: nothing of it acts there, and all of it can be encoded."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, lines: bool = False) -> str:
    r"""``text`` with all that is not seen written as an escape: control characters, line ends, escape sequences,
    characters that turn the direction of writing, odd spaces, and bytes of a name that is no UTF-8.

    Names of files come from strangers: one could clear the screen, or add a line to a log that nobody wrote. What a
    terminal gets goes through here where it leaves the process. Escaping twice changes nothing.

    Args:
        lines: the text is more than one line: line ends and tabs stay.

    >>> printable("a\x1b[2J\n\u202eb\udcff.png")
    'a\\x1b[2J\\n\\u202eb\\xff.png'
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(each if each.isprintable() or each in kept else _escape(each) for each in text)


def _escape(each: str) -> str:
    if "\udc80" <= each <= "\udcff":  # how Python keeps a byte that is no UTF-8
        return f"\\x{ord(each) - 0xDC00:02x}"
    return each.encode("unicode_escape").decode("ascii")

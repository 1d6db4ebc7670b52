"""Text that is safe for a terminal or a journal: without control characters, and encodable."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, lines: bool = False) -> str:
    r"""Return ``text`` with an escape in place of every character that is not visible.

    These are control characters, line ends, escape sequences, characters that change the direction of writing, unusual
    spaces, and bytes of a name that are not UTF-8. Names of files may come from strangers: one could clear the screen,
    or forge a line of a log. All output to a terminal goes through here. Escaping twice changes nothing.

    Args:
        lines: keep line ends and tabs, for a text of several lines.

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

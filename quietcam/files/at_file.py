"""Values that a user may keep in a file: ``@FILE`` in place of the value itself."""

from __future__ import annotations

from pathlib import Path

from quietcam.errors import UsageError
from quietcam.files.regular import read_regular_text

__all__ = ["read_at_file"]

_LARGEST = 4096  # bytes


def read_at_file(text: str, owner: str, content: str) -> str:
    """What the file of ``text``, ``@FILE``, contains, as it is.

    Args:
        owner: whose file it is, for the message, such as ``a token``.
        content: all that the file shall contain, for the message, such as ``the token``.

    Raises:
        UsageError: the file cannot be read, is no regular file, is too large, or is not text.
    """
    path = Path(text.removeprefix("@"))
    try:
        return read_regular_text(path, _LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "the file is not text"
        raise UsageError(
            f"The file of {owner} must be readable. Received: @{path}: {reason}. "
            f"Remedy: name a text file that contains only {content}."
        ) from None

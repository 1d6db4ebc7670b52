"""SpoolOptions: what the spool keeps, from ``spool:FOLDER,KEY=VALUE,…``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from quietcam.errors import UsageError
from quietcam.terminal.key_values import Key, choice_key, number_key, parse_key_values

__all__ = ["BYTES", "SPOOL_MEANS", "SpoolOptions"]

SPOOL_MEANS = "spool:FOLDER (or spool:FOLDER,size=1GB,daily=500MB,every=60,change=8,gap=1,twin=yes,format=jpg)"

_EXAMPLE = "spool:/var/lib/quietcam/spool,size=2GB,every=60,daily=500MB"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class SpoolOptions:
    """The options in ``spool:FOLDER,KEY=VALUE,…``.

    Attributes:
        folder: where the frames are stored.
        size: bytes that the frames may take; the oldest go first.
        daily: bytes that may be written within 24 hours, to spare an SD card; None: no limit.
        every: seconds between frames; None: only changes are kept. Defaults to 60, or None with ``change``.
        change: steps of 255 by which a part of the picture must change for the frame to be kept; None: changes do not
            count.
        gap: the fewest seconds between two frames that are kept for a change.
        twin: keep the noisy frame beside the denoised one, as a pair.
        format: ``jpg`` (quality 95) or ``png``.
    """

    folder: Path
    size: int = 10**9
    daily: int | None = None
    every: float | None = None
    change: float | None = None
    gap: float = 1.0
    twin: bool = False
    format: str = "jpg"

    @classmethod
    def parse(cls, text: str) -> SpoolOptions:
        """Options from ``FOLDER,KEY=VALUE,…``.

        Raises:
            UsageError: no folder, an unknown key, or a value that does not fit it.
        """
        folder, _, rest = text.partition(",")
        if not folder:
            raise UsageError(f"A spool needs a folder. Received: spool:{text}. Remedy: {SPOOL_MEANS}")
        options = cls(Path(folder), **parse_key_values(rest, _KEYS, "A spool", _EXAMPLE))
        if options.every is None and options.change is None:
            return replace(options, every=60.0)
        return options


def _bytes(text: str) -> int:
    """``500MB``, ``2GiB``, ``1.5G`` or plain bytes."""
    word = text.strip().upper()
    binary = word.endswith("IB")
    word = word[:-2] if binary else word.removesuffix("B")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    factor = 1024 ** list(_UNITS).index(unit) if binary else _UNITS[unit]
    size = float(word.removesuffix(unit)) * factor
    if not 1 <= size <= 10**15:
        raise ValueError
    return int(size)


def _yes(text: str) -> bool:
    words = {"yes": True, "true": True, "": True, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


BYTES = Key(_bytes, "a number of bytes such as 500MB or 2GiB")
"""A number of bytes."""

_SECONDS = number_key(0.001, 10**7, "seconds, 0.001 to 10000000")
_KEYS = {
    "size": BYTES,
    "daily": BYTES,
    "every": _SECONDS,
    "change": number_key(0.01, 255, "steps of 255, 0.01 to 255"),
    "gap": _SECONDS,
    "twin": Key(_yes, "yes or no"),
    "format": choice_key("jpg", "png"),
}

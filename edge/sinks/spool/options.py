"""What ``spool:FOLDER,KEY=VALUE,…`` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quietcam.errors import UsageError
from quietcam.limits import read_number

__all__ = ["SPOOL_MEANS", "SpoolOptions"]

SPOOL_MEANS = "spool:FOLDER (or spool:FOLDER,size=1GB,daily=500MB,every=60,change=8,gap=1,twin=yes,format=jpg)"

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class SpoolOptions:
    """What ``spool:FOLDER,KEY=VALUE,…`` says.

    Attributes:
        folder: where.
        size: bytes that the frames may take; the oldest go first.
        daily: bytes that may be written within 24 hours, for the sake of an SD card; None: no limit.
        every: seconds between frames; None: only changes are kept. Defaults to 60, or None with ``change``.
        change: steps of 255 by which a part of the picture must have moved; None: change is not looked for.
        gap: seconds between two frames that are kept for a change.
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
        folder, *parts = text.split(",")
        if not folder:
            raise UsageError(f"A spool needs a folder. Received: spool:{text}. Remedy: {SPOOL_MEANS}")
        options = cls(Path(folder))
        for part in filter(None, parts):
            key, _, value = part.partition("=")
            if key not in _READERS:
                raise UsageError(
                    f"A spool has the options {', '.join(_READERS)}. Received: {part}. Remedy: {SPOOL_MEANS}"
                )
            try:
                options = replace(options, **{key: _READERS[key](value)})
            except ValueError:
                raise UsageError(
                    f"A spool's {key} is {_MEANINGS[key]}. Received: {part}. Remedy: {SPOOL_MEANS}"
                ) from None
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


def _seconds(text: str) -> float:
    return read_number(text, 0.001, 10**7)


def _steps(text: str) -> float:
    return read_number(text, 0.01, 255)


def _yes(text: str) -> bool:
    words = {"yes": True, "true": True, "": True, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _format(text: str) -> str:
    if text not in ("jpg", "png"):
        raise ValueError
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "size": _bytes,
    "daily": _bytes,
    "every": _seconds,
    "change": _steps,
    "gap": _seconds,
    "twin": _yes,
    "format": _format,
}
_MEANINGS = {
    "size": "a number of bytes such as 500MB or 2GiB",
    "daily": "a number of bytes such as 500MB or 2GiB",
    "every": "seconds between two frames, 0.001 to 10000000",
    "change": "steps of 255, 0.01 to 255",
    "gap": "seconds, 0.001 to 10000000",
    "twin": "yes or no",
    "format": "jpg or png",
}

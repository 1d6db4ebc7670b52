"""RecordOptions: how a camera is recorded, from ``record:FOLDER,KEY=VALUE,…``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.sinks.spool.options import BYTES
from quietcam.errors import UsageError
from quietcam.terminal.key_values import choice_key, number_key, parse_key_values

__all__ = ["RECORD_MEANS", "RecordOptions"]

RECORD_MEANS = "record:FOLDER (or record:FOLDER,minutes=10,size=8GB,segment=200MB,format=mp4)"

_EXAMPLE = "record:/var/lib/quietcam/record,minutes=10,size=8GB"
_LEAST_SIZE = 16_000_000  # bytes: several seconds of any camera
_SEGMENTS = 8  # a segment takes at most this part of all bytes, so that little goes when the oldest goes


@dataclass(frozen=True)
class RecordOptions:
    """The options in ``record:FOLDER,KEY=VALUE,…``.

    Attributes:
        folder: where the segments are stored.
        minutes: how long a segment is at most.
        size: bytes that all segments may take; the oldest go first.
        segment: bytes that one segment may take; it is at most an eighth of ``size``.
        format: ``mp4`` or ``mkv``.
    """

    folder: Path
    minutes: float = 10.0
    size: int = 8 * 10**9
    segment: int = 10**15
    format: str = "mp4"

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", min(self.segment, self.size // _SEGMENTS))

    @classmethod
    def parse(cls, text: str) -> RecordOptions:
        """Options from ``FOLDER,KEY=VALUE,…``.

        Raises:
            UsageError: no folder, an unknown key, or a value that does not fit it.
        """
        folder, _, rest = text.partition(",")
        if not folder:
            raise UsageError(f"A recording needs a folder. Received: record:{text}. Remedy: {RECORD_MEANS}")
        options = cls(Path(folder), **parse_key_values(rest, _KEYS, "A recording", _EXAMPLE))
        if options.size < _LEAST_SIZE or options.segment < _LEAST_SIZE // _SEGMENTS:
            raise UsageError(
                f"A recording needs at least {_LEAST_SIZE // 10**6}MB, and {_LEAST_SIZE // _SEGMENTS // 10**6}MB for a "
                f"segment. Received: size={options.size}, segment={options.segment}. Remedy: for example {_EXAMPLE}"
            )
        return options


_KEYS = {
    "minutes": number_key(0.01, 10**5, "minutes, 0.01 to 100000"),
    "size": BYTES,
    "segment": BYTES,
    "format": choice_key("mp4", "mkv"),
}

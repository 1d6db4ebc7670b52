"""JpegSplitter: finds JPEGs in a stream of bytes, and ignores all bytes between them."""

from __future__ import annotations

from quietcam.limits import MOST_FRAME_CODED

__all__ = ["JpegSplitter"]

_START = b"\xff\xd8\xff"
_END, _SCAN, _FIRST_RESTART, _LAST_RESTART, _SOI, _TEM = 0xD9, 0xDA, 0xD0, 0xD7, 0xD8, 0x01


class JpegSplitter:
    """Finds whole JPEGs by their own segments (ITU-T T.81, annex B).

    Boundaries, lengths and headers of a multipart stream are ignored: firmwares write them in too many ways. A
    thumbnail inside a picture is part of it; a picture that is cut short is left out.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at: int | None = None  # end of the part of the picture that was read; None: no picture has begun
        self._in_scan = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pictures that end in ``data``, which continues the data of the last call."""
        self._bytes += data
        pictures: list[bytes] = []
        while True:
            if self._at is None and not self._begin():
                return pictures
            end = self._walk()
            if end is None:
                if len(self._bytes) > MOST_FRAME_CODED:  # no picture, and not searched again for one inside
                    self._drop(len(self._bytes))
                return pictures
            if end > 0:
                pictures.append(bytes(self._bytes[:end]))
            self._drop(abs(end))

    def _begin(self) -> bool:
        start = self._bytes.find(_START)
        if start < 0:
            del self._bytes[: max(0, len(self._bytes) - len(_START) + 1)]
            return False
        del self._bytes[:start]
        self._at, self._in_scan = 2, False
        return True

    def _drop(self, count: int) -> None:
        del self._bytes[:count]
        self._at = None

    def _walk(self) -> int | None:
        """The end of the picture; negative if it is not a picture; None if its end has not arrived yet."""
        data, at = self._bytes, self._at or 0
        while True:
            if self._in_scan:
                at = data.find(b"\xff", at)
                if at < 0:
                    self._at = len(data)
                    return None
            if len(data) < at + 4:
                self._at = at
                return None if not (len(data) >= at + 2 and data[at] == 0xFF and data[at + 1] == _END) else at + 2
            mark = data[at + 1]
            if data[at] != 0xFF:
                return -at
            if mark == _END:
                return at + 2
            if mark == _SOI:  # the next picture has begun, so this one has no end
                return -at
            restart = _FIRST_RESTART <= mark <= _LAST_RESTART
            if mark == 0xFF:  # fill bytes
                at += 1
            elif restart or mark == _TEM or (self._in_scan and mark == 0):
                at += 2
            else:
                length = int.from_bytes(data[at + 2 : at + 4], "big")
                if length < 2:
                    return -(at + 2)
                if len(data) < at + 2 + length:
                    self._at = at
                    return None
                self._in_scan = mark == _SCAN
                at += 2 + length

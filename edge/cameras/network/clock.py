"""StreamClock: when the frames of a stream were sent, by this machine's clock."""

from __future__ import annotations

__all__ = ["StreamClock"]

_DRIFT = 1e-3  # most by which the clock of a camera may be slower than ours
_STEP = 1e-6  # seconds
_BELIEVED = 5.0  # seconds on the way: more than this comes from a clock that was set


class StreamClock:
    """Puts the camera's own times onto the monotonic clock.

    A stream tells how far its frames are apart, but not when the first one was taken. The frame that was on its way for
    the shortest time sets the offset, so that what a network or a buffer holds a frame back does not move its time.

    >>> clock = StreamClock()
    >>> [round(clock.stamp(sent, now), 2) for sent, now in ((7.0, 100.0), (7.1, 100.4), (7.2, 100.41), (7.3, 100.3))]
    [100.0, 100.1, 100.2, 100.3]
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._now = 0.0
        self._last: float | None = None

    def stamp(self, sent: float | None, now: float) -> float:
        """The time of a frame: at most ``now``, and later than that of the frame before.

        Args:
            sent: seconds by the camera's clock; None where the stream has no times.
            now: when it arrived, in seconds of the monotonic clock.
        """
        time = now if sent is None else self._by_camera(sent, now)
        if self._last is not None and time <= self._last:
            time = self._last + max(_STEP, (now - self._last) / 2)
        self._last = time
        return time

    def _by_camera(self, sent: float, now: float) -> float:
        way = now - sent
        if self._offset is not None:
            offset = min(way, self._offset + _DRIFT * (now - self._now))
            if abs(way - self._offset) > _BELIEVED:
                offset = way
        else:
            offset = way
        self._offset, self._now = offset, now
        return min(now, sent + offset)

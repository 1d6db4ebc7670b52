"""What PyAV decodes, frame by frame: damage is left out and counted, fields are joined."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from quietcam.data.video.av_hardware import HardwareDecoder
from quietcam.data.video.video import TRIES
from quietcam.extras import load_av
from quietcam.terminal.log import log

__all__ = ["DecodedFrames", "JoinedFields"]

_PROBED = 16  # packets
_PROBED_BYTES = 8 << 20


class DecodedFrames:
    """Decoded frames of one stream of a container, in the order in which they are shown.

    Args:
        container, stream: of PyAV.
        hardware: decodes instead of the CPU while it works. Defaults to None.
        stopped: whether to end now, for a live source: it may be damaged for as long as it likes.

    Attributes:
        damaged: packets that could not be read or decoded.
    """

    def __init__(
        self,
        container: Any,
        stream: Any,
        hardware: HardwareDecoder | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self.damaged = 0
        self._hardware, self._stopped = hardware, stopped
        self._container, self._stream = container, stream
        self._packets: Iterator[Any] = iter(())
        self._probed: deque[Any] = deque()
        self._decoded: deque[Any] = deque()
        self._failed = 0
        self.restart()

    def restart(self) -> None:
        """Read on where the container is now, for example after a seek."""
        self._packets = self._container.demux(self._stream)
        self._probed.clear()
        self._decoded.clear()
        self._failed, self._ended = 0, False

    def no_more(self) -> None:
        """Read no further: what comes are the frames that the decoder holds."""
        self._packets = iter(())

    def begin_at_key(self, wanted: int) -> bool:
        """Leave out packets up to the next key frame. False: it is shown after ``wanted``, or there is none."""
        while (packet := self._read()) is not None:
            if packet.pts is None or packet.pts > wanted:
                return False
            if packet.is_keyframe:
                self._probed.append(packet)
                return True
        return False

    def probe(self) -> list[int]:
        """Read a few packets ahead: the times of their frames in the order in which they are shown."""
        size = 0
        while len(self._probed) < _PROBED and size < _PROBED_BYTES and (packet := self._read()) is not None:
            self._probed.append(packet)
            size += packet.size
        return sorted({packet.pts for packet in self._probed if packet.pts is not None and not packet.is_discard})

    def packet(self) -> Any:
        """The next packet, not decoded; None at the end."""
        return self._read()

    def next(self) -> Any:
        """The next ``av.VideoFrame``; None at the end.

        Raises:
            OSError: no more bytes come, although the container has not ended.
        """
        while not self._decoded and not self._over():
            packet = self._probed.popleft() if self._probed else self._read()
            if packet is None:
                self._ended = True
            self._decode(packet)
        return self._decoded.popleft() if self._decoded else None

    def _read(self) -> Any:
        """The next packet; None at the end."""
        av = load_av()
        while not self._over():
            try:
                packet = next(self._packets, None)
            except av.error.InvalidDataError:  # the generator has ended with it
                self._damage()
                self._packets = self._container.demux(self._stream)
            else:
                return None if packet is None or (packet.dts is None and packet.size == 0) else packet
        return None

    def _over(self) -> bool:
        return self._ended or (self._stopped is not None and self._stopped())

    def _decode(self, packet: Any) -> None:
        av = load_av()
        try:
            hardware = self._hardware
            decode = hardware.decode if hardware is not None and hardware.works else self._stream.decode
            self._decoded.extend(decode(packet))
        except av.error.EOFError:
            self._ended = True
        except (av.error.FFmpegError, MemoryError):  # MemoryError: a size that no memory has
            self._damage()
        else:
            self._failed = 0

    def _damage(self) -> None:
        self.damaged += 1
        self._failed += 1
        if self._failed >= TRIES and self._stopped is None:
            self._ended = True


class JoinedFields:
    """Makes frames out of interlaced ones, whose lines come from two instants; others pass as they are.

    Args:
        stream: of PyAV.
        name: the source's, for the log.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name
        self._graph: Any = None
        self._size: tuple[object, ...] = ()

    def put(self, frame: Any) -> list[Any]:
        """Take a frame, or None at the end. The filter needs the frame that follows, so frames come one later."""
        if self._graph is None and (frame is None or not frame.interlaced_frame):
            return [] if frame is None else [frame]
        joined: list[Any] = []
        if frame is not None:
            size = frame.width, frame.height, frame.format.name
            if size != self._size:
                joined += [] if self._graph is None else self._pull(None)
                self._begin(frame, size)
        return joined + self._pull(frame)

    def _begin(self, frame: Any, size: tuple[object, ...]) -> None:
        if not self._size:
            log.info(f"{self._name} is interlaced: each frame is made of its two fields")
        self._size = size
        graph = load_av().filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._stream.time_base
        )
        joining = graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = graph.add("buffersink")
        source.link_to(joining)
        joining.link_to(sink)
        graph.configure()
        self._graph = graph

    def _pull(self, frame: Any) -> list[Any]:
        av = load_av()
        self._graph.push(frame)
        joined = []
        while True:
            try:
                joined.append(self._graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return joined

"""A USB webcam made of Python, which the kernel's own `uvcvideo` drives: it is plugged into `vhci_hcd` by USB/IP.

It takes commands, one a line, from its standard input, and answers each with a line of JSON when it is done:
``plug [MJPG=WxH,…] [YUYV=WxH,…] [uvc=1.1] [fps=10] [serial=1]``, ``unplug``, what it sends (``live``, ``still``,
``mute``, ``broken``, ``garbage``, ``black``), ``quit``. It needs root, and ``modprobe vhci-hcd`` before.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
BARS = ((230, 230, 230), (200, 200, 40), (40, 200, 200), (40, 200, 40), (200, 40, 200), (200, 40, 40), (40, 40, 200))
PICTURES = 4  # that differ by their noise, as a sensor's do
NOISE = 6  # of 255, to both sides
MODES = ("live", "still", "mute", "broken", "garbage", "black")
SIZES = {"MJPG": "320x240,640x480", "YUYV": "320x240"}
MAKER, PRODUCT = "Lab", "Lab webcam"
ENDPOINT, PACKET, PAYLOAD = 0x81, 512, 16384  # bytes of a packet, and of a payload with its header
HIGH_SPEED, DEVICE_ID = 3, 1 << 16 | 2
SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
STALL, CANCELED = -32, -104
SETTING = {0x0100: 26, 0x0110: 34}  # bytes of the probe control of UVC 1.0 and 1.1

Size = tuple[int, int]


@cache
def encoded(kind: str, size: Size, number: int, black: bool = False) -> bytes:
    """The bytes that a webcam sends of a picture."""
    import cv2

    rgb = picture(size, number) * (not black)
    if kind == "MJPG":
        return bytes(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1])
    return bytes(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2))


def picture(size: Size, number: int) -> Any:
    """Seven colored bars with noise, uint8 RGB ``(height, width, 3)``."""
    import numpy as np

    width, height = size
    bars = np.repeat(np.array(BARS), [width * (n + 1) // 7 - width * n // 7 for n in range(7)], 0)
    noise = np.random.default_rng(number).integers(-NOISE, NOISE + 1, (height, width, 1))
    return (bars + noise).astype(np.uint8)


class Webcam:
    """A device: what it says of itself, how it is set, and the bytes that it sends.

    Args:
        formats: the sizes of each format, MJPG or YUYV; the first ones are its default.
        uvc: the version that it speaks, 0x0100 or 0x0110.
        fps: pictures a second.
        serial: the last part of its name under /dev/v4l/by-id.
    """

    def __init__(self, formats: dict[str, list[Size]], uvc: int = 0x0100, fps: float = 10.0, serial: str = "1") -> None:
        self.formats = [(kind, sizes) for kind, sizes in formats.items() if sizes]
        self.uvc, self.serial = uvc, serial
        self.interval = round(1e7 / fps)  # in units of 100 ns
        self.mode = "live"
        self._now = ("", (0, 0))
        self._setting = b""
        self._set(bytes(SETTING[uvc]))
        self.commit()
        every = [(kind, size) for kind, sizes in self.formats for size in sizes]
        self._live = {each: [encoded(*each, number) for number in range(PICTURES)] for each in every}
        self._black = {each: encoded(*each, 0, black=True) for each in every}

    def commit(self) -> None:
        """Take up the format and size that were set last."""
        kind, sizes = self.formats[self._setting[2] - 1]
        self._now = kind, sizes[self._setting[3] - 1]

    def sends(self, number: int) -> bytes | None:
        """The bytes of a picture as the present mode has it; None: nothing."""
        data = self._live[self._now][number % PICTURES]
        if self.mode == "still":
            return self._live[self._now][0]
        if self.mode == "broken":
            return data[: len(data) // 2]
        if self.mode == "garbage":
            return (number * 7919).to_bytes(4, "little") * (len(data) // 4)
        if self.mode == "black":
            return self._black[self._now]
        return None if self.mode == "mute" else data

    def answer(self, setup: bytes, data: bytes) -> bytes | None:
        """The answer to a control request; None refuses it."""
        kind, request, value, index, _ = struct.unpack("<BBHHH", setup)
        if kind & 0x60 == 0:
            return self._standard(request, value)
        if index & 0xFF != 1 or value >> 8 not in (1, 2):  # anything but Probe and Commit of the stream
            return None
        if request == 0x01:
            self._set(data)
            if value >> 8 == 2:
                self.commit()
            return b""
        if request == 0x85:
            return struct.pack("<H", SETTING[self.uvc])
        if request == 0x86:
            return b"\x03"  # may be read and set
        return self._setting if request in (0x81, 0x82, 0x83, 0x87) else None

    def _standard(self, request: int, value: int) -> bytes | None:
        if request != 6:  # all but GET_DESCRIPTOR
            return {0: b"\0\0", 8: b"\1", 10: b"\0"}.get(request, b"")
        return self.descriptor(value >> 8, value & 0xFF)

    def descriptor(self, kind: int, index: int) -> bytes | None:
        """A descriptor of the device (1), its configuration (2) or a text (3); None if there is none."""
        if kind == 1:
            return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0xEF, 2, 1, 64, 0x1209, 1, 0x0100, 1, 2, 3, 1)
        if kind == 2:
            return self._configuration()
        if kind == 3 and index < 4:
            text = ["", MAKER, PRODUCT, self.serial][index].encode("utf-16-le") if index else b"\x09\x04"
            return bytes([2 + len(text), 3]) + text
        if kind == 6:
            return struct.pack("<BBHBBBBBB", 10, 6, 0x0200, 0xEF, 2, 1, 64, 1, 0)
        return None

    def _set(self, wanted: bytes) -> None:
        """Keep the nearest that the device has of what the host would like."""
        kind = min(max(wanted[2], 1), len(self.formats))
        sizes = self.formats[kind - 1][1]
        frame = min(max(wanted[3], 1), len(sizes))
        width, height = sizes[frame - 1]
        setting = struct.pack("<HBBI10xII", 1, kind, frame, self.interval, 2 * width * height, PAYLOAD)
        self._setting = setting if self.uvc == 0x0100 else setting + struct.pack("<IBBBB", 48_000_000, 0, 0, 0, 0)

    def _configuration(self) -> bytes:
        streaming = b"".join(self._format(number) for number in range(1, len(self.formats) + 1))
        head = 13 + len(self.formats)
        streaming = (
            struct.pack("<BBBBHBBBBBBB", head, 0x24, 1, len(self.formats), head + len(streaming), ENDPOINT, *_INPUT)
            + bytes(len(self.formats))
            + streaming
        )
        sensor = struct.pack("<BBBBHBBHHHB2x", 17, 0x24, 2, 1, 0x0201, 0, 0, 0, 0, 0, 2)
        out = struct.pack("<BBBBHBBB", 9, 0x24, 3, 2, 0x0101, 0, 1, 0)
        control = struct.pack("<BBBHHIBB", 13, 0x24, 1, self.uvc, 13 + len(sensor) + len(out), 48_000_000, 1, 1)
        body = (
            bytes([8, 11, 0, 2, 14, 3, 0, 2])  # two interfaces that belong together
            + (bytes([9, 4, 0, 0, 0, 14, 1, 0, 2]) + control + sensor + out)
            + (bytes([9, 4, 1, 0, 1, 14, 2, 0, 2]) + streaming)
            + struct.pack("<BBBBHB", 7, 5, ENDPOINT, 2, PACKET, 0)
        )
        return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 2, 1, 0, 0x80, 250) + body

    def _format(self, number: int) -> bytes:
        kind, sizes = self.formats[number - 1]
        if kind == "MJPG":
            said = bytes([11, 0x24, 6, number, len(sizes), 1, 1, 0, 0, 0, 0])
        else:
            code = b"YUY2\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
            said = bytes([27, 0x24, 4, number, len(sizes)]) + code + bytes([16, 1, 0, 0, 0, 0])
        for index, (width, height) in enumerate(sizes, 1):
            size, rate = 2 * width * height, round(16 * width * height * 1e7 / self.interval)
            frame = (30, 0x24, 7 if kind == "MJPG" else 5, index, 0, width, height, rate, rate, size)
            said += struct.pack("<BBBBBHHIIIIBI", *frame, self.interval, 1, self.interval)
        return said + bytes([6, 0x24, 13, 1, 1, 4])  # its colors are sRGB, its YUV that of BT.601


_INPUT = (
    0,
    2,
    0,
    0,
    0,
    1,
)  # of the stream's header: nothing special; from terminal 2; no still pictures; a byte a format


class Connection:
    """The device's end of USB/IP: answers the kernel until it hangs up, and sends pictures when it asks for them."""

    def __init__(self, webcam: Webcam, link: socket.socket) -> None:
        self.sent = 0
        self._webcam, self._link = webcam, link
        self._waiting: deque[tuple[int, int]] = deque()  # number and length of each transfer that waits for video
        self._changed = threading.Condition()
        self._ended = False
        for work in (self._serve, self._stream):
            threading.Thread(target=work, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = self._receive(48)
                command, number, _, inward, endpoint = struct.unpack_from(">5I", head)
                if command == UNLINK:
                    self._unlink(number, *struct.unpack_from(">I", head, 20))
                    continue
                (length,) = struct.unpack_from(">I", head, 24)
                data = self._receive(length) if length and not inward else b""
                if endpoint:
                    with self._changed:
                        self._waiting.append((number, length))
                        self._changed.notify_all()
                    continue
                said = self._webcam.answer(head[40:], data)
                if said is None:
                    self._send(number, STALL)
                else:
                    self._send(number, 0, said[:length], None if inward else len(data))
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._link.close()

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self._link.recv(length - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _send(self, number: int, status: int, data: bytes = b"", taken: int | None = None) -> None:
        count = len(data) if taken is None else taken
        with self._changed:
            self._link.sendall(struct.pack(">5IiIIiI8x", SUBMITTED, number, 0, 0, 0, status, count, 0, 0, 0) + data)

    def _unlink(self, number: int, victim: int) -> None:
        with self._changed:
            kept = deque(each for each in self._waiting if each[0] != victim)
            status = CANCELED if len(kept) < len(self._waiting) else 0
            self._waiting = kept
            self._link.sendall(struct.pack(">5Ii24x", UNLINKED, number, 0, 0, 0, status))

    def _stream(self) -> None:
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while self._asked():
                data = self._webcam.sends(self.sent)
                if data is not None:
                    self.sent += 1
                    self._send_picture(data, self.sent & 1)
                due = max(due + self._webcam.interval / 1e7, time.monotonic())
                time.sleep(due - time.monotonic() if due > time.monotonic() else 0)

    def _asked(self, limit: float | None = None) -> bool:
        """Wait until the kernel asks for video; whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._waiting, limit)
            return bool(self._waiting) and not self._ended

    def _send_picture(self, data: bytes, toggle: int) -> None:
        """In payloads, each with two bytes before it: bit 0 changes from picture to picture, bit 1 marks the last."""
        at = 0
        while at < len(data):
            if not self._asked(1.0):
                return  # the kernel wants no more
            with self._changed:
                if not self._waiting:
                    continue
                number, length = self._waiting.popleft()
                part = data[at : at + length - 2]
                at += len(part)
                self._send(number, 0, bytes([2, 0x80 | toggle | (at >= len(data)) << 1]) + part)


class Socket:
    """A socket of a computer that has a webcam or has none."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._connection: Connection | None = None

    @property
    def sent(self) -> int:
        return self._connection.sent if self._connection else 0

    def plug(self, webcam: Webcam) -> None:
        """Plug it in; the kernel asks it what it is after that."""
        ours, kernels = socket.socketpair()
        self._connection = Connection(webcam, ours)
        until = time.monotonic() + 5.0
        while True:  # the port may still be busy with the camera before
            try:
                (VHCI / "attach").write_text(f"{self._port} {kernels.fileno()} {DEVICE_ID} {HIGH_SPEED}")
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                break
        kernels.close()

    def unplug(self) -> None:
        """Pull it out."""
        if self._connection is not None:
            self._connection = None
            (VHCI / "detach").write_text(str(self._port))


def made(words: list[str]) -> Webcam:
    """The webcam that these words describe."""
    said = dict(word.split("=", 1) for word in words)
    asked = {kind: said.get(kind, "") for kind in SIZES} if {*SIZES} & {*said} else SIZES
    formats = {
        kind: [(int(width), int(height)) for width, height in (each.split("x") for each in text.split(",") if each)]
        for kind, text in asked.items()
    }
    uvc = {"1.0": 0x0100, "1.1": 0x0110}[said.get("uvc", "1.0")]
    return Webcam(formats, uvc, float(said.get("fps", "10")), said.get("serial", "1"))


def main() -> None:
    """Obey until ``quit``, or until there is nobody left who commands."""
    webcam, port = made([]), Socket()
    for line in sys.stdin:
        verb, *words = line.split() or ["quit"]
        try:
            if verb == "plug":
                webcam = made(words)
                port.plug(webcam)
            elif verb in MODES:
                webcam.mode = verb
            elif verb in ("unplug", "quit"):
                port.unplug()
            else:
                raise ValueError(f"commands are plug, unplug, quit, {', '.join(MODES)}")
            say(command=verb, sent=port.sent)
        except (OSError, KeyError, ValueError) as error:
            say(command=verb, error=f"{type(error).__name__}: {error}")
        if verb == "quit":
            break


def say(**found: Any) -> None:
    print(json.dumps({"at": time.monotonic(), **found}), flush=True)


if __name__ == "__main__":
    main()

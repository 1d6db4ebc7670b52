"""A real broker, Mosquitto, and a client of the tests that listens to it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports
from tests.waiting import WAIT, until

__all__ = ["Broker", "Listener", "listening", "running_broker"]

PASSWORD = "p@ss:w/rd"


class Broker:
    """Mosquitto on a port of its own, which can be killed and started again."""

    def __init__(self, folder: Path, program: str, lines: str = "") -> None:
        self.port = free_ports(1)[0]
        self._program, self._config = program, folder / "mosquitto.conf"
        words = ["mosquitto_passwd", "-b", "-c", str(folder / "passwords"), "camera", PASSWORD]
        subprocess.run(words, check=True, capture_output=True)
        (folder / "passwords").chmod(0o644)
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\npassword_file {folder}/passwords\nallow_anonymous false\n"
            f"user root\npersistence false\n{lines}"
        )
        self.start()

    def start(self) -> None:
        words = [self._program, "-c", str(self._config)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(WAIT)


@contextmanager
def running_broker(folder: Path, lines: str = "") -> Iterator[Broker]:
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if program is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("no mosquitto (apt-get install mosquitto)")
    broker = Broker(folder, program, lines)
    try:
        yield broker
    finally:
        broker.kill()


class Listener:
    """Keeps the messages of all topics, in order."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, str, bool]] = []
        self._ready = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("camera", PASSWORD)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(WAIT)

    def _on_message(self, _: Any, __: Any, message: Any) -> None:
        self.got.append((message.topic, message.payload.decode(), bool(message.retain)))

    def topics(self) -> set[str]:
        return {topic for topic, _, _ in self.got}

    def last(self, topic: str) -> str | None:
        return next((message for each, message, _ in reversed(self.got) if each == topic), None)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(broker: Broker) -> Iterator[Listener]:
    until(lambda: _answers(broker.port))
    listener = Listener(broker.port)
    try:
        yield listener
    finally:
        listener.close()


def _answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), WAIT).close()
    except OSError:
        return False
    return True

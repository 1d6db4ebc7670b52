"""MqttSink: tells an MQTT broker the state and the events of a run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from edge.events.device_id import device_id, device_name
from edge.events.event import Event
from edge.run.frame import Frame
from edge.sinks.base import Sink
from edge.sinks.mqtt.client import MqttClient
from edge.sinks.mqtt.discovery import Topics, discovery_messages
from edge.sinks.mqtt.options import DEFAULT_PREFIX, MqttOptions
from edge.sinks.mqtt.state import mqtt_state
from edge.web.state import State
from quietcam.extras import load_optional
from quietcam.files.strict_json import dump_json
from quietcam.image import Image

__all__ = ["MqttSink"]

_EVERY = 10.0  # seconds between two states, unless something of weight changes
_WEIGHTY = ("state", "ladder", "model", "stored", "missed")
"""Values whose change is published at once."""


class MqttSink(Sink):
    """Keeps no frames. A broker that is away, slow or refuses never fails the run: the state says ``connected``.

    Args:
        options: the broker.
        about: returns source, model, device id and version, as :meth:`edge.web.controls.RunControls.describe` does.
        live: the source is a camera, which must keep delivering.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
    """

    observer = True

    def __init__(self, options: MqttOptions, about: Callable[[], dict[str, Any]], live: bool = True) -> None:
        load_optional("paho.mqtt.client")
        self.name = options.name
        self._options, self._about = options, about
        self._state = State(live=live)
        prefix = re.sub(r"[^A-Za-z0-9_-]", "_", options.prefix)
        self._node = f"{prefix}_{device_id()}"
        self.topics = Topics(f"{options.prefix}/{device_id()}")
        self._client: MqttClient | None = None
        self._published = float("-inf")
        self._last: dict[str, Any] = {}

    def open(self) -> None:
        if self._client is None:
            self._client = MqttClient(self._options, self._node, self.topics.availability, self._greeting)

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self._state.frame()
        self.frames += 1

    def status(self, report: dict[str, Any]) -> None:
        self._state.update(report)
        client, state, now = self._client, self._now(), time.monotonic()
        changed = any(state[key] != self._last.get(key) for key in _WEIGHTY)
        due = changed or now - self._published >= _EVERY
        if client is not None and due and client.publish_now(self.topics.state, dump_json(state, other=str)):
            self._published, self._last = now, state

    def event(self, event: Event) -> None:
        client = self._client
        if client is not None:
            client.publish(self.topics.event, event.json())

    def report(self) -> dict[str, Any]:
        client = self._client
        if client is None:
            return {"connected": False, "away": None, "events_lost": 0}
        away = None if client.connected else client.reason
        return {"connected": client.connected, "away": away, "events_lost": client.lost}

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def discard(self) -> None:
        self.close()

    def _now(self) -> dict[str, Any]:
        return mqtt_state(self._state.report, self._state.verdict(), self._about())

    def _greeting(self) -> dict[str, str]:
        """The retained messages of a new connection: the discovery, and the state."""
        messages: dict[str, Any] = {}
        if self._options.discovery is not None:
            prefix = self._options.prefix
            name = device_name() if prefix == DEFAULT_PREFIX else f"{device_name()} {prefix}"
            version = str(self._about().get("version"))
            messages = discovery_messages(self._options.discovery, self._node, self.topics, name, version)
        return {topic: dump_json(told) for topic, told in {**messages, self.topics.state: self._now()}.items()}

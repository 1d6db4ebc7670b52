"""MqttClient: a connection to a broker that comes back by itself, holds little and never makes anybody wait."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.sinks.mqtt.options import MqttOptions
from quietcam.errors import one_line
from quietcam.extras import load_optional
from quietcam.process.stopping import process
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["MqttClient"]

_ALIVE = 30  # seconds after which the broker asks whether we are there; it tells the last will after one and a half
_CONNECTING = 10.0  # seconds that an attempt may take
_FIRST, _LAST = 1, 60  # seconds between two attempts
_MOST = 64  # messages that wait for the broker
_GRACE = 0.6  # seconds that the end of the connection may take
_QUIET = 60.0  # seconds between two lines of the log, so that a broker that comes and goes does not fill it


class MqttClient:
    """Publishes; a message that cannot be sent now waits, or is left out. All methods return at once but ``close``.

    Args:
        options: the broker.
        client_id: names this client; the broker ends an older connection of the same name.
        availability: the topic that says ``online``, and ``offline`` as the last will.
        greet: returns the retained messages to send after each connection.

    Attributes:
        connected: whether the broker takes messages.
        reason: why it does not, or did not the last time.
        lost: how many messages were left out.
    """

    def __init__(
        self, options: MqttOptions, client_id: str, availability: str, greet: Callable[[], Mapping[str, str]]
    ) -> None:
        paho = load_optional("paho.mqtt.client")
        enums = load_optional("paho.mqtt.enums")
        self.connected = False
        self.reason: str | None = None
        self.lost = 0
        self._name, self._availability, self._greet = options.name, availability, greet
        self._closing = False
        self._logged = float("-inf")
        self._told: str | None = None
        client = paho.Client(enums.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311)
        if options.user is not None:
            client.username_pw_set(options.user, options.password)
        if options.tls:
            client.tls_set_context(ssl.create_default_context())
        client.will_set(availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(_FIRST, _LAST)
        client.max_queued_messages_set(_MOST)
        client.connect_timeout = _CONNECTING
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        self._client = client
        client.connect_async(options.host, options.port, _ALIVE)
        client.loop_start()

    def publish(self, topic: str, message: str) -> None:
        """Send it, or hold it until the broker is back. One too many is left out and counted in ``lost``."""
        if self._client.publish(topic, message, qos=1).rc not in _TAKEN:
            self.lost += 1

    def publish_now(self, topic: str, message: str) -> bool:
        """Send it, retained, if the broker takes it now; returns whether it does. A later one says the same better, so
        this one does not wait.
        """
        taken = self.connected and not self._client.want_write()
        if taken:
            self._client.publish(topic, message, qos=0, retain=True)
        return taken

    def close(self) -> None:
        """Say that we are gone, and end the connection, or abandon it if it hangs."""
        self._closing = True
        if self.connected:
            self._client.publish(self._availability, "offline", retain=True)
        thread = threading.Thread(target=self._end, name="quietcam-mqtt-end", daemon=True)
        thread.start()
        process.wait([thread], _GRACE)

    def _end(self) -> None:
        self._client.disconnect()  # after what is on its way
        self._client.loop_stop()

    def _on_connect(self, client: Any, _: Any, __: Any, code: Any, ___: Any) -> None:
        if code.is_failure:
            self._away(f"the broker refuses: {code}")
            return
        # With QoS 0, so that events that wait cannot take their places. They are sent again at each connection.
        for topic, message in self._greet().items():
            client.publish(topic, message, retain=True)
        client.publish(self._availability, "online", retain=True)
        self.connected = True  # not before: a newer state must not be followed by the one of the greeting
        if self._told is not None or self.reason is None:
            self._told = None
            log.info("%s: connected", self._name)

    def _on_disconnect(self, _: Any, __: Any, ___: Any, code: Any, ____: Any) -> None:
        was, self.connected = self.connected, False
        if was and not self._closing:
            self._away(f"the connection was lost: {code}")

    def _on_connect_fail(self, _: Any, __: Any) -> None:
        self._away(_words(sys.exc_info()[1]))  # paho calls this while it handles the error

    def _away(self, reason: str) -> None:
        """Note and log why the broker does not take messages: a reason once, and not too often."""
        self.reason = shown(reason)
        now = time.monotonic()
        if self._closing or self.reason == self._told or now - self._logged < _QUIET:
            return
        self._told, self._logged = self.reason, now
        log.warning("%s: %s; trying again. The run goes on", self._name, self.reason)


_TAKEN = (0, 4)
"""Of paho: sent, or held because there is no connection."""


def _words(error: BaseException | None) -> str:
    return "no answer" if error is None else getattr(error, "strerror", None) or one_line(error)

"""What Home Assistant is told by MQTT discovery: one device with its entities, each by a retained message."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from edge.events.event import Kind
from edge.network.treatment import Rung

__all__ = ["Topics", "discovery_messages"]

_STATES = ("live", "degraded", "lost", "starting", "stopped")
_MEASURED = {"state_class": "measurement"}
_COUNTED = {"state_class": "total_increasing", "entity_category": "diagnostic"}

# Component, name of the entity, its value in the state, and what else Home Assistant is told.
_ENTITIES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("binary_sensor", "Live video", "'ON' if value_json.live else 'OFF'", {"device_class": "connectivity"}),
    ("binary_sensor", "Degraded", "'ON' if value_json.state == 'degraded' else 'OFF'", {"device_class": "problem"}),
    ("sensor", "State", "value_json.state", {"device_class": "enum", "options": list(_STATES)}),
    ("sensor", "Reason", "(value_json.reason or 'none')[:255]", {"entity_category": "diagnostic"}),
    ("sensor", "Frame rate", "value_json.fps", {**_MEASURED, "unit_of_measurement": "fps"}),
    ("sensor", "Noise", "value_json.noise", {**_MEASURED, "icon": "mdi:blur"}),
    ("sensor", "Network share", "value_json.share_percent", {**_MEASURED, "unit_of_measurement": "%"}),
    (
        "sensor",
        "Temperature",
        "value_json.temperature",
        {**_MEASURED, "device_class": "temperature", "unit_of_measurement": "°C"},
    ),
    (
        "sensor",
        "Latency",
        "value_json.latency_ms",
        {**_MEASURED, "device_class": "duration", "unit_of_measurement": "ms", "entity_category": "diagnostic"},
    ),
    (
        "sensor",
        "Ladder step",
        "value_json.ladder",
        {"device_class": "enum", "options": [rung.value for rung in Rung], "entity_category": "diagnostic"},
    ),
    ("sensor", "Model", "value_json.model", {"entity_category": "diagnostic"}),
    ("sensor", "Stored frames", "value_json.stored", {"state_class": "total_increasing"}),
    ("sensor", "Missed frames", "value_json.missed", _COUNTED),
    ("sensor", "Camera reopened", "value_json.reopened", _COUNTED),
)


class Topics(NamedTuple):
    """The topics of one device.

    Attributes:
        base: ``PREFIX/DEVICE_ID``.
    """

    base: str

    @property
    def state(self) -> str:
        return f"{self.base}/state"

    @property
    def event(self) -> str:
        return f"{self.base}/event"

    @property
    def availability(self) -> str:
        return f"{self.base}/availability"


def discovery_messages(discovery: str, node: str, topics: Topics, name: str, version: str) -> dict[str, dict[str, Any]]:
    """The message of each topic, for JSON.

    Args:
        discovery: Home Assistant's prefix.
        node: names this device among all that a broker knows; ASCII letters, digits, ``_`` and ``-``.
        topics: where the device publishes.
        name: of the device, for people.
        version: of quietcam.
    """
    device: dict[str, Any] = {
        "identifiers": [node],
        "name": name,
        "manufacturer": "quietcam",
        "model": "Denoising camera",
        "sw_version": version,
    }
    common = {
        "availability_topic": topics.availability,
        "device": device,
        "origin": {"name": "quietcam", "sw": version},
    }
    messages = {}
    for component, entity, value, more in _ENTITIES:
        key = re.sub(r"[^a-z]+", "_", entity.lower())
        messages[f"{discovery}/{component}/{node}/{key}/config"] = {
            **common,
            "name": entity,
            "unique_id": f"{node}_{key}",
            "state_topic": topics.state,
            "value_template": f"{{{{ {value} }}}}",
            **more,
        }
    messages[f"{discovery}/event/{node}/event/config"] = {
        **common,
        "name": "Event",
        "unique_id": f"{node}_event",
        "state_topic": topics.event,
        "event_types": [kind.value for kind in Kind],
        "value_template": "{{ dict(value_json, event_type=value_json.event) | tojson }}",
    }
    return messages

"""The URL of a broker, and where its password comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.sinks.mqtt.options import MqttOptions, is_mqtt
from quietcam.errors import UsageError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker.lan", MqttOptions("broker.lan", 1883)),
        ("MQTTS://broker.lan/", MqttOptions("broker.lan", 8883, tls=True)),
        ("mqtt://me@10.0.0.1:1884/home/door/", MqttOptions("10.0.0.1", 1884, user="me", prefix="home/door")),
        ("mqtt://m%40e:p%3Ass@[::1]", MqttOptions("::1", 1883, user="m@e", password="p:ss")),
        ("mqtt://b?discovery=no", MqttOptions("b", 1883, discovery=None)),
        ("mqtt://b/x?discovery=ha", MqttOptions("b", 1883, prefix="x", discovery="ha")),
    ],
)
def test_urls(url: str, expected: MqttOptions) -> None:
    assert is_mqtt(url)
    assert MqttOptions.parse(url) == expected


LONG = "x" * 201


@pytest.mark.parametrize(
    "url",
    [
        *("mqtt://", "mqtt:broker", "mqtt:///x", "mqtt://me:tops3cret@b:99999", "mqtt://me:tops3cret@b?qos=1"),
        *("mqtt://me:tops3/cret@b", "mqtt://b#x", "mqtt://b/a+b", "mqtt://b/%23", "mqtt://b?discovery="),
        *("mqtt://b/%0a", "mqtt://b/$SYS", f"mqtt://b/{LONG}", "mqtt://b b"),
    ],
)
def test_what_is_no_broker_is_refused_in_one_line_without_the_password(url: str) -> None:
    with pytest.raises(UsageError, match=r"Received: .*Remedy: ") as told:
        MqttOptions.parse(url)
    assert "tops3" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_password_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(" tops3cret \n")
    options = MqttOptions.parse("mqtt://me:other@b", f"@{path}")
    assert options.password == " tops3cret "
    assert "tops3cret" not in repr(options) + options.name
    assert MqttOptions.parse("mqtt://me@b", "tops3cret").password == "tops3cret"
    with pytest.raises(UsageError, match="The file of `mqtt_password` must be readable"):
        MqttOptions.parse("mqtt://me@b", f"@{tmp_path / 'none'}")
    with pytest.raises(UsageError, match="A password for MQTT needs a user"):
        MqttOptions.parse("mqtt://b", "tops3cret")


@pytest.mark.parametrize("target", ["web", "http://b", "mqtt", "spool:mqtt", "mqttx://b"])
def test_other_sinks_are_none(target: str) -> None:
    assert not is_mqtt(target)

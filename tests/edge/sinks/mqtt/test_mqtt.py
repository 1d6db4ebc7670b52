"""MQTT against a real Mosquitto: connect, wrong password, a broker that is killed and back, last will, discovery."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge.sinks.mqtt.client
from edge.events.device_id import device_id
from edge.events.event import Event, Kind
from edge.network.treatment import Treatment
from edge.run.frame import Frame
from edge.run.health import Health
from edge.run.options import RunOptions
from edge.run.session import open_session
from edge.sinks.mqtt.options import MqttOptions
from edge.sinks.mqtt.sink import MqttSink
from edge.web.metrics import Metrics
from quietcam.errors import MissingExtraError, UsageError
from tests.edge.sinks.mqtt.broker import PASSWORD, Broker, Listener, listening, running_broker
from tests.ports import free_ports
from tests.waiting import WAIT, until

pytest.importorskip("paho.mqtt.client", reason="needs the extra 'mqtt'")

ABOUT = {"source": "/dev/video0", "model": {"name": "small"}, "device_id": device_id(), "version": "0.1.0"}
TOPIC = f"quietcam/{device_id()}"
LOST = Event(Kind.CAMERA_LOST, "it is lost", 0.0, "camera", True, "/dev/video0", {"reason": "unplugged"})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker(tmp_path) as broker:
        yield broker


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    with listening(broker) as listener:
        yield listener


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.sinks.mqtt.client, "_GRACE", WAIT)
    monkeypatch.setattr(edge.sinks.mqtt.client, "_QUIET", 0.0)


def sink_at(port: int, password: str | None = PASSWORD, path: str = "") -> MqttSink:
    return MqttSink(MqttOptions.parse(f"mqtt://camera@127.0.0.1:{port}{path}", password), lambda: ABOUT)


def report(**more: Any) -> dict[str, Any]:
    health = Health()
    health.treated(time.monotonic(), Treatment(model="small"), Treatment(model="small"))
    return health.report() | {"fps_now": 30.0, "noise_sigma": 7.456, "temperature_c": 51.5} | more


def feed(sink: MqttSink, **more: Any) -> None:
    sink.write(Frame(np.zeros((2, 2, 3), np.uint8), 0.0, 0), np.zeros((2, 2, 3), np.uint8))
    sink.status(report(**more))


def state_of(listener: Listener, topic: str = f"{TOPIC}/state") -> str | None:
    told = listener.last(topic)
    return None if told is None else str(json.loads(told)["state"])


def until_state(sink: MqttSink, listener: Listener, state: str, **more: Any) -> None:
    """Feed it, as a run does each second, until that state is published."""

    def published() -> bool:
        feed(sink, **more)
        return state_of(listener) == state

    until(published)


def connected(sink: MqttSink) -> bool:
    return sink.report()["connected"] is True


def test_state_events_and_availability(broker: Broker, listener: Listener) -> None:
    sink = sink_at(broker.port)
    with sink:
        until(lambda: connected(sink))
        sinks = [{"name": "spool:/x", "stored": 3, "missed": 1}, {"name": "record:/y", "stored": 2}]
        until_state(sink, listener, "live", sinks=sinks)
        sink.event(LOST)
        until(lambda: f"{TOPIC}/event" in listener.topics())
        assert listener.last(f"{TOPIC}/availability") == "online"
        state = json.loads(listener.last(f"{TOPIC}/state") or "")
        told = ("state", "live", "reason", "fps", "noise", "temperature", "share_percent", "stored", "missed", "model")
        assert [state[key] for key in told] == ["live", True, None, 30.0, 7.46, 51.5, 100.0, 5, 1, "small"]
        assert json.loads(listener.last(f"{TOPIC}/event") or "") == LOST.report()
        until_state(sink, listener, "degraded", ladder={"step": "pass-through", "reason": "84 °C"})
        assert "(84" in (listener.last(f"{TOPIC}/state") or "")
    until(lambda: listener.last(f"{TOPIC}/availability") == "offline")
    with listening(broker) as later:  # what is retained
        until(lambda: f"{TOPIC}/state" in later.topics())
        assert later.last(f"{TOPIC}/availability") == "offline"
        assert f"{TOPIC}/event" not in later.topics(), "an event of the past is none"


def test_discovery_is_retained_and_valid(broker: Broker, listener: Listener) -> None:
    with sink_at(broker.port) as sink:
        until(lambda: listener.last(f"{TOPIC}/availability") == "online")
        assert sink.name == f"mqtt://127.0.0.1:{broker.port}/quietcam"
    node = f"quietcam_{device_id()}"
    with listening(broker) as later:
        until(lambda: f"homeassistant/event/{node}/event/config" in later.topics())
        configs = {
            topic: json.loads(message) for topic, message, retained in later.got if topic.startswith("homeassistant/")
        }
        assert all(retained for topic, _, retained in later.got if topic.startswith("homeassistant/"))
    assert len(configs) == 15
    assert len({each["unique_id"] for each in configs.values()}) == 15
    for topic, config in configs.items():
        _, component, of, key, _ = topic.split("/")
        assert (of, config["unique_id"]) == (node, f"{node}_{key}")
        assert config["device"]["identifiers"] == [node]
        assert config["availability_topic"] == f"{TOPIC}/availability"
        assert component in ("sensor", "binary_sensor", "event")
        assert config["state_topic"] == f"{TOPIC}/{'event' if component == 'event' else 'state'}"


@pytest.mark.parametrize("state", [{}, {"sinks": [{"name": "spool", "stored": 3, "missed": 0}]}])
def test_the_templates_of_discovery_give_what_home_assistant_expects(state: dict[str, Any]) -> None:
    """By jinja2, which Home Assistant uses, too."""
    from jinja2 import Environment, StrictUndefined

    from edge.sinks.mqtt.discovery import Topics, discovery_messages
    from edge.sinks.mqtt.state import mqtt_state

    environment = Environment(undefined=StrictUndefined, autoescape=False)
    health = {"state": "degraded", "reason": "degraded: hot"}
    told = {"state": mqtt_state(report(**state), health, ABOUT), "event": LOST.report()}
    messages = discovery_messages("homeassistant", "node", Topics("quietcam/x"), "camera7", "0.1.0")
    for config in messages.values():
        value = told[config["state_topic"].rpartition("/")[2]]
        found = environment.from_string(config["value_template"]).render(value_json=value)
        if "event_types" in config:
            assert json.loads(found)["event_type"] in config["event_types"]
        elif config.get("device_class") == "enum":
            assert found in config["options"]
        elif "state_class" in config:
            assert found == "None" or float(found) >= 0.0
        elif config.get("device_class") in ("connectivity", "problem"):
            assert found == "ON"
        else:
            assert 0 < len(found) <= 255


def test_a_wrong_password_is_one_clear_line_and_no_failure(
    broker: Broker, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_at(broker.port, "tops3cret")
    with sink:
        until(lambda: sink.report()["away"])
        feed(sink)
        sink.event(LOST)
    assert sink.report()["connected"] is False
    lines = [each for each in caplog.messages if "the broker refuses" in each]
    assert lines == [
        f"mqtt://127.0.0.1:{broker.port}/quietcam: the broker refuses: Not authorized; trying again. The run goes on"
    ]
    assert "tops3cret" not in caplog.text
    assert not listener.topics()


def test_a_broker_that_is_killed_and_back_gets_everything_again(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_at(broker.port)
    with sink:
        until(lambda: connected(sink))
        broker.kill()
        until(lambda: not connected(sink))
        assert sink.report()["away"]
        for _ in range(200):  # bounded
            sink.event(LOST)
            feed(sink)
        assert sink.report()["events_lost"] >= 200 - 64
        broker.start()
        with listening(broker) as listener:
            until(lambda: listener.last(f"{TOPIC}/availability") == "online")
            until(lambda: sum(topic == f"{TOPIC}/event" for topic, _, _ in listener.got) >= 1)
            assert any(topic.startswith("homeassistant/") for topic in listener.topics())
            assert f"{TOPIC}/state" in listener.topics()
        assert sink.report()["away"] is None
    assert sum("trying again" in each for each in caplog.messages) >= 1
    assert sum(each.endswith("connected") for each in caplog.messages) == 2


def test_the_last_will_tells_that_a_device_is_gone(broker: Broker, listener: Listener) -> None:
    script = (
        "import sys, time\n"
        "from tests.edge.sinks.mqtt.test_mqtt import sink_at\n"
        f"sink_at({broker.port}).open()\n"
        "time.sleep(600)\n"
    )
    device = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: listener.last(f"{TOPIC}/availability") == "online")
    finally:
        device.kill()
        device.wait(WAIT)
    until(lambda: listener.last(f"{TOPIC}/availability") == "offline")


def test_a_broker_that_takes_nothing_more_makes_nobody_wait_and_takes_no_memory() -> None:
    """It accepts the connection and then reads no byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = sink_at(server.getsockname()[1])
        edge.sinks.mqtt.client._GRACE = 0.05
        with sink:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK
            until(lambda: connected(sink))
            for number in range(3000):
                feed(sink, dropped=number)
                sink.event(LOST)
            assert sink.report()["events_lost"] > 2900
            assert sink._client is not None
            assert len(sink._client._client._out_packet) < 200
        connection.close()


def test_nobody_is_there_and_a_name_that_nobody_knows(caplog: pytest.LogCaptureFixture) -> None:
    for url in (f"mqtt://127.0.0.1:{free_ports(1)[0]}", "mqtt://no-such-host.invalid"):
        sink = MqttSink(MqttOptions.parse(url), lambda: ABOUT)
        with sink:
            until(lambda sink=sink: sink.report()["away"])
        assert sink.name in caplog.text
    assert "refused" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a refused socket to Python
def test_tls_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    lines = f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
    with running_broker(tmp_path, lines) as broker:
        options = MqttOptions.parse(f"mqtts://camera@localhost:{broker.port}", PASSWORD)
        sink = MqttSink(options, lambda: ABOUT)
        with sink:
            until(lambda: "certificate" in str(sink.report()["away"]))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with sink:
            until(lambda: connected(sink))


def test_a_run_publishes_and_ends_well_without_its_broker(broker: Broker, listener: Listener, small: Path) -> None:
    path = small.parent / "password"
    path.write_text(PASSWORD + "\n")
    options = RunOptions(
        source="synthetic:size=32x32,fps=30,rendered=2",
        sink=("null", f"mqtt://camera@127.0.0.1:{broker.port}/home/door"),
        model=small,
        mqtt_password=f"@{path}",
    )
    state = f"home/door/{device_id()}/state"
    with open_session(options) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        until(lambda: state_of(listener, state) == "live")
        assert json.loads(listener.last(state) or "")["model"] == "small_32x32_int8"
        broker.kill()
        until(lambda: session.report()["sinks"][1]["connected"] is False)
        taken = session.report()["frames"]
        until(lambda: session.report()["frames"] > taken + 5)
        status = {**session.report(), "model": None}
        text = Metrics(lambda: status).text().decode()
        assert f'quietcam_sink_up{{sink="mqtt://127.0.0.1:{broker.port}/home/door"}} 0.0' in text
        session.stop()
        thread.join()
    from edge.run.report import lost_by

    assert lost_by(session.report()) == []
    assert PASSWORD not in json.dumps(session.report())


def test_a_run_with_mqtt_alone_is_refused(small: Path) -> None:
    options = RunOptions(source="synthetic:size=32x32", sink="mqtt://me:tops3cret@broker.lan", model=small)
    with pytest.raises(UsageError, match="MQTT shows no frames") as told, open_session(options):
        pass
    assert "tops3cret" not in str(told.value)


def test_without_paho_the_command_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'quietcam\[mqtt\]'"):
        MqttSink(MqttOptions("h", 1), lambda: ABOUT)

"""Alarms: bounded, tried again, stopped at once; and the whole way from a camera that is lost to a command."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.events.alarm
import edge.events.feed
from edge.cameras.supervised import SupervisedCamera
from edge.events.alarm import Alarm, open_target, wanted_kinds
from edge.events.command import Command
from edge.events.event import Event, Kind
from edge.events.feed import EventFeed
from edge.events.pacing import Pacing
from edge.events.watch import EventWatch
from edge.events.webhook import Webhook
from edge.run.options import RunOptions
from edge.run.session import open_session
from quietcam.data.pictures.files import write_picture
from quietcam.errors import UsageError
from tests.edge.cameras.watched import PATIENT, FakeDevice
from tests.small_models import picture
from tests.waiting import ended, until

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def event(number: int = 0, kind: Kind = Kind.CAMERA_LOST) -> Event:
    return Event(kind, str(number), float(number), "camera", True)


class Target:
    """Keeps what it is told, and does what ``act`` does."""

    name = "target"
    attempts = 3

    def __init__(self, act: Callable[[int], str | None] = lambda _: None) -> None:
        self.got: list[tuple[str, int]] = []
        self._act = act

    def tell(self, event: Event, left_out: int, stopped: Callable[[], bool]) -> str | None:  # noqa: ARG002
        self.got.append((event.message, left_out))
        return self._act(len(self.got))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.events.alarm, "_FIRST", 0.001)
    monkeypatch.setattr(edge.events.feed, "_PULSE", 0.01)


def test_while_one_is_told_the_others_wait_and_too_many_are_left_out() -> None:
    goes_on = threading.Event()

    def waits(_: int) -> None:
        goes_on.wait()

    target = Target(waits)
    alarm = Alarm(target, pacing=Pacing(3, 1e9))
    alarm.start()
    alarm.take(event(0))
    until(lambda: target.got)
    for number in range(1, 100):
        alarm.take(event(number))
    goes_on.set()
    until(lambda: alarm.told == 3)
    alarm.stop()
    assert target.got == [("0", 0), ("98", 97), ("99", 0)]


def test_one_that_may_succeed_is_tried_again_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    def refuses(attempt: int) -> None:
        if attempt != 2:
            raise OSError("it answered 503")

    target = Target(refuses)
    alarm = Alarm(target)
    alarm.start()
    alarm.take(event(0))
    until(lambda: alarm.told == 1)
    assert len(target.got) == 2
    alarm.take(event(1))
    until(lambda: alarm.failed == 1)
    assert len(target.got) == 5
    alarm.stop()
    assert "The alarm target was not told of camera_lost: it answered 503" in caplog.messages
    assert alarm.report() == {"name": "target", "told": 1, "failed": 1}


def test_an_unexpected_error_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(attempt: int) -> None:
        if attempt == 1:
            raise KeyError("http://me:tops3cret@host/")

    alarm = Alarm(Target(breaks))
    alarm.start()
    alarm.take(event(0))
    until(lambda: alarm.failed == 1)
    alarm.take(event(1))
    until(lambda: alarm.told == 1)
    until(lambda: "The alarm target works again" in caplog.messages)
    alarm.stop()
    assert "tops3cret" not in caplog.text


def test_a_stop_kills_a_command_and_ends_a_wait() -> None:
    alarm = Alarm(Command(f"{sys.executable} -c 'import time; time.sleep(600)'"))
    waits = Alarm(Target(), pacing=Pacing(1, 1e9))
    for each in (alarm, waits):
        each.start()
        each.take(event(0))
        each.take(event(1))
    until(lambda: waits.told == 1)
    for each in (alarm, waits):
        each.stop()
        ended(each._thread)
    assert (alarm.told, alarm.failed) == (0, 0)


def test_it_is_told_of_the_events_that_are_wanted() -> None:
    target = Target()
    alarm = Alarm(target, wanted_kinds("too_hot, camera_lost"))
    alarm.start()
    for number, kind in enumerate((Kind.LADDER, Kind.TOO_HOT, Kind.CAMERA_BACK, Kind.CAMERA_LOST)):
        alarm.take(event(number, kind))
    until(lambda: alarm.told == 2)
    alarm.stop()
    assert [message for message, _ in target.got] == ["1", "3"]


def test_names_of_events() -> None:
    assert wanted_kinds(None) == tuple(Kind)
    with pytest.raises(UsageError, match=r"`events` are of camera_lost, .*Received: camera_gone\."):
        wanted_kinds("camera_lost,camera_gone")
    with pytest.raises(UsageError, match=r"Received: \(nothing\)"):
        wanted_kinds("")


def test_a_target_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hook"
    path.write_text("https://home.lan/api/webhook/tops3cret\n")
    assert isinstance(open_target(f"@{path}"), Webhook)
    path.write_text(f"{sys.executable} -V")
    assert isinstance(open_target(f"@{path}"), Command)
    with pytest.raises(UsageError, match="The file of `on_event` must be readable"):
        open_target(f"@{tmp_path / 'none'}")
    assert "tops3cret" not in repr(RunOptions(on_event="https://home.lan/api/webhook/tops3cret"))


def test_a_listener_that_fails_silences_no_other_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []
    number = iter(range(10**9))

    def breaks(_: Event) -> None:
        raise ValueError("tells nobody")

    def report() -> dict[str, object]:
        return {"reload": {"count": next(number)}}

    feed = EventFeed(EventWatch(80.0), report, [breaks, heard.append])
    feed.start()
    until(lambda: len(heard) > 3)
    feed.stop()
    assert feed.counts()["model_changed"] == len(heard)
    assert caplog.messages == ["A listener of events has an unexpected ValueError: tells nobody"]


def test_heat_is_logged_since_nobody_else_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    celsius = iter([90.0, 60.0])
    last = [60.0]
    feed = EventFeed(EventWatch(80.0), lambda: {"temperature_c": next(celsius, last[0])})
    feed.start()
    until(lambda: feed.counts()["cool_again"])
    feed.stop()
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.WARNING, "The device is too hot: 90 °C, of at most 80"),
        (logging.INFO, "The device has cooled down to 60 °C"),
    ]


def test_from_a_camera_that_is_lost_to_a_command_and_the_report(
    monkeypatch: pytest.MonkeyPatch, small: Path, tmp_path: Path
) -> None:
    device = FakeDevice()
    monkeypatch.setattr("edge.run.session.open_camera", lambda *_: SupervisedCamera(device.make, PATIENT))
    script = tmp_path / "write.py"
    script.write_text(f"import sys; open({str(tmp_path / 'told')!r}, 'a').write(sys.stdin.read())")
    options = RunOptions(
        sink="null", model=small, on_event=f"{sys.executable} {script}", events="camera_lost,camera_back"
    )
    told = tmp_path / "told"

    def events() -> list[str]:
        return [json.loads(line)["event"] for line in told.read_text().splitlines()] if told.exists() else []

    with open_session(options) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        until(lambda: session.report()["frames"] > 1)
        device.there = False
        until(lambda: events() == ["camera_lost"])
        device.there = True
        until(lambda: events() == ["camera_lost", "camera_back"])
        until(lambda: session.report()["alarms"][0]["told"] == 2)
        assert session.report()["events"]["camera_lost"] == 1
        session.stop()
        thread.join()


def test_alarms_need_a_camera(small: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(8, 8))
    options = RunOptions(source=tmp_path, sink="null", model=small, on_event="true")
    with pytest.raises(UsageError, match="`on_event` tells of a camera's events"), open_session(options):
        pass

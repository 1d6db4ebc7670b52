"""A command gets the event, runs without a shell and for a limited time, and learns no secret."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from edge.events.command import Command
from edge.events.event import Event, Kind
from quietcam.errors import UsageError
from tests.leaks import children, descriptors
from tests.waiting import ended, until

EVENT = Event(Kind.CAMERA_LOST, "it is lost; $(touch oops) `touch oops`", 0.0, "camera", True, "/dev/video0")


def never() -> bool:
    return False


def python(folder: Path, text: str) -> str:
    """The words that run a script."""
    script = folder / "script.py"
    script.write_text(text)
    return f"{sys.executable} {script} 'two words' $HOME;"


def test_it_gets_the_event_in_variables_and_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIETCAM_TOKEN", "QUIETCAM_MQTT_PASSWORD", "QUIETCAM_RUN_SOURCE", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "tops3cret")
    monkeypatch.setenv("MINE", "kept")
    monkeypatch.chdir(tmp_path)
    text = python(
        tmp_path,
        "import json, os, sys\n"
        "told = [sys.argv[1:], dict(os.environ), json.load(sys.stdin)]\n"
        "json.dump(told, open('told.json', 'w'))\n",
    )
    assert Command(text).tell(EVENT, 3, never) is None
    words, variables, event = json.loads((tmp_path / "told.json").read_text())
    assert words == ["two words", "$HOME;"], "no shell"
    assert event == EVENT.report(3)
    assert variables["MINE"] == "kept"
    assert "tops3cret" not in str(variables)
    found = {name: value for name, value in variables.items() if name.startswith("QUIETCAM_")}
    assert found == {
        "QUIETCAM_EVENT": "camera_lost",
        "QUIETCAM_EVENT_MESSAGE": EVENT.message,
        "QUIETCAM_EVENT_TIME": "1970-01-01T00:00:00.000+00:00",
        "QUIETCAM_EVENT_TROUBLE": "yes",
        "QUIETCAM_EVENT_SUBJECT": "camera",
        "QUIETCAM_EVENT_DEVICE_ID": event["device_id"],
        "QUIETCAM_EVENT_DEVICE_NAME": event["device_name"],
        "QUIETCAM_EVENT_SOURCE": "/dev/video0",
        "QUIETCAM_EVENT_LEFT_OUT": "3",
    }
    assert not (tmp_path / "oops").exists()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import sys; sys.exit('it is wrong')", "it ended with exit code 1; it said: it is wrong"),
        ("import sys; print('x' * 10**6); sys.exit(3)", f"it ended with exit code 3; it said: {'x' * 300}"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9 ended it"),
        ("import sys; sys.exit('http://me:tops3cret@host/')", "it ended with exit code 1; it said: http://***@host/"),
    ],
)
def test_why_it_failed(tmp_path: Path, script: str, expected: str) -> None:
    assert Command(python(tmp_path, script)).tell(EVENT, 0, never) == expected


def test_one_that_runs_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    text = python(
        tmp_path,
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n",
    )
    before = children()
    done: list[str | None] = []
    stopped = threading.Event()
    thread = threading.Thread(target=lambda: done.append(Command(text).tell(EVENT, 0, stopped.is_set)))
    thread.start()
    child = tmp_path / "child"
    until(lambda: child.exists() and child.read_text())
    stopped.set()
    ended(thread)
    assert done == ["quietcam stops"]
    assert children() == before
    until(lambda: not Path(f"/proc/{child.read_text()}").exists() or "Z" in stat(child.read_text()))
    assert Command(f"{sys.executable} -c 'import time; time.sleep(600)'", 0.0).tell(EVENT, 0, never) == (
        "it ran for more than 0 s"
    )


def stat(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_one_that_reads_nothing_and_closes_its_output(tmp_path: Path) -> None:
    before = descriptors()
    script = "import os, time; os.close(0); os.close(1); os.close(2); time.sleep(0.3)"
    assert Command(python(tmp_path, script)).tell(EVENT, 0, never) is None
    assert descriptors() == before


def test_its_messages_show_its_name_alone() -> None:
    command = Command(f"{sys.executable} --password tops3cret")
    assert command.name == Path(sys.executable).name
    assert "tops3cret" not in command.name


@pytest.mark.parametrize("text", ["", "  ", "no-such-program --token tops3cret", "sh -c 'tops3cret", "/etc tops3cret"])
def test_what_is_no_command_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="`on_event` is a command or a URL") as told:
        Command(text)
    assert "tops3cret" not in str(told.value)
    assert "\n" not in str(told.value)

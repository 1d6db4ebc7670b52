"""No password of a URL is printed: tried with random passwords in commands, and checked in the source code."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge
from edge.cameras.supervised import SupervisedCamera
from edge.config import read_config
from edge.service.notify import Notifier
from edge.service.reload import Reloader
from quietcam.app.cli import run
from quietcam.errors import QuietcamError, UsageError
from quietcam.finding import Finding
from tests.ports import free_ports
from tests.waiting import until

LETTERS = "qxzjvkQXZJVK"  # of which no message has five in a row
SECRETS = st.text(LETTERS + "#/?:%&!;,.$+~^\"'()[]{}|<>\\`@", min_size=8, max_size=16).filter(
    lambda text: sum(letter in LETTERS for letter in text) > 5 and "@" not in text[1:]
)
SHAPES = st.sampled_from(
    [
        "rtsp://user:{0}@127.0.0.1:{1}/live",
        "RTSP://user:{0}@127.0.0.1:{1}/live",
        "rtsp://:{0}@127.0.0.1:{1}/live",
        "http://user:{0}@127.0.0.1:{1}/video",
        "https://user:{0}@127.0.0.1:{1}",
        "http://127.0.0.1:{1}/snap.cgi?user=me&pwd={0}",
        "http://127.0.0.1:{1}/x#{0}",
        "rtsp:user:{0}@127.0.0.1",
        "rtsp:/user:{0}@127.0.0.1",
        "rtsp://user:{0}",
        "rtmp://user:{0}@127.0.0.1/live",
        "foo://user:{0}@127.0.0.1",
        "srt://127.0.0.1?passphrase={0}",
        "user:{0}@127.0.0.1/live",
        "12345:{0}@127.0.0.1/live",
        "://user:{0}@127.0.0.1",
        "jürgen:{0}@127.0.0.1",
        "rtsp:user name:{0}@127.0.0.1",
        "user name:{0}@127.0.0.1",
        "RTMPS://user%40home:{0}@127.0.0.1",
    ]
)
WORDS = st.sampled_from(
    [
        ["run", "--sink", "null", "--source", "{}"],
        ["run", "--sink", "null", "--source={}", "--json", "-"],
        ["run", "--source", "{}", "--size", "640x480", "--sink", "null"],
        ["run", "--sink", "null", "{}"],
        ["run", "--source", "/dev/video63", "--sink", "{}"],
        ["run", "--source", "nowhere", "--sink", "{}", "--sink", "{}"],
        ["run", "--sink", "null", "--source", "synthetic:base={}"],
        ["--debug", "run", "--sink", "null", "--source", "{}"],
        ["capture", "--out", "nowhere/at/all", "--source", "{}"],
        ["capture", "{}"],
        ["doctor", "{}"],
        ["bench", "--model", "{}"],
        ["run", "--sink", "null", "--config", "{}"],
        ["--debug", "run", "--sink", "null", "--config={}"],
        ["run", "--model", "{}", "--sink", "null", "--source", "synthetic"],
        ["run", "--sink", "null", "--source", "synthetic", "--threads", "{}"],
        ["data", "index", "{}"],
        ["lint", "{}"],
        ["--debug", "coral", "check", "{}"],
    ]
)


@pytest.fixture(scope="module")
def closed() -> int:
    """A port at which nobody answers."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("secrets"))
        patch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
        yield


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRETS, SHAPES, WORDS)
def test_no_command_prints_a_part_of_a_password(
    closed: int, elsewhere: None, secret: str, shape: str, words: list[str]
) -> None:
    del elsewhere
    url = shape.format(secret, closed)
    told = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        patch.setattr("edge.cameras.network.reach._REACHING", 0.2)
        patch.setenv("QUIETCAM_DEBUG", "")  # which --debug sets, and which must not stay
        assert run([word.replace("{}", url) for word in words]) != 0
    holds_nothing_of(told.getvalue(), secret, url.replace(secret, " "))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SECRETS, SHAPES)
def test_no_report_and_no_exception_holds_it(secret: str, shape: str) -> None:
    from edge.cameras import open_camera

    url = shape.format(secret, 9)
    told: list[str] = []
    try:
        camera = open_camera(url)
    except QuietcamError as error:
        told += [str(error), repr(error)]
    else:
        assert isinstance(camera, SupervisedCamera)
        camera.wait = True
        camera.open()
        told += [json.dumps(camera.state.report()), repr(camera.state), camera.name, repr(camera)]
        camera.close()
    for each in told:
        holds_nothing_of(each, secret, url.replace(secret, " "))


def test_a_configuration_and_a_reload_that_are_refused_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "quietcam.toml"
    path.write_text('source = ["rtsp://user:qxzj#vk@camera/live"]')
    with pytest.raises(UsageError) as caught:
        read_config(path, {"source": str})
    assert "camera" in str(caught.value)
    holds_nothing_of(str(caught.value), "qxzj#vk", "")
    refused: list[str] = []

    def work() -> None:
        raise UsageError("Received: rtsp://user:qxzj#vk@camera/live.")

    reloader = Reloader(work, refused.append, Notifier({}))
    reloader.start()
    reloader.request()
    until(lambda: refused)
    reloader.close()
    assert refused == ["Received: rtsp://***@camera/live."]


@pytest.mark.parametrize(
    "line",
    [
        "token = 1234567890",
        "token = 12345.67890",
        'token = ["1234567890"]',
        "token = [1234567890, 2]",
        'token = {value = "1234567890"}',
        'token.value = "1234567890"',
        "[token]\nvalue = 1234567890",
        "token = 2026-01-01T12:34:56Z # 1234567890",
        'tokens = "1234567890"',
        'strength = "rtsp://user:1234567890 12@camera"',
        'sink = [["rtsp://user:1234567890 12@camera"]]',
        "token = 1234567890 and more",
        'token = "1234567890',
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_configuration_that_is_refused_echoes_no_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, debug: bool
) -> None:
    path = tmp_path / "quietcam.toml"
    path.write_text(line)
    monkeypatch.setenv("QUIETCAM_DEBUG", "")
    assert run([*["--debug"] * debug, "run", "--config", str(path)]) == 2
    told = "".join(capsys.readouterr())
    assert "Received" in told
    holds_nothing_of(told, "1234567890", "")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--token", "qxzjvkqx", "--viewers", "qxzjvkqx"],
        ["run", "--token=qxzjvkqx", "qxzjvkqx"],
        ["run", "--sink", "web", "--listen", "qxzjvkqx:99999", "--token", "qxzjvkqx"],
        ["run", "--source", "synthetic", "--sink", "nosuch:qxzjvkqx", "--token", "qxzjvkqx"],
        ["--debug", "run", "--source", "synthetic:qxzjvkqx=1", "--token", "qxzjvkqx"],
    ],
)
def test_a_token_that_is_quoted_by_another_complaint_is_not_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("QUIETCAM_DEBUG", "")
    assert run(words) == 2
    holds_nothing_of("".join(capsys.readouterr()), "qxzjvkqx", "")


def test_one_in_the_environment_is_not_told_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIETCAM_RUN_TOKEN", "qxzjvkqx")
    assert run(["run", "--source", "synthetic", "--sink", "nosuch:qxzjvkqx"]) == 2
    holds_nothing_of("".join(capsys.readouterr()), "qxzjvkqx", "")


def test_what_the_service_manager_is_told_is_one_line_of_text_without_secrets(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "s"))
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "s")}).status("no rtsp://u:qxzjvk@h/a\udce9\x1b[2J\nREADY=1")
        assert manager.recv(4096) == rb"STATUS=no rtsp://***@h/a\xe9\x1b[2J READY=1"


def test_doctor_tells_no_secret(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """People paste its report in public."""
    found = Finding("camera", "warning", "rtsp://u:qxzjvk@h/a, token=qxzjvk", "curl http://u:qxzjvk@h")
    monkeypatch.setattr("edge.doctor.examine.examine", lambda _: [found])
    for words in (["doctor"], ["doctor", "--json", "-"]):
        assert run(words) == 0
        told = "".join(capsys.readouterr())
        assert "rtsp://***@h/a" in told
        holds_nothing_of(told, "qxzjvk", "")


def holds_nothing_of(told: str, secret: str, rest: str) -> None:
    """Five of its characters in a row count as a part, unless the URL's other parts or a message contain them."""
    assert secret not in told
    lines = [line for line in told.splitlines() if "in <module>" not in line]
    for start in range(len(secret) - 4):
        part = secret[start : start + 5]
        assert part in rest or not any(part in line for line in lines), (part, told)


class _Shown(ast.NodeVisitor):
    """Finds names in formatted texts whose value may be a URL as its user wrote it."""

    names = frozenset({"url", "source", "target", "full", "bare", "tail", "password", "_url", "_source"})

    def __init__(self) -> None:
        self.found: list[int] = []

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        for part in ast.walk(node.value):
            if isinstance(part, ast.Call) and getattr(part.func, "id", "") in ("shown", "quote", "len"):
                return
        named: Any = node.value
        if getattr(named, "id", getattr(named, "attr", None)) in self.names:
            self.found.append(node.lineno)
        self.generic_visit(node)


def test_no_text_is_made_of_a_source_but_through_the_one_function() -> None:
    """A text that somebody adds later is found here, too: use ``shown(source, whole=True)``."""
    package = Path(edge.__path__[0])
    folders = [package / name for name in ("cameras", "sinks", "service")]
    files = [*package.glob("*_cli.py"), package / "capture.py", *(each for at in folders for each in at.rglob("*.py"))]
    found = []
    for path in files:
        if path.name == "url.py":
            continue  # it takes them apart
        visitor = _Shown()
        visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
        found += [f"{path}:{line}" for line in visitor.found]
    assert len(files) > 20
    assert found == []

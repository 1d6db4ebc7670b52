"""A disk that hangs while a sink is opened, or a reader of the error stream that is stuck, delays nothing else."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.edge.hanging import compiled
from tests.ports import free_ports
from tests.waiting import WAIT, until

TOKEN = "correct-horse-battery"

# In place of a disk: OpenCV's writer says something on descriptor 2 and never comes back from C.
HANGING = """
import ctypes, cv2
import quietcam.terminal.progress
from quietcam.app import cli
libc = ctypes.CDLL(None)
class Writer:
    fourcc = staticmethod(cv2.VideoWriter.fourcc)
    def __init__(self, *_):
        libc.dprintf(2, b"cannot reach the disk\\n")
        while True:
            libc.pause()
cv2.VideoWriter = Writer
quietcam.terminal.progress._SECONDS_BETWEEN_LINES = 0.1
cli.main()
"""


def get(port: int, path: str, token: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def frames(port: int) -> float:
    found = re.search(rb"^quietcam_frames_total ([\d.]+)", get(port, "/metrics", TOKEN)[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.slow
def test_all_else_goes_on(small: Path, tmp_path: Path) -> None:
    words = ["run", "--source", "synthetic:size=64x48,fps=30,rendered=2", "--model", str(small), "--no-ladder"]
    words += ["--sink", str(tmp_path / "clip.avi"), "--sink", "web", "--token", TOKEN, "--listen", "127.0.0.1:0"]
    told: list[str] = []
    with subprocess.Popen([sys.executable, "-c", HANGING, *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        stream = process.stderr
        reader = threading.Thread(target=lambda: told.extend(iter(stream.readline, "")))
        reader.start()
        try:
            until(lambda: any("http://" in line for line in told), lambda: "".join(told))
            port = int(re.findall(r"http://127.0.0.1:(\d+)/", "".join(told))[0])
            until(lambda: any(line.startswith("Denoising: ") for line in told), lambda: "".join(told))
            before = frames(port)
            until(lambda: frames(port) > before + 10)
            for number in range(12):  # the tenth makes the page say something
                assert get(port, "/status.json", f"wrong-{number:010}")[0] in (401, 403, 429)
            lines = len(told)
            until(lambda: len(told) > lines + 2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) in (1, 130), "".join(told)
        finally:
            process.kill()
            reader.join(WAIT)
    assert any("Too many wrong tokens" in line for line in told)
    assert told.count("cannot reach the disk\n") == 1  # a block that hung keeps its words to the end
    assert not (tmp_path / "clip.avi").exists()


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False])
def test_one_that_hangs_from_the_start(comes_back: bool, small: Path, tmp_path: Path) -> None:
    """Only code that reads its folders waits; the page and a sink on another disk do not. SIGTERM ends the run."""
    try:
        _, library = compiled(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(f"{error}, which makes what hangs")
    good, bad, switch = tmp_path / "good", tmp_path / "bad", tmp_path / "switch"
    bad.mkdir()
    switch.touch()
    hanging = [str(bad / "clip.avi"), str(bad / "pictures"), f"spool:{bad / 'spool'},every=0.1"]
    words = ["run", "--source", "synthetic:size=64x48,fps=30,rendered=2", "--model", str(small), "--no-ladder"]
    words += ["--token", TOKEN, "--listen", "127.0.0.1:0"]
    words += [word for sink in (*hanging, str(good / "clip.avi"), "web") for word in ("--sink", sink)]
    environment = {**os.environ, "LD_PRELOAD": str(library), "HANGING_DISK": str(bad), "HANGING_SWITCH": str(switch)}
    said = tmp_path / "said"
    with said.open("w") as stream, started(words, stream, environment) as process:
        until(lambda: "http://" in said.read_text() or process.poll() is not None, said.read_text)
        port = int(re.findall(r"http://127.0.0.1:(\d+)/", said.read_text())[0])

        def sinks() -> dict[str, dict[str, Any]]:
            return {each["name"]: each for each in json.loads(get(port, "/status.json", TOKEN)[1]).get("sinks", [])}

        def errors() -> list[str | None]:
            return [sink["error"] for name, sink in sinks().items() if str(bad) in name]

        until(lambda: errors() and all("it has not answered for" in (each or "") for each in errors()), errors)
        code, verdict = get(port, "/healthz", TOKEN)
        assert (code, json.loads(verdict)["state"]) == (200, "degraded")
        assert "3 of 5 sinks keep no frames" in json.loads(verdict)["reason"]
        until(lambda: sinks()[str(good / "clip.avi")]["frames"] > 10)
        until(lambda: all(sink["dropped"] for name, sink in sinks().items() if str(bad) in name))
        if comes_back:
            switch.unlink()
            until(lambda: all(sink["frames"] > 5 for sink in sinks().values()))
            assert errors() == [None, None, None]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 130, said.read_text()
    assert (good / "clip.avi").exists()
    assert "unexpected" not in said.read_text()
    if comes_back:
        assert (bad / "clip.avi").exists()
        for kind in ("pictures", "spool"):
            assert list((bad / kind).glob("*[gp]"))


@contextlib.contextmanager
def started(words: list[str], stream: IO[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "quietcam", *words], stderr=stream, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_reader_who_is_stuck_from_the_start(small: Path) -> None:
    """``quietcam run 2>&1 | less``, or a journal that hangs: the pipe is full before the first line."""
    (port,) = free_ports(1)
    words = ["run", "--source", "synthetic:size=64x48,fps=30,rendered=2", "--model", str(small), "--no-ladder"]
    words += ["--sink", "web", "--token", TOKEN, "--listen", f"127.0.0.1:{port}"]
    front, back = os.pipe()
    os.set_blocking(back, False)
    try:
        while True:
            os.write(back, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(back, True)
    with subprocess.Popen([sys.executable, "-m", "quietcam", *words], stderr=back) as process:
        os.close(back)
        try:
            until(lambda: answers(port) or process.poll() is not None)
            before = frames(port)
            until(lambda: frames(port) > before + 10)
            for number in range(12):
                assert get(port, "/status.json", f"wrong-{number:010}")[0] in (401, 403, 429)
            assert get(port, "/healthz", TOKEN)[0] == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) == 130
        finally:
            process.kill()
            os.close(front)


def answers(port: int) -> bool:
    try:
        return get(port, "/healthz", TOKEN)[0] == 200
    except OSError:
        return False

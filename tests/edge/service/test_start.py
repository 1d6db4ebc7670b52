"""A signal at any instant of a process: none is lost, none ends a run that must continue, no file is incomplete."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.edge.service.interrupting import counted, environment
from tests.edge.service.test_notify import Manager
from tests.processes import start_quietcam
from tests.waiting import ended, until

SAMPLES = 7  # of the thousands of instants that a start has: evenly, and none twice
FRAMES = 12


def run(folder: Path, small: Path, instant: int, number: int, *words: str, **more: str) -> subprocess.Popen[str]:
    outputs = [f"{folder}/clip.webm", f"{folder}/pictures", f"spool:{folder}/spool,every=0.05,daily=9MB"]
    sinks = [word for target in outputs for word in ("--sink", target)]
    source = ["--source", "synthetic:size=64x48,fps=50,rendered=2", "--model", str(small), "--threads", "1"]
    env = {**environment(folder / "custom", instant, number), **more}
    return start_quietcam("run", *source, *sinks, "--json", f"{folder}/report.json", *words, env=env)


def read_back(folder: Path) -> int:
    """Number of frames of the clip; 0 without a clip. Checks that all files are whole and that there are no others."""
    left = [path for path in folder.rglob(".*") if path.name not in (".lock", ".budget.json")]
    assert not left
    for picture in (*folder.glob("pictures/*"), *folder.glob("spool/0*")):
        assert cv2.imread(str(picture)) is not None, picture
    if not (folder / "clip.webm").exists():
        return 0
    capture = cv2.VideoCapture(str(folder / "clip.webm"))
    frames = 0
    while capture.read()[0]:
        frames += 1
    capture.release()
    assert frames
    return frames


@pytest.fixture(scope="module")
def instants(tmp_path_factory: pytest.TempPathFactory, small: Path) -> list[int]:
    """Some of the instants of a whole run, the very first and the last included."""
    folder = tmp_path_factory.mktemp("whole")
    process = run(folder, small, 0, 0, "--frames", str(FRAMES))
    said = ended(process)
    assert process.returncode == 0, said
    assert read_back(folder) > 0
    last = counted(folder / "custom")
    assert last > 500  # if not, the hook counts nothing useful
    return sorted({1 + (last - 1) * index // (SAMPLES - 1) for index in range(SAMPLES)})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.small_models import MODELS

    path = tmp_path_factory.mktemp("model") / "small_32x32_int8.tflite"
    path.write_bytes((MODELS / path.name).read_bytes())
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stop_at_any_instant_ends_the_run(instants: list[int], number: int, tmp_path: Path, small: Path) -> None:
    codes = []
    for instant in instants:
        folder = tmp_path / str(instant)
        folder.mkdir()
        process = run(folder, small, instant, number, "--frames", str(FRAMES))
        said = ended(process)
        codes.append(process.returncode)
        assert process.returncode in (0, 130), (instant, said)
        assert "Traceback" not in said, instant
        assert "unexpected" not in said, instant
        assert "left behind" not in said, instant
        frames = read_back(folder)
        report = json.loads((folder / "report.json").read_text()) if (folder / "report.json").exists() else None
        if process.returncode == 0:  # it came after the end, or never: the number of instants of a run varies
            assert report is not None
            assert sum(report["worked"].values()) == FRAMES
        if report is not None:
            assert [sink["error"] for sink in report["sinks"]] == [None] * 3
            assert frames == report["sinks"][0]["frames"]
    assert codes[:-2] == [130] * (len(codes) - 2)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_a_hangup_at_any_instant_of_a_services_start_is_one_reload_later(
    tmp_path: Path, small: Path, manager: Manager
) -> None:
    ready = 0

    def life(instant: int) -> list[str]:
        """The output of a service that gets SIGHUP at an instant, and SIGTERM once it was ready and had reloaded."""
        nonlocal ready
        folder = tmp_path / str(instant)
        folder.mkdir()
        config = folder / "quietcam.toml"
        config.write_text(f'model = "{small}"\n')
        process = run(folder, small, instant, signal.SIGHUP, "--config", str(config), **manager.environment)
        heard: list[str] = []
        wanted = {"READY=1", "RELOADING=1"} if instant else {"READY=1"}

        def spoken() -> bool:
            assert process.poll() is None, (instant, process.stderr and process.stderr.read())
            heard.extend(line for message in manager.heard() for line in message.splitlines())
            return wanted <= set(heard) and heard.count("READY=1") > heard.count("RELOADING=1")

        try:
            until(spoken, lambda: str(heard))
            ready = ready or counted(folder / "custom")
            process.send_signal(signal.SIGTERM)
            ended(process)
        finally:
            process.kill()
        assert process.returncode == 130
        assert read_back(folder)
        report: dict[str, Any] = json.loads((folder / "report.json").read_text())
        assert report["reload"]["error"] is None, report["reload"]
        return heard

    assert "RELOADING=1" not in life(0)
    for instant in range(1, ready, ready // SAMPLES):
        assert life(instant).count("RELOADING=1") == 1, instant

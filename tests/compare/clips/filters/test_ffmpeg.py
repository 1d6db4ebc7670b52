from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compare.clips.filters import ffmpeg
from compare.clips.filters.ffmpeg import INSTALL, run_ffmpeg
from edge.child.process import ChildError
from quietcam.errors import DataError, MissingExtraError
from quietcam.image import Image
from quietcam.metrics import psnr

with_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason=f"needs ffmpeg: {INSTALL}")


def random_frames(count: int, width: int = 30, height: int = 22) -> Image:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_STUCK", 60.0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that is started."""
    found = []
    start = subprocess.Popen

    def note(*words: object, **options: object) -> subprocess.Popen[bytes]:
        found.append(start(*words, **options))
        return found[-1]

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", note)
    return found


@pytest.fixture
def pretender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a program that is found as ffmpeg and runs the given Python."""

    def make(code: str) -> None:
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{code}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


@with_ffmpeg
@pytest.mark.parametrize(
    "identity",
    [
        "null",
        "format=yuv444p16,null",
        "format=yuv444p16,hqdn3d=0.0001:0.0001:0.0001:0.0001",
        # It looks 16 frames ahead, so the last ones come only after the end of its input.
        "format=gbrp,atadenoise=s=33:0a=0:0b=0:1a=0:1b=0:2a=0:2b=0",
    ],
)
def test_300_frames_through_a_filter_that_changes_nothing_come_back_as_they_were(identity: str) -> None:
    frames = random_frames(300)
    filtered = [*run_ffmpeg(iter(frames), identity, 2)]
    assert len(filtered) == 300
    np.testing.assert_array_equal(np.stack(filtered), frames)


@with_ffmpeg
def test_eight_bits_of_full_range_change_a_frame_less_than_any_filter_does() -> None:
    frames = random_frames(2)
    back = np.stack([*run_ffmpeg(iter(frames), "scale=out_range=full,format=yuv444p,null", 1)])
    assert min(map(psnr, back, frames)) > 50


@with_ffmpeg
def test_frames_are_taken_only_a_little_ahead() -> None:
    taken = itertools.count()

    def endless() -> Iterator[Image]:
        frame = np.zeros((480, 640, 3), np.uint8)
        while True:
            next(taken)
            yield frame

    running = run_ffmpeg(endless(), "null", 1)
    for _ in range(3):
        next(running)
    assert next(taken) < 64
    running.close()


@with_ffmpeg
def test_a_clip_that_is_not_contiguous_in_memory_is_read_in_its_order() -> None:
    frames = random_frames(3)[:, ::-1, ::2]
    np.testing.assert_array_equal(np.stack([*run_ffmpeg(iter(frames), "null", 1)]), frames)


def test_of_no_frames_none_come_back(pretender) -> None:
    pretender("raise SystemExit(9)")
    assert [*run_ffmpeg(iter(()), "null", 1)] == []


def test_without_ffmpeg_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"none on PATH\. Remedy: sudo apt-get install ffmpeg"):
        next(run_ffmpeg(iter(random_frames(1)), "null", 1))


@with_ffmpeg
def test_what_ffmpeg_complains_of_is_shown_in_one_line() -> None:
    with pytest.raises(ChildError, match=r"exit status .*No such filter: 'nosuch'.*Remedy: ") as caught:
        [*run_ffmpeg(iter(random_frames(40)), "nosuch=3", 1)]
    assert "\n" not in str(caught.value)


@with_ffmpeg
@pytest.mark.parametrize("filters", [r"select=lt(n\,5)", "scale=8:8", "tpad=stop=2"])
def test_another_number_or_size_of_frames_is_refused(filters: str) -> None:
    with pytest.raises(ChildError, match="frames for 30"):
        [*run_ffmpeg(iter(random_frames(30)), filters, 1)]


@with_ffmpeg
def test_frames_of_two_sizes_are_refused_and_ffmpeg_is_ended(started) -> None:
    frames = iter([*random_frames(2), *random_frames(1, width=40)])
    with pytest.raises(DataError, match=r"Received: 30x22, then 40x22\. Remedy"):
        [*run_ffmpeg(frames, "null", 1)]
    assert [each.returncode is None for each in started] == [False]


@with_ffmpeg
@pytest.mark.parametrize("way", ["closed", "interrupted"])
def test_ffmpeg_is_ended_with_the_iterator(started, way: str) -> None:
    def frames() -> Iterator[Image]:
        yield from random_frames(20)
        if way == "interrupted":
            raise KeyboardInterrupt
        yield from random_frames(20)

    before = set(threading.enumerate())
    running = run_ffmpeg(frames(), "null", 1)
    if way == "closed":
        next(running)
        running.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            list(running)
    assert [each.returncode is None for each in started] == [False]
    assert set(threading.enumerate()) <= before


@with_ffmpeg
def test_ctrl_c_in_the_terminal_does_not_reach_ffmpeg(started) -> None:
    running = run_ffmpeg(iter(random_frames(9)), "null", 1)
    next(running)
    assert os.getpgid(started[0].pid) != os.getpgid(0)
    running.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("sys.stderr.write('x' * 200_000 + ' the end'); sys.exit(3)", "exit status 3.*x the end"),
        ("sys.stdout.buffer.write(bytes(7)); sys.stdin.buffer.read()", "0 frames for 9, and part of one"),
        ("time.sleep(60)", "nothing for 0.2 s"),
        ("os.close(1); time.sleep(60)", "its output ended, but not the program within 0.2 s"),
    ],
)
def test_a_program_that_fails_or_hangs_is_refused_and_ended(pretender, monkeypatch, started, code, told) -> None:
    monkeypatch.setattr(ffmpeg, "_STUCK", 0.2 if "sleep" in code else 60.0)
    monkeypatch.setattr(ffmpeg, "_ENDING", 0.2 if "sleep" in code else 60.0)
    pretender(code)
    with pytest.raises(ChildError, match=told):
        [*run_ffmpeg(iter(random_frames(9)), "null", 1)]
    assert [each.returncode is None for each in started] == [False]

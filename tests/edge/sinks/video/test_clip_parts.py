"""Clips of a live camera: the next one begins after a change of size, a gap or a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import edge.run.sink_thread
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks import open_sink
from edge.sinks.null import NullSink
from edge.sinks.video.opencv_clip import CODECS
from quietcam.errors import StorageError
from tests.edge.sinks.test_sinks import frame, read_clip
from tests.small_models import picture
from tests.waiting import WAIT, until


class TestClipsInParts:
    def test_another_size_begins_the_next_clip(self, tmp_path: Path) -> None:
        (tmp_path / "clip_2.webm").write_bytes(b"mine")
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            for index in range(9):
                size = (48, 64) if index < 4 else (32, 64)
                sink.write(frame(index), picture(*size))
        assert len(read_clip(tmp_path / "clip.webm")) == 4
        assert (tmp_path / "clip_2.webm").read_bytes() == b"mine"
        second = read_clip(tmp_path / "clip_3.webm")
        assert len(second) == 5
        assert second[0].shape == (32, 64, 3)
        assert sink.frames == 9

    @pytest.mark.parametrize("suffix", CODECS)
    @pytest.mark.parametrize("fps", [4.0, 12.0, 60.0])
    def test_it_plays_as_fast_as_its_frames_came(self, tmp_path: Path, suffix: str, fps: float) -> None:
        path = tmp_path / f"clip{suffix}"
        with open_sink(str(path), 30.0, live=True) as sink:
            for index in range(20):
                sink.write(Frame(picture(48, 64, seed=index), 100.0 + index / fps, 3 * index), picture(48, 64))
        clip = cv2.VideoCapture(str(path))
        assert clip.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=0.01)
        times = []
        while clip.read()[0]:
            times.append(clip.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        np.testing.assert_allclose(times, np.arange(20) / fps, rtol=0.01, atol=0.02)
        if shutil.which("ffprobe") is not None:
            asked = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
            lasts = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            assert float(lasts) == pytest.approx(20 / fps, rel=0.02)

    def test_a_file_keeps_its_rate_whatever_its_timestamps(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.avi"), 30.0) as sink:
            for index in range(5):
                sink.write(Frame(picture(48, 64), float(index), index), picture(48, 64))
        assert cv2.VideoCapture(str(tmp_path / "clip.avi")).get(cv2.CAP_PROP_FPS) == 30.0

    def test_after_a_long_gap_the_next_clip_begins(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            for seconds in (0.0, 0.04, 0.08, 9.0, 9.04):
                sink.write(Frame(picture(48, 64), seconds, 0), picture(48, 64))
        assert [len(read_clip(tmp_path / name)) for name in ("clip.webm", "clip_2.webm")] == [3, 2]

    def test_after_a_full_disk_the_next_part_begins_and_the_first_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = SimpleNamespace(f_frsize=4096, f_bfree=3, f_bavail=3)
        real = os.statvfs
        with open_sink(str(tmp_path / "clip.webm"), 25.0, live=True) as sink:
            sink.write(frame(0), picture(48, 64))
            monkeypatch.setattr(os, "statvfs", lambda _: full)
            with pytest.raises(StorageError, match="No space left"):
                sink.write(frame(1), picture(48, 64))
            sink.close()
            for _ in range(3):
                with pytest.raises(StorageError, match="No space left"):
                    sink.write(frame(2), picture(48, 64))
            monkeypatch.setattr(os, "statvfs", real)
            sink.write(frame(3), picture(48, 64))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.webm", "clip_2.webm"]
        assert [len(read_clip(tmp_path / name)) for name in ("clip.webm", "clip_2.webm")] == [2, 1]


class TestFullDisk:
    """A disk that is really full, under a live run."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("a small disk can be mounted by root only")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)  # fails where a file on it is still open

    def test_the_view_goes_on_and_the_clip_again_once_there_is_room(
        self, disk: Path, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.run.sink_thread, "_FIRST_RETRY", 0.05)
        monkeypatch.setattr(edge.run.sink_thread, "_LAST_RETRY", 0.1)
        filler = disk / "filler"
        filler.write_bytes(bytes(4 << 20))
        options = SyntheticOptions(size=(160, 120), fps=200.0, rendered=4)
        with (
            SyntheticCamera(options) as camera,
            Denoiser(small, 1) as denoiser,
            open_sink(str(disk / "clip.avi"), 25.0, live=True) as clip,
        ):
            view = NullSink()
            pipeline = Pipeline(camera, denoiser, [clip, view])
            running = threading.Thread(target=pipeline.run)
            running.start()

            def told() -> dict[str, object]:
                return pipeline.health.report()["sinks"][0]

            until(lambda: told()["error"] is not None)
            assert "No space left" in str(told()["error"])
            seen = view.frames
            until(lambda: view.frames > seen + 10)
            filler.unlink()
            until(lambda: told()["error"] is None)
            taken = clip.frames
            until(lambda: clip.frames > taken + 2)
            pipeline.stop()
            running.join(WAIT)
            assert not running.is_alive()
        assert read_clip(disk / "clip.avi")
        assert not [path for path in disk.iterdir() if path.name.startswith(".")]

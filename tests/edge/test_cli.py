"""The commands of the edge stage, as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.cameras.discover
import edge.models
from edge.cameras.network.http import HttpCamera
from edge.cameras.network.url import CameraUrl
from edge.network.denoiser import Denoiser
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from tests.edge.bus import Bus
from tests.edge.cameras.mjpeg_server import mjpeg_camera
from tests.edge.cameras.test_cameras import write_clip
from tests.processes import start_quietcam
from tests.small_models import picture
from tests.waiting import ended, until

VIDEOS = Path(__file__).parents[2].parent / "shared" / "data" / "video"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "noisy"
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        write_picture(folder / name, picture(40, 52, seed=seed))
    return folder


def count(clip: Path) -> int:
    capture = cv2.VideoCapture(str(clip))
    frames = 0
    while capture.grab():
        frames += 1
    return frames


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error stream, which must be one line."""
    said = capsys.readouterr().err.strip()
    assert said.startswith("quietcam: ")
    assert "\n" not in said
    return said


class TestRun:
    def test_a_folder_into_a_folder(self, pictures: Path, small: Path, tmp_path: Path) -> None:
        code = run(["run", "--source", str(pictures), "--sink", str(tmp_path / "out"), "--model", str(small)])
        assert code == 0
        with Denoiser(small) as denoiser:
            for noisy in sorted(pictures.iterdir()):
                expected = denoiser.denoise(read_picture(noisy))
                np.testing.assert_array_equal(read_picture(tmp_path / "out" / noisy.name), expected)

    def test_a_video_into_all_sinks_at_once_with_a_report(
        self, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_clip(tmp_path / "in.avi", frames=6)
        sinks = [str(tmp_path / "out"), str(tmp_path / "out.webm"), "null"]
        code = run(
            ["run", "--source", str(tmp_path / "in.avi"), "--model", str(small), "--json", "-", "--before-after"]
            + [word for sink in sinks for word in ("--sink", sink)]
        )
        assert code == 0
        said = capsys.readouterr()
        report = json.loads(said.out)
        assert [sink["frames"] for sink in report["sinks"]] == [6, 6, 6]
        assert (report["frames"], report["dropped"], report["skipped"]) == (6, 0, [])
        # The clip is clean, so no network ran: there is no network time, and no frame counts as denoised.
        assert report["latency_ms"]["wait"]["count"] == report["worked"]["untouched"] == 6
        assert report["latency_ms"]["denoise"] == {"count": 0}
        assert [sink["untouched"] for sink in report["sinks"]] == [6, 6, 6]
        assert (report["work"]["share"], report["work"]["why"]) == (0.0, "it is clean")
        assert "6 passed untouched" in said.err
        assert "in the network" not in said.err
        assert report["peak_memory_mib"] > 0
        assert count(tmp_path / "out.webm") == 6
        written = sorted(each.name for each in (tmp_path / "out").iterdir())
        assert written == [f"frame_{index:06d}.png" for index in range(6)]
        assert read_picture(tmp_path / "out" / written[0]).shape == (48, 128, 3)

    def test_a_folder_into_a_video(self, pictures: Path, small: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.mp4"
        assert run(["run", "--source", str(pictures), "--sink", str(target), "--model", str(small)]) == 0
        assert count(target) == 3

    def test_frames_and_the_synthetic_camera(
        self, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = tmp_path / "report.json"
        words = ["run", "--source", "synthetic:size=64x48,fps=max", "--sink", "null", "--frames", "9"]
        assert run([*words, "--threads", "1", "--model", str(small), "--json", str(report)]) == 0
        told = json.loads(report.read_text())
        assert (told["frames"], told["threads"]) == (9, 1)
        assert "9 frames" in capsys.readouterr().err

    def test_a_model_that_ships_needs_no_path(
        self, pictures: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.models, "_HERE", shipped)
        for number, words in enumerate(([], ["--model", "demo"])):
            assert run(["run", "--source", str(pictures), "--sink", str(tmp_path / str(number)), *words]) == 0

    @pytest.mark.parametrize(
        ("words", "code", "says"),
        [
            (["--source", "{in}"], 2, "a --sink, the place where frames go"),
            (["--source", "{in}", "--sink", "{in}"], 2, "must not be the source"),
            (["--source", "{in}", "--sink", "{tmp}/x", "--sink", "{tmp}/x/"], 2, "a different place"),
            (["--source", "{in}", "--sink", ""], 2, "A sink is"),
            (["--source", "{tmp}/none", "--sink", "null"], 2, "A source is"),
            (["--source", "{tmp}/empty", "--sink", "null"], 1, "at least one"),
            (["--source", "{tmp}/none.mp4", "--sink", "null"], 2, "A source is"),
            (["--sink", "null"], 2, "synthetic, which simulates a camera"),
            (["--source", "/dev/video99", "--sink", "null"], 2, "no such video device"),
            (["--source", "picamera2", "--sink", "null"], 1, "python3-picamera2"),
            (["--source", "http://127.0.0.1:9/stream", "--sink", "null"], 1, "no answer from 127.0.0.1 port 9"),
            (["--source", "rtsp://", "--sink", "null"], 2, "rtsp://HOST"),
            (["--source", "http://[::1", "--sink", "null"], 2, "http://HOST"),
            (["--source", "{in}", "--sink", "null", "--size", "64x48"], 2, "Only a camera"),
            (["--source", "synthetic", "--sink", "null", "--size", "64"], 2, "--size is WIDTHxHEIGHT"),
            (["--source", "synthetic", "--sink", "null", "--fps", "-1"], 2, "--fps"),
            (["--source", "synthetic", "--sink", "null", "--hot", "7"], 2, "--hot"),
            (["--source", "synthetic", "--sink", "null", "--deadline", "-1"], 2, "--deadline"),
            (["--source", "synthetic", "--sink", "null", "--smaller", "nonsense"], 2, "nonsense"),
            (["--source", "synthetic:size=64x48", "--sink", "null", "--smaller", "{cut}"], 1, "cut short"),
            (["--source", "synthetic", "--sink", "-", "--json", "-"], 2, "cannot both"),
            (["--source", "{in}", "--sink", "null", "--frames", "0"], 2, "--frames"),
            (["--source", "{in}", "--sink", "null", "--threads", "0"], 2, "--threads is a whole number from 1 to 256"),
            (["--source", "{in}", "--sink", "null", "--model", "nonsense"], 2, "nonsense"),
            (["--source", "{in}", "--sink", "null", "--model", "{cut}"], 1, "cut short"),
            (["--source", "{in}", "--sink", "null", "--model", "{in}/a.png"], 1, "not a TensorFlow Lite model"),
            (["--source", "{in}", "--sink", "{tmp}/full"], 2, "--overwrite"),
            (["--source", "{in}", "--sink", "{in}/a.png/out"], 1, "Cannot write"),
            (["--source", "{cut}", "--sink", "null"], 1, "cannot read this file as a video"),
        ],
    )
    def test_what_is_wrong_is_one_line_and_the_contracts_code(
        self,
        words: list[str],
        code: int,
        says: str,
        pictures: Path,
        small: Path,
        cut_short: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, "picamera2", None)
        monkeypatch.setattr("edge.cameras.discover.list_devices", list)
        (tmp_path / "empty").mkdir()
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("mine")
        words = [word.format(**{"in": pictures, "tmp": tmp_path, "cut": cut_short}) for word in words]
        if "--model" not in words:
            words += ["--model", str(small)]
        assert run(["run", *words]) == code
        assert says in one_line(capsys)

    def test_no_source_means_the_camera_that_is_there(
        self, small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with mjpeg_camera() as server:
            monkeypatch.setattr(edge.cameras.discover, "find_camera", lambda: "/dev/video0")
            monkeypatch.setattr(edge.cameras, "_made", lambda *_: HttpCamera(CameraUrl.parse(server.url)))
            assert run(["run", "--sink", "null", "--frames", "5", "--model", str(small), "--json", "-"]) == 0
            told = json.loads(capsys.readouterr().out)
        assert told["source"] == server.url
        assert 0 < told["frames"] <= 5  # a sink that starts late on a busy machine takes fewer
        assert told["camera"]["state"] == "live"
        since = told["ladder"]["since"]
        assert told["ladder"] == {"step": "full", "reason": None, "since": since, "smaller_error": None}

    def test_overwrite_allows(self, pictures: Path, small: Path, tmp_path: Path) -> None:
        words = ["run", "--source", str(pictures), "--model", str(small), "--sink", str(tmp_path / "out.webm")]
        assert run(words) == 0
        assert run(words) == 2
        assert run([*words, "--overwrite"]) == 0

    @pytest.mark.parametrize(
        "signals",
        [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]],
        ids=["Ctrl-C", "a service's stop", "Ctrl-C twice"],
    )
    def test_a_stop_keeps_what_was_finished(self, small: Path, tmp_path: Path, signals: list[int]) -> None:
        clip, folder, report = tmp_path / "out.webm", tmp_path / "out", tmp_path / "report.json"
        words = ["run", "--source", "synthetic:size=64x48,fps=50", "--model", str(small)]
        words += ["--sink", str(clip), "--sink", str(folder), "--json", str(report)]
        process = start_quietcam(*words)
        until(lambda: folder.is_dir() and len(os.listdir(folder)) > 5)  # noqa: PTH208
        for number in signals:
            process.send_signal(number)
            time.sleep(0.01)
        said = ended(process)
        assert process.returncode == 130, said
        assert "interrupted" in said
        assert "Traceback" not in said
        told = json.loads(report.read_text())
        assert told["frames"] > 5
        # Each sink takes as many frames of a live camera as it can.
        taken = {sink["name"]: sink["frames"] for sink in told["sinks"]}
        assert count(clip) == taken[str(clip)]
        names = sorted(folder.iterdir())
        assert len(names) == taken[str(folder)] > 5
        assert all(read_picture(path).shape == (48, 64, 3) for path in names)
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []

    def test_a_clip_of_a_real_scene(self, small: Path, tmp_path: Path) -> None:
        videos = sorted(VIDEOS.glob("*.mp4"))
        if not videos:
            pytest.skip(f"no videos in {VIDEOS}")
        target = tmp_path / "out.webm"
        words = ["run", "--source", str(videos[0]), "--sink", str(target), "--model", str(small), "--frames", "3"]
        assert run(words) == 0
        assert count(target) == 3


class TestTheNetworksShare:
    def test_a_clean_picture_passes_untouched_unless_the_gate_is_off(self, small: Path, tmp_path: Path) -> None:
        clean = np.indices((48, 64)).sum(0)[..., np.newaxis].repeat(3, axis=2).astype(np.uint8)
        write_picture(tmp_path / "clean" / "a.png", clean)
        words = ["run", "--source", str(tmp_path / "clean"), "--model", str(small), "--sink"]
        assert run([*words, str(tmp_path / "gated"), "--json", str(tmp_path / "report.json")]) == 0
        np.testing.assert_array_equal(read_picture(tmp_path / "gated" / "a.png"), clean)
        report = json.loads((tmp_path / "report.json").read_text())
        assert 0 <= report["noise_sigma"] < 2
        assert report["device"]["used"] == "cpu"
        assert run([*words, str(tmp_path / "all"), "--no-gate"]) == 0
        with Denoiser(small) as denoiser:
            np.testing.assert_array_equal(read_picture(tmp_path / "all" / "a.png"), denoiser.denoise(clean))

    def test_strength_is_a_share(self, pictures: Path, small: Path, tmp_path: Path) -> None:
        words = ["run", "--source", str(pictures), "--model", str(small), "--sink", str(tmp_path / "out")]
        assert run([*words, "--strength", "0"]) == 0
        np.testing.assert_array_equal(read_picture(tmp_path / "out" / "a.png"), read_picture(pictures / "a.png"))

    @pytest.mark.parametrize("strength", ["1.1", "-0.5", "nan"])
    def test_a_strength_out_of_range(
        self, pictures: Path, tmp_path: Path, strength: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["run", "--source", str(pictures), "--sink", str(tmp_path / "out"), "--strength", strength]
        assert run(words) == 2
        assert "--strength is a number from 0 to 1. Received: " in one_line(capsys)
        assert not (tmp_path / "out").exists()


class TestDevice:
    def test_an_unknown_device(self, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["run", "--source", str(pictures), "--sink", str(tmp_path / "out"), "--device", "tpu"]
        assert run(words) == 2
        assert "A device is cpu, usb[:N] or pci[:N]" in one_line(capsys)
        assert not (tmp_path / "out").exists()

    def test_without_its_library_the_run_goes_on_and_says_so(
        self,
        pictures: Path,
        small: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "none.so"))
        words = ["run", "--source", str(pictures), "--sink", str(tmp_path / "out"), "--model", str(small)]
        assert run([*words, "--device", "usb:0", "--json", str(tmp_path / "report.json")]) == 0
        said = capsys.readouterr().err
        assert "Remedy: install libedgetpu" in said
        assert "the network runs on cpu" in said
        state = json.loads((tmp_path / "report.json").read_text())["device"]
        assert (state["wanted"], state["used"]) == ("usb:0", "cpu")
        assert "none.so" in state["reason"]
        assert len(list((tmp_path / "out").iterdir())) == 3

    def test_a_run_on_a_device(self, bus: Bus, pictures: Path, small: Path, tmp_path: Path) -> None:
        bus.plug("usb1")
        words = ["run", "--source", str(pictures), "--sink", str(tmp_path / "out"), "--model", str(small), "--no-gate"]
        assert run([*words, "--device", "usb:1"]) == 0
        noisy = read_picture(pictures / "b.png")
        np.testing.assert_array_equal(read_picture(tmp_path / "out" / "b.png"), 255 - noisy)


class TestBench:
    def test_two_models_in_turns(
        self, small: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["bench", "--model", str(small), "--compare", str(models / "small_80x64_int8.tflite"), "--frames", "2"]
        assert run([*words, "--json", str(tmp_path / "bench.json")]) == 0
        table = capsys.readouterr().out
        assert "small_80x64_int8" in table
        assert "times as fast as small_32x32_int8" in " ".join(table.split())
        report = json.loads((tmp_path / "bench.json").read_text())
        assert [each["model"] for each in report["compared"]] == ["small_80x64_int8"]
        assert report["compared"][0]["width"] == report["width"] == 32

    def test_table_and_json(self, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["bench", "--model", str(small), "--size", "48x40", "--frames", "3", "--threads", "1"]
        assert run([*words, "--json", str(tmp_path / "bench.json")]) == 0
        table = capsys.readouterr().out
        assert "bare invoke, 4 a frame" in table
        assert "48x40, threads: 1" in table
        assert json.loads((tmp_path / "bench.json").read_text())["width"] == 48
        assert run([*words, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["denoise"]["count"] == 3

    def test_of_a_video_network_it_says_that_history_is_fed_back_unless_it_may_not_remember(
        self, models: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["bench", "--model", str(models / "video_64x64_int8.tflite"), "--frames", "2"]
        for more, says in (([], True), (["--no-history"], False)):
            assert run([*words, *more]) == 0
            assert ("its history is fed back from frame to frame" in " ".join(capsys.readouterr().out.split())) is says

    @pytest.mark.parametrize("size", ["640", "x", "axb", "640x480x3", "1x0", "100000x100000"])
    def test_a_size_is_two_numbers(self, size: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["bench", "--model", str(small), "--size", size]) == 2
        assert "WIDTHxHEIGHT" in one_line(capsys)


class TestModels:
    def test_table_and_json(
        self, shipped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.models, "_HERE", shipped)
        assert run(["models"]) == 0
        table = capsys.readouterr().out
        for word in ("demo_32x32_int8", "80x64", "31.25", "Apache-2.0", "stands for demo_32x32_int8"):
            assert word in table
        assert run(["models", "--json", "-"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [each["name"] for each in told] == ["demo_32x32_float32", "demo_32x32_int8", "demo_80x64_int8"]

    def test_an_installation_without_models_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.models, "_HERE", tmp_path)
        assert run(["models"]) == 0
        assert "no model ships" in capsys.readouterr().out


def test_a_model_may_be_copied_anywhere(small: Path, pictures: Path, tmp_path: Path) -> None:
    """The manifest is inside the file."""
    elsewhere = tmp_path / "elsewhere.tflite"
    shutil.copy(small, elsewhere)
    target = str(tmp_path / "out")
    assert run(["run", "--source", str(pictures), "--sink", target, "--model", str(elsewhere)]) == 0

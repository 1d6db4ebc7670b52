"""Devices that share a frame, fail, hang and return, simulated by a delegate library that is compiled here."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network import variants as module
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from edge.run.health import Health
from edge.run.pipeline import Pipeline
from edge.sinks.null import NullSink
from quietcam.errors import DeviceError, ModelError, UsageError
from quietcam.image import Image
from tests.edge.bus import Bus
from tests.small_models import picture, with_manifest
from tests.waiting import WAIT, until

FAST = (0.01, 0.05)  # seconds until a lost device is tried again


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def denoise(engine: Engine, noisy: Image) -> Image | None:
    """One picture of the model's size; None if no device could run it."""
    out = np.empty_like(noisy)
    return out if engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(out)) else None


def on_the_cpu(model: Path, noisy: Image) -> Image:
    out = np.empty_like(noisy)
    with Interpreter(model) as interpreter:
        interpreter.run(noisy, out)
    return out


@pytest.fixture
def twins(models: Path, tmp_path: Path) -> Path:
    """A folder with a model and what the Edge TPU's compiler made of it."""
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("small_32x32_int8", "small_32x32_int8_edgetpu"):
        shutil.copy(models / f"{name}.tflite", folder)
    return folder


@pytest.mark.parametrize("given", ["small_32x32_int8", "small_32x32_int8_edgetpu"])
def test_either_twin_stands_for_both(bus: Bus, twins: Path, given: str, said: list[str]) -> None:
    bus.plug("usb0")
    noisy = picture(32, 32)
    with Denoiser(twins / f"{given}.tflite", device="usb") as denoiser:
        assert denoiser.model.is_compiled
        np.testing.assert_array_equal(denoiser.denoise(noisy), 255 - noisy)
        assert denoiser.device_state["used"] == denoiser.device_state["wanted"] == "usb"
        assert denoiser.device_state["reason"] is None
    assert said == []


def test_a_missing_device_is_said_and_replaced_and_taken_when_it_comes(bus: Bus, twins: Path, said: list[str]) -> None:
    noisy = picture(32, 32)
    engine = Engine(twins / "small_32x32_int8_edgetpu.tflite", "usb:1", retry=FAST)
    np.testing.assert_array_equal(denoise(engine, noisy), on_the_cpu(twins / "small_32x32_int8.tflite", noisy))
    assert engine.state["used"] == "cpu"
    assert "no Edge TPU at usb1" in engine.state["reason"]
    assert len(said) == 1
    assert said[0].endswith("until then, the network runs on cpu")
    before = engine.state["since"]
    bus.plug("usb1")

    def is_back() -> bool:
        return bool((denoise(engine, noisy) == 255 - noisy).all())

    until(is_back)
    state = engine.state
    assert (state["used"], state["reason"]) == ("usb:1", None)
    assert state["since"] > before
    assert state["retries"] >= 1
    assert said[1:] == ["The Edge TPU usb:1 is back"]
    engine.close()
    assert engine.state == state


def test_a_device_lost_in_mid_run_costs_no_frame(bus: Bus, twins: Path, said: list[str]) -> None:
    """Unplugged and plugged in many times: every frame is the network's, from the device or from the CPU."""
    bus.plug("usb0")
    noisy = picture(32, 32)
    here = on_the_cpu(twins / "small_32x32_int8.tflite", noisy)
    engine = Engine(twins / "small_32x32_int8.tflite", "usb:0", retry=FAST)
    for _ in range(10):
        np.testing.assert_array_equal(denoise(engine, noisy), 255 - noisy)
        bus.unplug("usb0")
        np.testing.assert_array_equal(denoise(engine, noisy), here)
        assert engine.state["used"] == "cpu"
        assert "usb:0 is lost" in said[-1]
        assert "usb0 went away" in said[-1]
        bus.plug("usb0")
        until(lambda: denoise(engine, noisy) is not None and engine.state["used"] == "usb:0")
    engine.close()
    assert len(said) == 20
    until(lambda: bus.log.count("destroy=usb0") == sum(line == "device=usb:0" for line in bus.log))


def test_a_device_that_hangs_is_left_behind(bus: Bus, twins: Path, said: list[str]) -> None:
    bus.plug("pci0")
    noisy = picture(32, 32)
    model = twins / "small_32x32_int8.tflite"
    engine = Engine(model, "pci:0", retry=(WAIT, WAIT))
    bus.hang("pci0")
    engine.interpreter._seconds = 0.2  # type: ignore[attr-defined]
    np.testing.assert_array_equal(denoise(engine, noisy), on_the_cpu(model, noisy))
    assert "did not answer within 0.2 s" in said[-1]
    engine.close()


def test_a_pipeline_loses_no_frame_with_a_device_that_comes_and_goes(bus: Bus, twins: Path) -> None:
    bus.plug("usb0")
    camera = SyntheticCamera(SyntheticOptions(size=(70, 50), fps=None, frames=40))
    sink, used = NullSink(), []
    with camera, Denoiser(twins / "small_32x32_int8.tflite", 1, device="usb:0") as denoiser:

        def on_frame(_: Health) -> None:
            used.append(denoiser.device_state["used"])
            if len(used) == 10:
                bus.unplug("usb0")

        health = Pipeline(camera, denoiser, [sink]).run(on_frame=on_frame)
    assert health.frames == sink.frames == 40
    assert used == ["usb:0"] * 10 + ["cpu"] * 30


def test_without_a_twin_frames_pass_untouched_until_the_device_is_back(
    bus: Bus, models: Path, tmp_path: Path, said: list[str]
) -> None:
    model = shutil.copy(models / "small_32x32_int8_edgetpu.tflite", tmp_path)
    bus.plug("usb0")
    noisy = picture(32, 32)
    with Denoiser(model, device="usb:0") as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(noisy), 255 - noisy)
        bus.unplug("usb0")
        for size in ((32, 32), (50, 70)):
            np.testing.assert_array_equal(denoiser.denoise(picture(*size)), picture(*size))
        assert denoiser.device_state["used"] == "none"
        assert "frames pass unchanged" in said[-1]
        bus.plug("usb0")
        until(lambda: bool((denoiser.denoise(noisy) == 255 - noisy).all()))
        wide = picture(50, 70)
        np.testing.assert_array_equal(denoiser.denoise(wide), 255 - wide)


def test_without_a_twin_and_without_a_device_nothing_starts(bus: Bus, models: Path, tmp_path: Path) -> None:
    model = shutil.copy(models / "small_32x32_int8_edgetpu.tflite", tmp_path)
    with pytest.raises(DeviceError, match="no Edge TPU at usb0"):
        Engine(model, "usb:0")
    assert bus.log == ["device=usb:0"]


def test_without_the_library_the_cpu_goes_on(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "libedgetpu.so.1"))
    noisy = picture(32, 32)
    model = models / "small_32x32_int8.tflite"
    with Denoiser(model, device="usb") as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(noisy), on_the_cpu(model, noisy))
    assert "install libedgetpu" in said[-1]


def test_a_model_that_was_not_compiled_is_said(bus: Bus, models: Path, tmp_path: Path, said: list[str]) -> None:
    bus.plug("usb0")
    model = shutil.copy(models / "small_80x64_int8.tflite", tmp_path)
    Engine(model, "usb").close()
    assert len(said) == 1
    assert "small_80x64_int8.tflite was not compiled for the Edge TPU" in said[0]
    assert "quietcam coral compile" in said[0]


@pytest.mark.parametrize("device", ["cpu,cpu", "cpu,cpu,cpu"])
def test_several_interpreters_share_the_tiles_of_a_frame(small: Path, device: str) -> None:
    noisy = picture(101, 134)
    with Denoiser(small, 1) as one, Denoiser(small, 1, device=device) as several:
        for _ in range(3):
            np.testing.assert_array_equal(several.denoise(noisy), one.denoise(noisy))
        assert several.device_state["used"] == device


def test_several_edge_tpus_share_the_tiles_of_a_frame(bus: Bus, twins: Path) -> None:
    for device in ("usb0", "usb1", "pci0"):
        bus.plug(device)
    noisy = picture(150, 200)
    with Denoiser(twins / "small_32x32_int8.tflite", device="usb:0,usb:1,pci:0") as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(noisy), 255 - noisy)
        total = 3 + denoiser.tiles(150, 200)  # each has answered once at its start
    counts = [bus.log.count(f"invoke={device}") for device in ("usb0", "usb1", "pci0")]
    assert sum(counts) == total
    assert min(counts) > 1


def test_the_others_finish_the_frame_of_one_that_is_lost(bus: Bus, twins: Path, said: list[str]) -> None:
    bus.plug("usb0")
    bus.plug("usb1")
    noisy = picture(150, 200)
    with Denoiser(twins / "small_32x32_int8.tflite", device="usb:0,usb:1") as denoiser:
        bus.unplug("usb0")
        np.testing.assert_array_equal(denoiser.denoise(noisy), 255 - noisy)
        assert denoiser.device_state["used"] == "usb:1"
        assert said == [line for line in said if "usb:0 is lost" in line and "the network runs on usb:1" in line]
        bus.unplug("usb1")
        here = denoiser.denoise(noisy)
        assert denoiser.device_state["used"] == "cpu"
    with Denoiser(twins / "small_32x32_int8.tflite") as plain:
        np.testing.assert_array_equal(here, plain.denoise(noisy))


def test_a_network_that_fails_on_the_cpu_is_an_error_and_the_next_frame_works(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = picture(100, 100)
    with Denoiser(small, 1, device="cpu,cpu") as denoiser:
        whole = denoiser.denoise(noisy)
        invoke = Interpreter.invoke

        def fail(_: Interpreter) -> None:
            raise ModelError("It failed while running.")

        monkeypatch.setattr(Interpreter, "invoke", fail)
        with pytest.raises(ModelError, match="failed while running"):
            denoiser.denoise(noisy)
        monkeypatch.setattr(Interpreter, "invoke", invoke)
        np.testing.assert_array_equal(denoiser.denoise(noisy), whole)


def test_a_compiled_model_for_the_cpu_alone_is_one_clear_error(twins: Path) -> None:
    with pytest.raises(ModelError, match="runs on nothing else"):
        Engine(twins / "small_32x32_int8_edgetpu.tflite", "cpu")


def test_the_cpu_beside_an_edge_tpu_needs_the_plain_model(bus: Bus, models: Path, tmp_path: Path) -> None:
    model = shutil.copy(models / "small_32x32_int8_edgetpu.tflite", tmp_path)
    with pytest.raises(ModelError, match=r"The CPU needs the model that small_32x32_int8_edgetpu\.tflite"):
        Engine(model, "usb,cpu")
    assert bus.log == []


def test_twins_of_two_sizes_are_refused(bus: Bus, models: Path, tmp_path: Path) -> None:
    shutil.copy(models / "small_32x32_int8_edgetpu.tflite", tmp_path / "m_edgetpu.tflite")
    shutil.copy(models / "small_80x64_int8.tflite", tmp_path / "m.tflite")
    with pytest.raises(ModelError, match="must have the same size"):
        Engine(tmp_path / "m.tflite", "usb")
    assert bus.log == []


def test_an_unknown_device_is_wrong_usage_before_the_model_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A device is"):
        Engine(tmp_path / "none.tflite", "gpu")


def test_the_split_model_on_a_device_is_put_together_on_the_host(bus: Bus, models: Path, tmp_path: Path) -> None:
    tail = {"tail": "depth_to_space", "block": 2}
    with_manifest(models, tmp_path, "split_32x32_int8", **tail)
    compiled = with_manifest(models, tmp_path, "split_32x32_int8_edgetpu", **tail)
    noisy = picture(32, 32)
    bus.plug("usb0")
    with Denoiser(compiled, device="usb:0") as denoiser:
        there = denoiser.denoise(noisy)
        bus.unplug("usb0")
        here = denoiser.denoise(noisy)
    # The stand-in inverts byte after byte; as blocks of 2x2 pixels these are the rows of the picture.
    rows = (255 - noisy).reshape(16, 16, 2, 2, 3).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(there, rows.reshape(32, 32, 3))
    np.testing.assert_array_equal(here, on_the_cpu(models / "small_32x32_int8.tflite", noisy))


def test_the_engine_reads_a_model_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(small)
    monkeypatch.setattr(module, "load_model", None)
    Engine(model).close()

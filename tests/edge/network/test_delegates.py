"""Devices as text, and the delegate library: a real one, compiled here, replaces libedgetpu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.network.delegates import CPU, Device, library_name, load_delegate, parse_devices
from edge.network.interpreter import Interpreter
from quietcam.errors import DeviceError, ModelError, UsageError
from tests.edge.bus import Bus
from tests.small_models import expected, picture


def test_devices_as_they_are_written() -> None:
    assert parse_devices("cpu") == (CPU,)
    assert parse_devices("usb") == (Device("usb"),)
    assert parse_devices("USB:0, pci:12,cpu") == (Device("usb", 0), Device("pci", 12), CPU)
    assert parse_devices("cpu,cpu") == (CPU, CPU)
    for text in ("cpu", "usb", "pci:3", "usb:0,usb:1"):
        assert ",".join(map(str, parse_devices(text))) == text


@pytest.mark.parametrize(
    "text", ["", "gpu", "usb:", "usb:x", "usb:-1", "usb:64", "cpu:0", "usb,,cpu", "usb 0", "usb:²"]
)
def test_an_unknown_device_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"A device is cpu, usb\[:N\].*Received.*Remedy"):
        parse_devices(text)


@pytest.mark.parametrize("text", ["usb:0,usb:0", "usb,usb", "pci,pci:1"])
def test_one_edge_tpu_is_not_taken_twice(text: str) -> None:
    with pytest.raises(UsageError, match="needs a number of its own"):
        parse_devices(text)


def test_the_library_is_the_systems_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUIETCAM_EDGETPU_LIBRARY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert library_name() == "libedgetpu.so.1"
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", "/opt/libedgetpu.so")
    assert library_name() == "/opt/libedgetpu.so"


def test_the_option_says_which_device(bus: Bus) -> None:
    bus.plug("usb1")
    load_delegate(Device("usb", 1))
    bus.plug("pci0")
    load_delegate(Device("pci"))
    assert [line for line in bus.log if line.startswith("device")] == ["device=usb:1", "device=pci"]


def test_a_missing_library_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(
        DeviceError, match=r"needs the library libedgetpu. Received: .*none\.so.*Remedy: install libedgetpu"
    ):
        load_delegate(Device("usb", 0))


def test_a_library_without_a_delegate_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", "libc.so.6")
    with pytest.raises(DeviceError, match=r"needs the library libedgetpu. Received: .*tflite_plugin_create_delegate"):
        load_delegate(Device("usb", 0))


def test_a_device_that_is_not_plugged_in_is_one_clear_error(bus: Bus) -> None:
    with pytest.raises(DeviceError, match=r"usb:0 does not start. Received: .*no Edge TPU at usb0. Remedy: check that"):
        load_delegate(Device("usb", 0))
    assert bus.log == ["device=usb:0"]


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_int8_edgetpu"])
def test_the_delegate_runs_the_network(bus: Bus, models: Path, name: str) -> None:
    bus.plug("usb0")
    noisy = picture(32, 32)
    denoised = np.empty_like(noisy)
    with Interpreter(models / f"{name}.tflite", threads=1, delegate=load_delegate(Device("usb"))) as interpreter:
        interpreter.run(noisy, denoised)
    np.testing.assert_array_equal(denoised, 255 - noisy)
    assert bus.log == ["device=usb", "invoke=usb0", "destroy=usb0"]


def test_a_compiled_model_on_the_cpu_is_one_clear_error(models: Path) -> None:
    with pytest.raises(ModelError, match=r"for the Edge TPU runs on nothing else.*Remedy: set `device` to usb"):
        Interpreter(models / "small_32x32_int8_edgetpu.tflite")


def test_without_a_delegate_the_same_model_is_the_network(models: Path) -> None:
    noisy = picture(32, 32)
    denoised = np.empty_like(noisy)
    with Interpreter(models / "small_32x32_int8.tflite") as interpreter:
        interpreter.run(noisy, denoised)
    assert np.abs(denoised - expected(noisy, models)).max() <= 2

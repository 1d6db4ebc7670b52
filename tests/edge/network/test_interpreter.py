"""The interpreter, compared with the networks' formula."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.network import interpreter as user
from edge.network.interpreter import Interpreter, default_threads
from edge.network.modelfile import load_model
from edge.network.runtime import installed as seam
from edge.network.runtime.installed import Runtime
from quietcam.errors import MissingExtraError, ModelError, UsageError
from tests.small_models import expected, picture


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_uint8", "gray_32x32_int8", "small_80x64_int8"])
def test_int8_is_the_formula_within_two_steps(models: Path, name: str) -> None:
    with Interpreter(models / f"{name}.tflite", threads=1) as interpreter:
        noisy = picture(*interpreter.shape)
        denoised = np.empty_like(noisy)
        interpreter.run(noisy, denoised)
    assert np.abs(denoised - expected(noisy, models)).max() <= 2


@pytest.mark.parametrize("name", ["small_32x32_float32", "batch_32x32_float32"])
def test_float_is_the_formula_rounded(models: Path, name: str) -> None:
    with Interpreter(models / f"{name}.tflite") as interpreter:
        noisy = picture(*interpreter.shape)
        denoised = np.empty_like(noisy)
        interpreter.run(noisy, denoised)
    assert np.abs(denoised - expected(noisy, models)).max() <= 0.501


def test_the_ends_of_the_range_arrive_exactly(models: Path) -> None:
    """A white and a black frame: pixels that no weight changes come back unchanged."""
    for name in ("small_32x32_int8", "small_32x32_uint8", "small_32x32_float32"):
        with Interpreter(models / f"{name}.tflite") as interpreter:
            black = np.zeros(interpreter.shape, np.uint8)
            denoised = np.full_like(black, 9)
            interpreter.run(black, denoised)
            assert (denoised == 0).all()


def test_a_run_does_not_touch_the_noisy_frame_and_can_be_repeated(models: Path) -> None:
    with Interpreter(models / "small_32x32_int8.tflite") as interpreter:
        noisy = picture(*interpreter.shape)
        kept = noisy.copy()
        first, second = np.empty_like(noisy), np.empty_like(noisy)
        interpreter.run(noisy, first)
        interpreter.run(noisy, second)
    np.testing.assert_array_equal(noisy, kept)
    np.testing.assert_array_equal(first, second)


def test_views_of_larger_pictures_work(models: Path) -> None:
    with Interpreter(models / "small_32x32_int8.tflite") as interpreter:
        wide = picture(50, 60)
        inner = wide[5:37, 7:39]
        denoised, again = np.empty((40, 40, 3), np.uint8), np.empty((32, 32, 3), np.uint8)
        interpreter.run(inner, denoised[4:36, 4:36])
        interpreter.run(inner.copy(), again)
    np.testing.assert_array_equal(denoised[4:36, 4:36], again)


def test_threads_are_at_least_one(models: Path) -> None:
    assert 1 <= default_threads() <= 4
    for threads in (0, -1):
        with pytest.raises(UsageError, match="threads"):
            Interpreter(models / "small_32x32_int8.tflite", threads)


def test_close_may_be_called_twice(models: Path) -> None:
    interpreter = Interpreter(models / "small_32x32_int8.tflite")
    interpreter.close()
    interpreter.close()


def test_a_failing_runtime_is_one_clear_error(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ValueError("Op builtin_code out of range: 999.\nsecond line")

    monkeypatch.setattr(user, "runtime", lambda: Runtime("some-runtime 1", fail, fail))
    with pytest.raises(ModelError, match="some-runtime 1 cannot run") as caught:
        Interpreter(load_model(models / "small_32x32_int8.tflite"))
    assert "second line" not in str(caught.value)


def test_without_a_runtime_the_extra_is_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ai_edge_litert", "ai_edge_litert.interpreter", "tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(seam, "_installed", lambda _: False)
    with pytest.raises(MissingExtraError, match=r"quietcam\[edge\]"):
        Interpreter(models / "small_32x32_int8.tflite")


def test_tflite_runtime_under_numpy_2_is_explained(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setattr(seam, "_installed", lambda name: name == "tflite_runtime")
    monkeypatch.setattr(np, "__version__", "2.4.1")
    with pytest.raises(MissingExtraError, match=r"numpy 1 only. Received: numpy 2.4.1.*numpy<2"):
        Interpreter(models / "small_32x32_int8.tflite")


def test_tflite_runtime_takes_over_under_numpy_1(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    stand_in = ModuleType("tflite_runtime.interpreter")
    stand_in.Interpreter = litert.Interpreter  # type: ignore[attr-defined]
    stand_in.load_delegate = litert.load_delegate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    package = ModuleType("tflite_runtime")
    package.__version__ = "2.14.0"  # type: ignore[attr-defined]
    package.interpreter = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)
    monkeypatch.setattr(seam, "_installed", lambda _: True)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    with Interpreter(models / "small_32x32_int8.tflite") as interpreter:
        assert interpreter.runtime == "tflite-runtime 2.14.0"


def test_the_device_process_has_no_tensorflow(models: Path) -> None:
    code = (
        "import sys, edge.cameras, edge.sinks, edge.run.pipeline, edge.bench;"
        "from edge.network.denoiser import Denoiser;"
        f"Denoiser({str(models / 'small_32x32_int8.tflite')!r});"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'tf_keras', 'keras')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

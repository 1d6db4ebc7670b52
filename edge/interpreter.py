"""The one seam to the interpreter: LiteRT, else tflite-runtime, never TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.modelfile import ModelFile, load_model
from quietcam.chatter import chatter_caught
from quietcam.errors import MissingExtraError, ModelError, UsageError
from quietcam.image import Image
from quietcam.quantization import int8_to_pixels, pixels_to_int8

__all__ = ["Interpreter", "default_threads"]


def default_threads() -> int:
    """One per core that this process may use, at most 4: beyond that small networks do not get faster."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)


class Interpreter:
    """A loaded model. ``run`` takes pixels and gives pixels; nothing is allocated between two runs.

    Args:
        model: a model file, or its path.
        threads: of the CPU kernels, at least 1. Defaults to one per core, up to 4.

    Raises:
        UsageError: there is no such file, or ``threads`` is below 1.
        ModelError: the model breaks the contract, or this runtime cannot run it.
        MissingExtraError: no runtime is installed, or one that does not go with this numpy.
    """

    def __init__(self, model: ModelFile | Path | str, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"The interpreter needs at least 1 thread. Received: threads={threads}.")
        self.model = model if isinstance(model, ModelFile) else load_model(model)
        self.threads = default_threads() if threads is None else threads
        make, self.runtime = _runtime()
        native: Any = None
        failure: Exception | None = None
        with chatter_caught():
            try:
                native = make(model_content=self.model.content, num_threads=self.threads)
                native.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                failure = error  # raised outside, where it is the only line on the terminal
        if failure is not None:
            raise ModelError(
                f"{self.runtime} cannot run {self.model.path}. Received: {_first_line(failure)}. "
                "Remedy: convert the model again with `quietcam convert`."
            ) from failure
        self._native = native
        # Views are asked for anew at every run: one that is kept would forbid `invoke`.
        self._input: Callable[[], NDArray[Any]] = native.tensor(native.get_input_details()[0]["index"])
        self._output: Callable[[], NDArray[Any]] = native.tensor(native.get_output_details()[0]["index"])
        self._scratch = np.empty(() if self.model.is_int8 else self.shape, np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of what goes in and of what comes out."""
        return self.model.height, self.model.width, self.model.channels

    def run(self, noisy: Image, denoised: Image) -> None:
        """Denoise ``noisy`` into ``denoised``, both uint8 of ``shape``."""
        if self.model.is_int8:
            pixels_to_int8(noisy, self._input()[0])
            self.invoke()
            int8_to_pixels(self._output()[0], denoised)
        else:
            np.divide(noisy, np.float32(255), out=self._input()[0], dtype=np.float32)
            self.invoke()
            np.multiply(self._output()[0], np.float32(255), out=self._scratch)
            np.rint(self._scratch, out=self._scratch)
            np.clip(self._scratch, 0, 255, out=self._scratch)
            np.copyto(denoised, self._scratch, casting="unsafe")

    def invoke(self) -> None:
        """Run the network on what its input holds now."""
        try:
            self._native.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self.model.path} failed while running. Received: {_first_line(error)}.") from error

    def close(self) -> None:
        """Give the native memory back. May be called twice."""
        self._native = self._input = self._output = None  # type: ignore[assignment]

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _runtime() -> tuple[Callable[..., Any], str]:
    """The interpreter class that is installed, and its name and version."""
    from importlib.metadata import version

    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRt
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("ai_edge_litert"):
            raise
    else:
        return LiteRt, f"ai-edge-litert {version('ai-edge-litert')}"
    if _installed("tflite_runtime") and int(np.__version__.split(".")[0]) >= 2:
        raise MissingExtraError(
            f"tflite-runtime runs with numpy 1 only. Received: numpy {np.__version__}. "
            "Remedy: pip install 'quietcam[edge]', or pip install 'numpy<2' 'opencv-python-headless<4.12'"
        )
    try:
        from tflite_runtime.interpreter import Interpreter as TfliteRuntime
    except ModuleNotFoundError:
        raise MissingExtraError.of("edge", "ai_edge_litert") from None
    return TfliteRuntime, f"tflite-runtime {version('tflite-runtime')}"


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""One network in one interpreter: pixels in, pixels out, nothing allocated between two frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.network.modelfile import ModelFile, load_model
from edge.network.runtime import gil_window
from edge.network.runtime.installed import runtime
from quietcam.blocks import depth_to_space
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image
from quietcam.limits import MOST_THREADS
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.quantization import int8_to_pixels, pixels_to_int8
from quietcam.tiling import mirror

__all__ = ["Interpreter", "check_threads", "closed", "default_threads"]


def default_threads() -> int:
    """One thread for each core that this process may use, at most 4: small networks do not get faster beyond that."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)


def check_threads(threads: int | None) -> int:
    """``threads``, or the default for None, after a check.

    Raises:
        UsageError: it is not 1 to 256.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"The number of threads must be 1 to {MOST_THREADS}. Received: threads={threads}.")
    return default_threads() if threads is None else threads


class Interpreter:
    """A loaded model. ``run`` takes pixels and gives pixels, without allocating memory.

    Args:
        model: a model file, or its path.
        threads: of the CPU's kernels, 1 to 256. Defaults to one per core, up to 4.
        delegate: from :func:`edge.network.delegates.load_delegate`; None runs on the CPU.

    Raises:
        UsageError: there is no such file, or ``threads`` is not 1 to 256.
        ModelError: the model does not keep the contract, or this runtime cannot run it.
        MissingExtraError: no runtime is installed, or it does not work with the installed numpy.
    """

    def __init__(self, model: ModelFile | Path | str, threads: int | None = None, delegate: Any = None) -> None:
        self.threads = check_threads(threads)
        self.model = model if isinstance(model, ModelFile) else load_model(model)
        self.runtime = runtime().name
        self._native: Any
        # Functions that give views of the tensors: the runtime refuses `invoke` while a view exists.
        self._input: Callable[[], NDArray[Any]]
        self._output: Callable[[], NDArray[Any]]
        self._load(delegate)
        self._pixels = np.empty(self.shape if self.model.block else (), self.model.ends)
        self._floats = np.empty(self.shape if self.model.ends == "float32" else (), np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of the input and of the output."""
        return self.model.height, self.model.width, self.model.channels

    def run(self, noisy: Image, denoised: Image) -> None:
        """Denoise ``noisy`` into ``denoised``, both uint8 of the same shape: ``shape``, or smaller in height or width.

        A smaller picture is mirrored at its right and lower edge.
        """
        self.put(noisy)
        self.invoke()
        self.get(denoised)

    def put(self, noisy: Image) -> None:
        """Write ``noisy`` into the input. ``run`` calls this, then ``invoke``, then ``get``."""
        height, width = noisy.shape[:2]
        tensor = self._input()[0]
        if self.model.is_int8:
            pixels_to_int8(noisy, tensor[:height, :width])
        elif self.model.ends == "uint8":
            np.copyto(tensor[:height, :width], noisy)
        else:
            np.divide(noisy, np.float32(255), out=tensor[:height, :width], dtype=np.float32)
        mirror(tensor, height, width)

    def invoke(self) -> None:
        """Run the network on its input."""
        failure = ""
        gil_window.invoke_begins()
        try:
            self._native.invoke()
        except (ValueError, RuntimeError) as error:
            failure = _first_line(error)
        if failure:
            raise ModelError(f"{self.model.path} failed while running. Received: {failure}.")

    def get(self, denoised: Image) -> None:
        """Write the output, or its upper left part, into ``denoised``."""
        height, width = denoised.shape[:2]
        tensor = self._output()[0]
        if self.model.block:
            depth_to_space(tensor, self.model.block, self._pixels)
            tensor = self._pixels
        tensor = tensor[:height, :width]
        if self.model.is_int8:
            int8_to_pixels(tensor, denoised)
        elif self.model.ends == "uint8":
            np.copyto(denoised, tensor)
        else:
            floats = self._floats[:height, :width]
            np.multiply(tensor, np.float32(255), out=floats)
            np.rint(floats, out=floats)
            np.clip(floats, 0, 255, out=floats)
            np.copyto(denoised, floats, casting="unsafe")

    def tensors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The input and the output tensor, with a batch of 1. Drop both before ``invoke``."""
        return self._input(), self._output()

    def close(self) -> None:
        """Free the native memory. May be called twice."""
        self._native = None
        self._input = self._output = closed

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, delegate: Any) -> None:
        if self.model.is_compiled and delegate is None:
            raise ModelError(
                f"A model that was compiled for the Edge TPU runs on nothing else. Received: {self.model.path} for "
                "the CPU. Remedy: set `device` to usb or pci, or use the model that this one was compiled from."
            )
        installed = runtime()
        native: Any = None
        failure = ""
        delegates = {} if delegate is None else {"experimental_delegates": [delegate]}
        gil_window.wait_for_invoke()
        # With a delegate this is a child process: its parent needs the native output to explain a crash.
        with native_output_caught() if delegate is None else contextlib.nullcontext():
            try:
                native = installed.interpreter(model_content=self.model.content, num_threads=self.threads, **delegates)
                native.allocate_tensors()
                self._input, self._output = _ends(native, self.model)
            except (ValueError, RuntimeError) as error:
                failure = _first_line(error)
        # Raised outside of the handler: the runtime's error would keep the native side, and its device, alive.
        if failure:
            raise ModelError(
                f"{self.runtime} cannot run {self.model.path}. Received: {failure}. "
                "Remedy: convert the model again with `quietcam convert`."
            )
        self._native = native


def _ends(native: Any, model: ModelFile) -> tuple[Callable[[], NDArray[Any]], Callable[[], NDArray[Any]]]:
    """Functions that give views of the input and of the output.

    Raises:
        ValueError: shape or type of the built graph is not what the file says.
    """
    block = model.block or 1
    picture = 1, model.height, model.width, model.channels
    blocks = 1, model.height // block, model.width // block, model.channels * block**2
    views = []
    for word, (details, *_), wanted in (
        ("input", native.get_input_details(), picture),
        ("output", native.get_output_details(), blocks),
    ):
        shape, dtype = tuple(map(int, details["shape"])), np.dtype(details["dtype"])
        if (shape, dtype) != (wanted, np.dtype(model.ends)):
            raise ValueError(f"its {word} is {dtype} {list(shape)} instead of {model.ends} {list(wanted)}")
        views.append(native.tensor(details["index"]))
        views[-1]()  # of a graph without operators it has no memory
    return views[0], views[1]


def closed() -> NDArray[Any]:
    """Stands in for the tensors of an interpreter that is closed."""
    raise ModelError("A closed interpreter runs no network.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

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

from edge.network import gil_window
from edge.network.modelfile import ModelFile, load_model
from edge.network.runtime import runtime
from quietcam.blocks import depth_to_space
from quietcam.errors import ModelError, UsageError
from quietcam.image import Image
from quietcam.limits import MOST_THREADS
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.quantization import int8_to_pixels, pixels_to_int8
from quietcam.tiling import mirror

__all__ = ["Interpreter", "check_threads", "default_threads"]


def default_threads() -> int:
    """One per core that this process may use, at most 4: beyond that small networks do not get faster."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)


def check_threads(threads: int | None) -> int:
    """``threads`` when it is 1 to 256; of None the default.

    Raises:
        UsageError: it is not.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"The interpreter has 1 to {MOST_THREADS} threads. Received: threads={threads}.")
    return default_threads() if threads is None else threads


class Interpreter:
    """A loaded model. ``run`` takes pixels and gives pixels; nothing is allocated between two runs.

    Args:
        model: a model file, or its path.
        threads: of the CPU kernels, at least 1. Defaults to one per core, up to 4.
        delegate: of :func:`edge.network.delegates.load_delegate`; None runs on the CPU.

    Raises:
        UsageError: there is no such file, or ``threads`` is below 1.
        ModelError: the model breaks the contract, or this runtime cannot run it.
        MissingExtraError: no runtime is installed, or one that does not go with this numpy.
    """

    def __init__(self, model: ModelFile | Path | str, threads: int | None = None, delegate: Any = None) -> None:
        self.threads = check_threads(threads)
        self.model = model if isinstance(model, ModelFile) else load_model(model)
        self.runtime = runtime().name
        self._native: Any
        # Views are asked for anew at every run: one that is kept would forbid `invoke`.
        self._input: Callable[[], NDArray[Any]]
        self._output: Callable[[], NDArray[Any]]
        self._load(delegate)
        self._pixels = np.empty(self.shape if self.model.block else (), self.model.ends)
        self._floats = np.empty(self.shape if self.model.ends == "float32" else (), np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of what goes in and of what comes out."""
        return self.model.height, self.model.width, self.model.channels

    def run(self, noisy: Image, denoised: Image) -> None:
        """Denoise ``noisy`` into ``denoised``: uint8 of one shape, which is ``shape`` or has smaller sides.

        A smaller picture is mirrored at its right and lower edge.
        """
        self.put(noisy)
        self.invoke()
        self.get(denoised)

    def put(self, noisy: Image) -> None:
        """Lay ``noisy`` into the input: the first of the three steps of ``run``."""
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
        """Run the network on what its input holds now."""
        failure = ""
        gil_window.invoke_begins()
        try:
            self._native.invoke()
        except (ValueError, RuntimeError) as error:
            failure = _first_line(error)
        if failure:
            raise ModelError(f"{self.model.path} failed while running. Received: {failure}.")

    def get(self, denoised: Image) -> None:
        """Take the output, or its upper left part, into ``denoised``."""
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
        """The input and the output themselves, with their batch of 1. They must be gone before ``invoke``."""
        return self._input(), self._output()

    def close(self) -> None:
        """Give the native memory back. May be called twice."""
        self._native = None
        self._input = self._output = None  # type: ignore[assignment]

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
                "the CPU. Remedy: --device usb or pci, or the model that it was compiled from"
            )
        installed = runtime()
        native: Any = None
        failure = ""
        delegates = {} if delegate is None else {"experimental_delegates": [delegate]}
        gil_window.wait_for_invoke()
        # With a delegate this is a child process, whose chatter is kept there: its last words must come through.
        with native_output_caught() if delegate is None else contextlib.nullcontext():
            try:
                native = installed.interpreter(model_content=self.model.content, num_threads=self.threads, **delegates)
                native.allocate_tensors()
                self._input, self._output = _ends(native, self.model)
            except (ValueError, RuntimeError) as error:
                failure = _first_line(error)
        # Raised out here it is the only line on the terminal. Of the error itself the words are enough: its traceback
        # would keep the native side alive, and with it the device.
        if failure:
            raise ModelError(
                f"{self.runtime} cannot run {self.model.path}. Received: {failure}. "
                "Remedy: convert the model again with `quietcam convert`."
            )
        self._native = native


def _ends(native: Any, model: ModelFile) -> tuple[Callable[[], NDArray[Any]], Callable[[], NDArray[Any]]]:
    """What gives the input and the output. ValueError: the graph, as it was built, has others than the file says."""
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

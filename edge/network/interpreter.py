"""One network in one interpreter: pixels in, pixels out, nothing allocated between two frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

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

__all__ = ["Interpreter", "View", "check_threads", "closed", "default_threads"]

View = Callable[[], NDArray[Any]]
"""Gives a view of a tensor: the runtime refuses ``invoke`` while a view exists."""


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

    Attributes:
        on_reuse: called before the outputs change, by whoever still needs what lies in them; None: nobody does.

    Raises:
        UsageError: there is no such file, or ``threads`` is not 1 to 256.
        ModelError: the model does not keep the contract, or this runtime cannot run it.
        MissingExtraError: no runtime is installed, or it does not work with the installed numpy.
    """

    def __init__(self, model: ModelFile | Path | str, threads: int | None = None, delegate: Any = None) -> None:
        self.threads = check_threads(threads)
        self.model = model if isinstance(model, ModelFile) else load_model(model)
        self.runtime = runtime().name
        self.on_reuse: Callable[[], None] | None = None
        self._remembers = self.model.remembers
        self._native: Any
        self._inputs: dict[str, View]  # by what they hold
        self._outputs: dict[str, View]
        self._load(delegate)
        self._pixels = np.empty(self.shape if self.model.block else (), self.model.ends)
        self._floats = np.empty(self.shape if self.model.ends == "float32" else (), np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of the input and of the output."""
        return self.model.height, self.model.width, self.model.channels

    def run(self, noisy: Image, denoised: Image) -> None:
        """Denoise ``noisy`` into ``denoised``, both uint8 of the same shape: ``shape``, or smaller in height or width.

        A smaller picture is mirrored at its right and lower edge. A video network gets no past.
        """
        self.put(noisy)
        self.invoke()
        self.get(denoised)

    def put(self, noisy: Image, past: NDArray[Any] | None = None) -> None:
        """Write ``noisy`` into the input. ``run`` calls this, then ``invoke``, then ``get``.

        A video network gets its history, too: ``past``, of the same height and width and of the type ``stored_type``,
        or without a past the noisy picture itself.
        """
        if self.on_reuse is not None:
            self.on_reuse()
        self._put_noisy(noisy)
        if self._remembers:
            self._put_past(past)

    def put_next(self, noisy: Image) -> None:
        """Write ``noisy``, and what the last run gave to remember as its history: one copy between two tensors."""
        self._put_noisy(noisy)
        height, width = noisy.shape[:2]
        tensor = self._inputs["history"]()[0]
        source = self.remembered()
        if self.model.ends == "float32":
            _to_whole_pixels(source, tensor)
            np.divide(tensor, np.float32(255), out=tensor)
        else:
            np.copyto(tensor, source)
        mirror(tensor, height, width)

    def _put_past(self, past: NDArray[Any] | None) -> None:
        tensor = self._inputs["history"]()[0]
        if past is None:
            np.copyto(tensor, self._inputs["noisy"]()[0])
            return
        height, width = past.shape[:2]
        if self.model.ends == "float32":
            np.divide(past, np.float32(255), out=tensor[:height, :width], dtype=np.float32)
        else:
            np.copyto(tensor[:height, :width], past)
        mirror(tensor, height, width)

    def _put_noisy(self, noisy: Image) -> None:
        height, width = noisy.shape[:2]
        tensor = self._inputs["noisy"]()[0]
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
        tensor = self._picture("denoised")[:height, :width]
        if self.model.is_int8:
            int8_to_pixels(tensor, denoised)
        elif self.model.ends == "uint8":
            np.copyto(denoised, tensor)
        else:
            floats = self._floats[:height, :width]
            _to_whole_pixels(tensor, floats)
            np.copyto(denoised, floats, casting="unsafe")

    @property
    def stored_type(self) -> DTypeLike:
        """The type in which a history is stored: the codes of the tensors; of a float network, uint8 pixels."""
        return np.int8 if self.model.is_int8 else np.uint8

    def remember(self, past: NDArray[Any], top: int = 0, left: int = 0) -> None:
        """Write what a video network gave to remember into ``past``: the part that begins at ``top`` and ``left``.

        A float network's is rounded to whole pixels. So it remembers as finely as its int8 twin, and the two differ by
        their arithmetic only.
        """
        height, width = past.shape[:2]
        tensor = self.remembered()[top : top + height, left : left + width]
        if self.model.ends == "float32":
            floats = self._floats[:height, :width]
            _to_whole_pixels(tensor, floats)
            np.copyto(past, floats, casting="unsafe")
        else:
            np.copyto(past, tensor)

    def remembered(self) -> NDArray[Any]:
        """What a video network gave to remember, ``shape`` in the type of its tensors. Drop it before ``invoke``."""
        return self._picture(self.model.remembered)

    def inputs(self) -> list[NDArray[Any]]:
        """The input tensors in the graph's order, with a batch of 1. Drop them before ``invoke``."""
        return [view() for view in self._inputs.values()]

    def outputs(self) -> list[NDArray[Any]]:
        """The output tensors in the graph's order, with a batch of 1. Drop them before ``invoke``."""
        return [view() for view in self._outputs.values()]

    def _picture(self, end: str) -> NDArray[Any]:
        """The picture in an output, in the type of the tensor."""
        tensor: NDArray[Any] = self._outputs[end]()[0]
        if self.model.block and end == "denoised":
            depth_to_space(tensor, self.model.block, self._pixels)
            return self._pixels
        return tensor

    def close(self) -> None:
        """Free the native memory. May be called twice."""
        self._native = self.on_reuse = None
        self._inputs = dict.fromkeys(self.model.inputs, closed)
        self._outputs = dict.fromkeys(self.model.outputs, closed)

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
                self._inputs, self._outputs = _ends(native, self.model)
            except (ValueError, RuntimeError) as error:
                failure = _first_line(error)
        # Raised outside of the handler: the runtime's error would keep the native side, and its device, alive.
        if failure:
            raise ModelError(
                f"{self.runtime} cannot run {self.model.path}. Received: {failure}. "
                "Remedy: convert the model again with `quietcam convert`."
            )
        self._native = native


def _ends(native: Any, model: ModelFile) -> tuple[dict[str, View], dict[str, View]]:
    """Functions that give views of the inputs and of the outputs.

    Raises:
        ValueError: shape or type of the built graph is not what the file says.
    """
    views: tuple[dict[str, View], dict[str, View]] = {}, {}
    for word, names, found, each in (
        ("input", model.inputs, native.get_input_details(), views[0]),
        ("output", model.outputs, native.get_output_details(), views[1]),
    ):
        for name, details in zip(names, found, strict=True):
            shape, dtype = tuple(map(int, details["shape"])), np.dtype(details["dtype"])
            if (shape, dtype) != (wanted := model.shape_of(name), np.dtype(model.ends)):
                raise ValueError(f"its {word} {name} is {dtype} {list(shape)} instead of {model.ends} {list(wanted)}")
            each[name] = native.tensor(details["index"])
            each[name]()  # of a graph without operators it has no memory
    return views


def _to_whole_pixels(tensor: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Round values in [0, 1] to whole steps of 255, 0 to 255."""
    np.multiply(tensor, np.float32(255), out=out)
    np.rint(out, out=out)
    np.clip(out, 0, 255, out=out)


def closed() -> NDArray[Any]:
    """Stands in for the tensors of an interpreter that is closed."""
    raise ModelError("A closed interpreter runs no network.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

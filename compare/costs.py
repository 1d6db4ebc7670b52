"""What a model costs: bytes, arithmetic, time."""

from __future__ import annotations

import gzip
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from edge.turns import take_turns
from quietcam.errors import MissingExtraError
from quietcam.image import Image
from quietcam.terminal.progress import progress
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import strip_manifest

__all__ = ["measure_times", "read_costs", "runtime_of"]


def read_costs(file: ModelFile) -> dict[str, Any]:
    """Size and cost of a model, read from the file, or from its manifest if LiteRT's schema is not installed."""
    manifest = file.manifest
    found: dict[str, Any] = {
        "path": str(file.path),
        "recipe": manifest.recipe if manifest else None,
        "bytes": len(file.content),
        "bytes_gzipped": len(gzip.compress(file.content, 9, mtime=0)),
        "manifest": manifest.to_dict() if manifest else None,
    }
    try:
        graph = read_graph(strip_manifest(file.content), str(file.path))
    except MissingExtraError:
        if manifest:
            found |= {"sparsity": manifest.sparsity, "gmacs_256": manifest.gmacs_256}
        return found
    return found | {
        "parameters": graph.parameters,
        "sparsity": round(graph.sparsity, 4),
        "gmacs_256": round(graph.gmacs_256, 4),
        "int8_share": round(graph.int8_share, 4),
    }


def measure_times(
    files: Mapping[str, ModelFile],
    filters: Mapping[str, Callable[[Image], Image]],
    noisy: Image,
    use_threads: int = 1,
    *,
    size: tuple[int, int],
) -> dict[str, float]:
    """Median milliseconds for one frame of ``size`` (width, height), by name: of a bare ``invoke``, or of the filter.

    All take turns, so that heat and other processes slow them down equally. ``noisy`` is repeated to fill the frame.
    """
    import cv2

    width, height = size
    repeats = (-(-height // noisy.shape[0]), -(-width // noisy.shape[1]), 1)
    frame = np.ascontiguousarray(np.tile(noisy, repeats)[:height, :width])
    threads = cv2.getNumThreads()
    cv2.setNumThreads(use_threads)
    try:
        with ExitStack() as stack:
            work: dict[str, Callable[[], object]] = {name: _bound(each, frame) for name, each in filters.items()}
            for name, file in files.items():
                interpreter = stack.enter_context(Interpreter(file, threads=use_threads))
                interpreter.run(frame[..., : file.channels], np.empty(interpreter.shape, np.uint8))
                work[name] = interpreter.invoke
            with progress("Timing", len(work)) as bar:
                taken = take_turns(work, on_run=bar.advance)
    finally:
        cv2.setNumThreads(threads)
    return {name: round(1000 * statistics.median(seconds), 3) for name, seconds in taken.items()}


def _bound(denoise: Callable[[Image], Image], frame: Image) -> Callable[[], object]:
    return lambda: denoise(frame)


def runtime_of(file: ModelFile) -> str:
    """Name and version of what runs models here."""
    with Interpreter(file, threads=1) as interpreter:
        return interpreter.runtime

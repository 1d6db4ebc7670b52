"""Which TensorFlow Lite runtime is installed: LiteRT, else tflite-runtime, never TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from quietcam.errors import MissingExtraError

__all__ = ["Runtime", "runtime"]


@dataclass(frozen=True)
class Runtime:
    """An installed runtime.

    Attributes:
        name: name and version, as ``ai-edge-litert 2.3.0``.
        interpreter: its interpreter class.
        load_delegate: its function that loads a delegate library.
    """

    name: str
    interpreter: Callable[..., Any]
    load_delegate: Callable[..., Any]


def runtime() -> Runtime:
    """The runtime that is installed.

    Raises:
        MissingExtraError: no runtime is installed, or it does not work with the installed numpy.
    """
    try:
        import ai_edge_litert
        import ai_edge_litert.interpreter as litert
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("ai_edge_litert"):
            raise
    else:
        return Runtime(_name("ai-edge-litert", ai_edge_litert), litert.Interpreter, litert.load_delegate)
    if _installed("tflite_runtime") and int(np.__version__.split(".")[0]) >= 2:
        raise MissingExtraError(
            f"tflite-runtime works with numpy 1 only. Received: numpy {np.__version__}. "
            "Remedy: pip install 'quietcam[edge]', or pip install 'numpy<2' 'opencv-python-headless<4.12'"
        )
    try:
        import tflite_runtime
        import tflite_runtime.interpreter as tflite
    except ModuleNotFoundError:
        raise MissingExtraError.of("edge", "ai_edge_litert") from None
    return Runtime(_name("tflite-runtime", tflite_runtime), tflite.Interpreter, tflite.load_delegate)


def _installed(module: str) -> bool:
    return find_spec(module) is not None


def _name(package: str, module: Any) -> str:
    found = getattr(module, "__version__", None)
    if found is None:  # only then: to ask the installation delays the first frame by 25 ms
        from importlib.metadata import version

        found = version(package)
    return f"{package} {found}"

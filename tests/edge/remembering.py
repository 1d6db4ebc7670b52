"""Video networks for tests: clips, the closed loop by hand, and shorthands for `FrameNetwork`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from quietcam.image import Image
from tests.small_models import picture


def clip(count: int, height: int = 64, width: int = 64, channels: int = 3, seed: int = 0) -> list[Image]:
    """Frames of one picture under fresh noise."""
    rng = np.random.default_rng(seed)
    still = picture(height, width, channels, seed).astype(float)
    return [np.clip(still + rng.normal(0, 25, still.shape), 0, 255).astype(np.uint8) for _ in range(count)]


class ByHand:
    """The closed loop by `set_tensor` and `get_tensor` of the bare runtime, on pixels of the model's own size."""

    def __init__(self, path: Path, fed_back: str = "history", block: int = 0) -> None:
        from ai_edge_litert import interpreter as litert

        self._native = litert.Interpreter(model_content=path.read_bytes(), num_threads=1)
        self._native.allocate_tensors()
        self._inputs = {each["name"]: each for each in self._native.get_input_details()}
        self._outputs = {each["name"]: each for each in self._native.get_output_details()}
        self._fed_back, self._block = fed_back, block
        self.past: Image | None = None

    def __call__(self, noisy: Image) -> Image:
        self._set("noisy", noisy)
        self._set("history", noisy if self.past is None else self.past)
        self._native.invoke()
        self.past = self._get(self._fed_back)
        return self._get("denoised")

    def _set(self, name: str, image: Image) -> None:
        kind = self._inputs[name]["dtype"]
        values: NDArray[Any] = image.astype(np.int16) - 128 if kind is np.int8 else image
        if kind is np.float32:
            values = image / np.float32(255)
        self._native.set_tensor(self._inputs[name]["index"], values.astype(kind)[None])

    def _get(self, name: str) -> Image:
        values: NDArray[Any] = self._native.get_tensor(self._outputs[name]["index"])[0]
        if self._block and name == "denoised":
            rows, columns = values.shape[:2]
            values = values.reshape(rows, columns, self._block, self._block, -1).transpose(0, 2, 1, 3, 4)
            values = values.reshape(rows * self._block, columns * self._block, -1)
        if values.dtype == np.float32:
            values = np.rint(values * np.float32(255))
        elif values.dtype == np.int8:
            values = values.astype(np.int16) + 128
        return np.asarray(values, np.uint8)


def network(path: Path, device: str = "cpu", **options: Any) -> FrameNetwork:
    return FrameNetwork(Engine(path, device, 1, **options))


def ran(network: FrameNetwork, noisy: Image, half: bool = False) -> Image:
    out = np.empty_like(noisy)
    assert network.run(noisy, out, half)
    return out


def remembered(network: FrameNetwork, *arguments: Any) -> Image:
    history = network.history(*arguments)
    assert history is not None
    return history.copy()

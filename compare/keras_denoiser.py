"""A Keras model run by TensorFlow, in the tiles in which the device would run it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quietcam.errors import ModelError
from quietcam.image import Image, as_channels, to_float, to_rgb, to_uint8
from quietcam.process.native_output import native_output_caught
from quietcam.tiling import TileGrid

if TYPE_CHECKING:
    from convert.sources.loaded_model import LoadedModel

__all__ = ["KerasDenoiser"]

_STRIDE = 32  # every network of the family takes tiles at multiples of it


class KerasDenoiser:
    """Denoises frames of any size.

    Args:
        loaded: a still network or a video network.
        width, height: of a tile.
    """

    def __init__(self, loaded: LoadedModel, width: int, height: int) -> None:
        import tensorflow as tf

        self._path, self._channels, self._remembers = loaded.path, loaded.channels, loaded.remembers
        self._width, self._height = width, height
        self._stride = loaded.architecture.stride if loaded.architecture else math.gcd(_STRIDE, width, height)
        self._reach = loaded.architecture.receptive_field if loaded.architecture else 0
        self._graph = tf.function(loaded.network())
        self._run: Any = None

    def denoise(self, noisy: Image) -> Image:
        """Denoise uint8 ``(H, W, C)``; a grayscale model denoises RGB channel by channel. A video network runs without
        history."""
        return self.follow(noisy, None)[0]

    def follow(self, noisy: Image, history: Image | None) -> tuple[Image, Image]:
        """The denoised frame, and what is remembered of it: the ``history`` of the next frame, of the same shape.

        As on the device, it is rounded to pixels, and a frame without history is its own.
        """
        if self._channels == 3:
            noisy = to_rgb(noisy)
        past = noisy if history is None else history
        planes = [
            self._tiled(noisy[..., first : first + self._channels], past[..., first : first + self._channels])
            for first in range(0, noisy.shape[2], self._channels)
        ]
        denoised, remembered = (np.concatenate(each, axis=2) for each in zip(*planes, strict=True))
        return denoised, remembered

    def _tiled(self, noisy: Image, history: Image) -> tuple[Image, Image]:
        height, width = noisy.shape[:2]
        overlap = min(self._reach + self._stride, min(self._height, self._width) // 4)
        grid = TileGrid(height, width, self._height, self._width, overlap=overlap, stride=self._stride)
        made = [self._one(*tiles) for tiles in zip(grid.split(noisy), grid.split(history), strict=True)]
        return grid.merge([one for one, _ in made]), grid.merge([other for _, other in made])

    def _one(self, noisy: Image, history: Image) -> tuple[Image, Image]:
        import tensorflow as tf

        pictures = (noisy, history) if self._remembers else (noisy,)
        given = [tf.constant(to_float(as_channels(each, self._channels))[None]) for each in pictures]
        try:
            with native_output_caught(show=False):
                # All tiles have one shape. With this signature TensorFlow does not warn if many models run in turn.
                specs = [tf.TensorSpec(each.shape, tf.float32) for each in given]
                self._run = self._run or self._graph.get_concrete_function(*specs)
                made = {name: np.asarray(each)[0] for name, each in self._run(*given).items()}
        except Exception as error:  # TensorFlow raises all sorts
            from quietcam.tflite.tensorflow_errors import explain

            raise ModelError(
                f"A model must run on frames of {self._width}x{self._height}. Received: {self._path}: "
                f"{explain(error)}. Remedy: compare it with a .tflite of a size that it takes."
            ) from error
        denoised = made["denoised"]
        if denoised.shape != noisy.shape:
            raise ModelError(
                f"A model must return a picture of the size of its input. Received: {self._path}: {noisy.shape} in, "
                f"{denoised.shape} out. Remedy: give a denoising network."
            )
        return to_uint8(denoised), to_uint8(made.get("history", denoised))

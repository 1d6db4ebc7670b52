"""Writes TensorBoard's event files: at each validation the scalars, and a few crops as noisy | denoised | clean.

TensorFlow's own writer is used. TensorBoard itself is needed only to view the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf

from quietcam.data.crops import Crops
from quietcam.errors import StorageError
from quietcam.image import Image, to_uint8
from train.evaluation.validation import Denoise, denoise_clip
from train.patches.clips import ClipCrops
from train.run_directory.history import HistoryRow

__all__ = ["Board"]

_CROPS = 3
"""How many crops of each validation set are shown, evenly spread."""


class Board:
    """A context manager that shows one phase of a run in ``RUN/tensorboard/PHASE``.

    Args:
        run: the run directory; None shows nothing.
        validation: crops by the name of their set; of a clip, its last frame is shown.
    """

    def __init__(self, run: Path | None, phase: str, validation: Mapping[str, Crops | ClipCrops]) -> None:
        self._folder = None if run is None else run / "tensorboard" / phase
        self._shown = {name: _chosen(crops) for name, crops in validation.items()}
        self._writer: Any = None

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def show(self, row: HistoryRow, found: Mapping[str, float], denoise: Denoise) -> None:
        """Write a validation: its scalars (``found`` is PSNR in dB by set), and the crops denoised by ``denoise``.

        Raises:
            StorageError: the files cannot be written.
        """
        if self._folder is None:
            return
        try:
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self._folder))
            with self._writer.as_default(step=row.step):
                _scalar("loss", row.loss)
                _scalar("learning_rate", row.learning_rate)
                for name, psnr in found.items():
                    _scalar(f"psnr/{name}", psnr)
                for name, sequences in self._shown.items():
                    _pictures(name, [_strip(sequence, denoise) for sequence in sequences])
            self._writer.flush()
        except tf.errors.OpError as error:
            raise StorageError(
                f"Cannot write {self._folder}: {error.message}. Remedy: free some space there, or choose another place."
            ) from error


def _spread(count: int) -> list[int]:
    places: list[int] = np.linspace(0, count, min(count, _CROPS), endpoint=False).astype(int).tolist()
    return places


def _chosen(crops: Crops | ClipCrops) -> list[Image]:
    """Sequences uint8 ``(T, 2, side, side, C)``; a pair is one of one frame."""
    if isinstance(crops, ClipCrops):
        return [crops.sequences[place] for place in _spread(len(crops.sequences))]
    return [pair[np.newaxis] for pair in crops.pairs[_spread(len(crops))]]


def _strip(sequence: Image, denoise: Denoise) -> Image:
    """The last noisy frame, denoised and clean side by side, uint8 ``(side, 3 * side, C)``."""
    noisy, clean = sequence[-1]
    *_, last = denoise_clip(denoise, sequence[:, 0])
    denoised = to_uint8(last.numpy()[0])
    return np.concatenate([noisy, denoised, clean], axis=1)


def _scalar(name: str, value: float) -> None:
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=_of_plugin("scalars"))


def _pictures(name: str, strips: list[Image]) -> None:
    """TensorBoard's form of pictures: width, height and the PNG of each, as strings."""
    height, width = strips[0].shape[:2]
    encoded = [tf.io.encode_png(strip).numpy() for strip in strips]
    content = tf.constant([str(width).encode(), str(height).encode(), *encoded])
    tf.summary.write(f"noisy, denoised, clean/{name}", content, metadata=_of_plugin("images"))


def _of_plugin(name: str) -> Any:
    metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": name})
    # Tells TensorBoard which widget shows it, as its own writers do.
    metadata.data_class = 1 if name == "scalars" else 3
    return metadata

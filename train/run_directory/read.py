"""Reads a finished run directory: its config, its network and its measurements."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tf_keras as keras

from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import Evaluation, read_evaluation
from train.config import RunConfig, load_config
from train.model import build, convolutions, copy_convolutions

__all__ = ["TrainedRun", "read_run"]


@dataclass(frozen=True)
class TrainedRun:
    """A run directory that ``train`` or ``prune`` wrote; its files are read on first access.

    Attributes:
        path: path of the run directory.

    Example:
        >>> run = read_run("runs/mine")  # doctest: +SKIP
        >>> f"{run.noisy_psnr:.2f} dB noisy, {run.psnr:.2f} dB denoised"  # doctest: +SKIP
        '22.31 dB noisy, 29.84 dB denoised'
    """

    path: Path

    @cached_property
    def config(self) -> RunConfig:
        """The config that the run was trained with.

        Raises:
            UsageError: the file does not exist, or is not a config.
        """
        return load_config(str(self.path / "config.toml"))

    @cached_property
    def evaluation(self) -> Evaluation:
        """The measurements and records of training: ``evaluation.json``.

        Raises:
            UsageError: the file does not exist.
            ModelError: it is damaged.
        """
        return read_evaluation(self.path)

    @property
    def psnr(self) -> float:
        """PSNR in dB of the network's pictures, the mean over the validation sets."""
        return self.evaluation.validation.psnr

    @property
    def noisy_psnr(self) -> float:
        """PSNR in dB of the noisy pictures, the mean over the validation sets."""
        return self.evaluation.validation.noisy_psnr

    @property
    def sha256(self) -> str:
        """SHA-256 of ``model.keras``, hexadecimal."""
        return hashlib.sha256(self._model_file.read_bytes()).hexdigest()

    def load_model(self) -> keras.Model:
        """The plain network, built from the config, with the weights of the file; float32 ``(batch, H, W, C)`` in
        [0, 1] on both ends.

        Raises:
            ModelError: the file is damaged, or contains another network than the config describes.
        """
        return self._models()[1]

    def load_saved_model(self) -> keras.Model:
        """The network as it was saved: with its ranges, if it was made ready for int8.

        Raises:
            ModelError: as ``load_model``.
        """
        return self._models()[0]

    @property
    def _model_file(self) -> Path:
        return self.path / "model.keras"

    def _models(self) -> tuple[keras.Model, keras.Model]:
        """The network as saved, and the plain network."""
        try:
            saved = keras.models.load_model(self._model_file, compile=False)
            plain = build(self.config.model)
            if extra := convolutions(saved).keys() - convolutions(plain).keys():
                raise ValueError(f"{', '.join(sorted(extra))} beside them")
            copy_convolutions(saved, plain)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{self._model_file} must hold the network that its config.toml describes. Received: {error}. "
                "Remedy: train the run again."
            ) from error
        return saved, plain


def read_run(path: Path | str) -> TrainedRun:
    """Read the finished run in the folder ``path``.

    Raises:
        UsageError: it is not a run directory, or its config cannot be read.
    """
    run = TrainedRun(Path(path))
    if not (run.path / "config.toml").is_file() or not (run.path / "model.keras").is_file():
        raise UsageError(
            f"A run directory must contain config.toml and model.keras. Received: {path}. "
            "Remedy: give the folder that 'quietcam train' wrote; 'quietcam compare' measures any other network."
        )
    _ = run.config  # read now, so that a damaged config is reported here
    return run

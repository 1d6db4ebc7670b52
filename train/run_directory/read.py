"""What a run directory holds, read back: its config, its network, what was measured of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import tf_keras as keras

from quietcam.errors import ModelError, UsageError
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object
from train.config import RunConfig, load_config
from train.model import build, convolutions, copy_convolutions

__all__ = ["load_model", "load_run", "load_stored", "model_sha256", "read_evaluation"]


def load_run(run: Path) -> RunConfig:
    """The config of a run directory.

    Raises:
        UsageError: ``run`` is no run directory.
    """
    if not (run / "config.toml").is_file() or not (run / "model.keras").is_file():
        raise UsageError(
            f"A run directory holds config.toml and model.keras. Received: {run}. "
            "Remedy: give the folder that 'quietcam train' wrote; 'quietcam compare' measures any other network."
        )
    return load_config(str(run / "config.toml"))


def load_stored(run: Path) -> keras.Model:
    """The model of a run as its file holds it: with its ranges in it where it was made ready for int8.

    Raises:
        UsageError: ``run`` is no run directory.
        ModelError: its file is damaged, or holds another network than its config describes.
    """
    return _checked(run)[0]


def load_model(run: Path) -> keras.Model:
    """The plain model of a run, built from its config with the weights of its file.

    Raises:
        UsageError: ``run`` is no run directory.
        ModelError: its file is damaged, or holds another network than its config describes.
    """
    return _checked(run)[1]


def _checked(run: Path) -> tuple[keras.Model, keras.Model]:
    config = load_run(run)
    try:
        stored = keras.models.load_model(run / "model.keras", compile=False)
        model = build(config.model)
        if extra := convolutions(stored).keys() - convolutions(model).keys():
            raise ValueError(f"{', '.join(sorted(extra))} beside them")
        copy_convolutions(stored, model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{run / 'model.keras'} must hold the network that its config.toml describes. Received: {error}. "
            "Remedy: train the run again."
        ) from error
    return stored, model


def model_sha256(run: Path) -> str:
    """Of a run's ``model.keras``."""
    return hashlib.sha256((run / "model.keras").read_bytes()).hexdigest()


def read_evaluation(run: Path) -> dict[str, Any]:
    """What ``train`` or ``prune`` wrote about the run.

    Raises:
        UsageError: it did not, or something else did.
    """
    path = run / "evaluation.json"
    try:
        content = read_object(path, MOST_OF_A_LIST)
        if not isinstance(content["data"], dict):
            raise TypeError("no data")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"A run tells what it was trained on in evaluation.json. Received: {path}: {error}. "
            "Remedy: give the folder that 'quietcam train' wrote, whole."
        ) from error
    return content

"""The recipe: one text with everything that affects a step of training. A run is resumed only with the same recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quietcam.files.strict_json import dump_json
from train.config import RunConfig
from train.patches.sets import TrainingData

__all__ = ["recipe_of"]

_FREE = ("steps", "minutes", "xla")
"""Settings that may change when a run is resumed: its length, and what compiles it."""


def recipe_of(section: str, config: RunConfig, data: TrainingData, precision: str, more: Mapping[str, Any]) -> str:
    """The recipe as JSON: the network, the settings of training and of ``section``, the data, and ``more``."""
    sections = {
        name: {key: value for key, value in values.items() if key not in _FREE}
        for name, values in config.to_dict().items()
        if name in {"model", "training", "video", "noise", section}
    }
    return dump_json(sections | {"precision": precision, "data": data.origin["sha256"], **more}, sort_keys=True)

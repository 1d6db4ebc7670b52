"""Model files of every kind: the device's small ones and, where TensorFlow is installed, those that conversion made."""

from __future__ import annotations

import importlib.util

from tests.edge.conftest import models

__all__ = ["models"]

if importlib.util.find_spec("tensorflow") is not None:
    from tests.convert.conftest import conversions, loaded, model_files, qat_file, representative, run_folder

    __all__ += ["conversions", "loaded", "model_files", "qat_file", "representative", "run_folder"]

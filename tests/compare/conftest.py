"""The models and pairs that conversion's tests are made on."""

from tests.convert.conftest import conversions, loaded, model_files, pair_folder, qat_file, representative, run_folder

__all__ = ["conversions", "loaded", "model_files", "pair_folder", "qat_file", "representative", "run_folder"]

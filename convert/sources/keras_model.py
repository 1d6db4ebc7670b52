"""Loads a Keras network for conversion: a run directory, a Keras file (plain, pruned or QAT), or a SavedModel."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.sources.ends import find_ends
from convert.sources.float_twin import FAKE_QUANT, QAT_LAYERS
from convert.sources.foreign import SavedNetwork, as_float32, is_saved_model, load_keras_3
from convert.sources.loaded_model import LoadedModel
from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import EVALUATION, read_evaluation
from quietcam.files.strict_json import parse_object
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.tensorflow_errors import explain

__all__ = ["load_keras"]

_MOST_BYTES, _MOST_CONFIG = 4 << 30, 64 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError)
_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_LEGACY = (".h5", ".hdf5")
_CODE = ('"__lambda__"', '_type": "lambda"')  # how .keras and .h5 files store a Python function
_PRUNING_LAYER = "PruneLowMagnitude"


def load_keras(path: Path) -> LoadedModel:
    """Load a run directory, a ``.keras`` or ``.h5`` file of either Keras, or a SavedModel folder.

    Wrappers of pruning are stripped. Ranges of QAT are found as tfmot's wrappers, or as TensorFlow's fake-quantization
    functions in a plain functional model, which is the form that every file format keeps. Layers that compute in 16
    bits are changed to float32.

    Raises:
        UsageError: ``path`` does not exist, or the folder is not a run directory.
        ModelError: the file is damaged, is not a Keras model, or its input and output break the contract.
    """
    path = Path(path)
    if path.is_dir() and not (path / "model.keras").is_file() and is_saved_model(path):
        network = _guarded(path, lambda: SavedNetwork(path))
        if network.has_fake_quantization:
            raise _refused(
                path,
                "a SavedModel with fake quantization, from which the float network cannot be recovered",
                "give the .keras or .h5 file of the same network",
            )
        ends = _ends(network, path)
        return LoadedModel(path, network, carries_ranges=False, architecture=None, library="tensorflow", **ends)
    run = path if path.is_dir() else None
    file = path / "model.keras" if run else path
    if not file.is_file():
        what = "a folder without model.keras or saved_model.pb" if run else "which does not exist"
        raise UsageError(
            f"Conversion takes a run directory, a .keras or .h5 file, or a SavedModel folder. Received: {path}, "
            f"{what}. Remedy: give the folder that `quietcam train` or `quietcam prune` wrote, or a Keras model."
        )
    config, is_new = _config(file)
    if any(word in config for word in _CODE):  # tf_keras would run the code in an .h5 file
        raise _refused(file, "a Lambda layer with Python code, which is not run", _remedy(config))
    model = _load_3(file, config) if is_new else _load(file, config)
    return LoadedModel(
        path=file,
        model=model,
        carries_ranges=not is_new and any(word in config for word in (*QAT_LAYERS, FAKE_QUANT)),
        library="keras" if is_new else "tf_keras",
        **_ends(model, file),
        **_about(file.parent if file.name == "model.keras" else None),
    )


def _config(file: Path) -> tuple[str, bool]:
    """The network's description as JSON text, and whether Keras 3 wrote it. Refuses an incomplete file."""
    damaged = "copy the file again, or train the run again"
    try:
        if file.suffix in _LEGACY:
            return _legacy_config(file)
        with zipfile.ZipFile(file) as archive:
            missing = [name for name in _MEMBERS if name not in archive.namelist()]
            if missing:
                raise _refused(file, f"a zip without {', '.join(missing)}")
            if sum(each.file_size for each in archive.infolist()) > _MOST_BYTES:
                raise _refused(file, f"a zip that unpacks to more than {_MOST_BYTES >> 30} GiB")
            if archive.getinfo("config.json").file_size > _MOST_CONFIG:
                raise _refused(file, f"a config.json of more than {_MOST_CONFIG >> 20} MiB")
            if (broken := archive.testzip()) is not None:
                raise _refused(file, f"a damaged {broken}", damaged)
            config = archive.read("config.json").decode()
            keras_version = str(parse_object(archive.read("metadata.json")).get("keras_version", ""))
    except ModelError:
        raise
    except (*_DAMAGED, ValueError, AttributeError) as error:
        raise _refused(file, f"{error}", damaged) from error
    return config, _is_new(file, keras_version)


def _is_new(file: Path, keras_version: str) -> bool:
    if not keras_version.startswith(("2.", "3.")):
        raise _refused(file, f"a file of Keras, version {keras_version or 'unknown'}", "save it with Keras 2 or 3")
    return keras_version.startswith("3.")


def _legacy_config(file: Path) -> tuple[str, bool]:
    import h5py

    with h5py.File(file) as stored:
        if "model_config" not in stored.attrs:
            raise _refused(
                file,
                "only weights, without the network",
                "build the network, load these weights into it, and save the whole model: model.save('NAME.keras')",
            )
        written = stored.attrs.get("keras_version", "2.")
        return str(stored.attrs["model_config"]), _is_new(
            file, written.decode() if isinstance(written, bytes) else str(written)
        )


def _guarded(file: Path, load: Callable[[], Any], remedy: str = "use only layers of Keras") -> Any:
    """Call ``load`` with its output hidden; any error of Keras or TensorFlow becomes one line."""
    try:
        with native_output_caught(show=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    except ModuleNotFoundError:
        raise
    except Exception as error:  # a foreign file can cause an error of any class
        raise _refused(file, explain(error), remedy) from error


def _load_3(file: Path, config: str) -> Any:
    return _guarded(file, lambda: as_float32(load_keras_3(file)), _remedy(config))


def _remedy(config: str) -> str:
    if '"Lambda"' in config:
        return "replace Lambda by Keras layers, or save a SavedModel"
    return "use only layers of Keras, or save a SavedModel: model.export('NAME')"


def _load(file: Path, config: str) -> Any:
    is_wrapped = any(f'"{name}' in config for name in QAT_LAYERS)
    is_pruned = f'"{_PRUNING_LAYER}"' in config

    def load() -> Any:
        with contextlib.ExitStack() as stack:
            import tf_keras as keras

            if is_wrapped or is_pruned:
                import tensorflow_model_optimization as tfmot

                stack.enter_context(tfmot.quantization.keras.quantize_scope())
                stack.enter_context(tfmot.sparsity.keras.prune_scope())
            model = keras.models.load_model(file, compile=False)
            return as_float32(tfmot.sparsity.keras.strip_pruning(model) if is_pruned else model)

    if is_wrapped and file.suffix not in _LEGACY:
        try:
            return _guarded(file, load)
        except ModelError as error:
            raise _refused(
                file,
                "convolutions wrapped by tfmot, which cannot be restored from a .keras file",
                "save it as .h5, or replace the wrappers by tf.quantization.fake_quant_with_min_max_args",
            ) from error
    return _guarded(file, load, _remedy(config))


def _ends(model: Any, file: Path) -> dict[str, Any]:
    """What the network's ends hold, and their channels."""
    inputs, outputs = find_ends(model, lambda received, remedy: _refused(file, received, remedy))
    return {"channels": int(model.inputs[0].shape[3]), "inputs": inputs, "outputs": outputs}


def _about(run: Path | None) -> dict[str, Any]:
    """The facts that a run directory records about its model."""
    if run is None or not (run / EVALUATION).is_file():
        return {"architecture": None}
    evaluation = read_evaluation(run)
    done = evaluation.treatments.brief()
    data = dict(evaluation.data) | ({"treatments": done} if done else {})
    return {
        "architecture": evaluation.architecture,
        "evaluation": {"data": data, "validation": evaluation.validation.to_dict()},
    }


def _refused(file: Path, received: str, remedy: str = "give a file that Keras wrote") -> ModelError:
    return ModelError(
        f"A model to convert must be a whole network that Keras saved. Received: {file}: {received}. Remedy: {remedy}."
    )

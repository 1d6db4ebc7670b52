"""Loads what is to be converted: a run directory, or a file that tf_keras wrote, plain, pruned or QAT."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convert.twins import Origin, weights_sha256
from quietcam.architecture import Architecture
from quietcam.chatter import chatter_caught
from quietcam.errors import ModelError, UsageError

# Before TensorFlow is imported: its chatter helps nobody, and tfmot must find tf_keras, not Keras 3.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__all__ = ["LoadedModel", "float_twin", "load_keras"]

_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError)
_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
_LEGACY = (".h5", ".hdf5")
_QAT_LAYERS = ("QuantizeWrapper", "QuantizeLayer")  # tfmot's, and what they begin with
_FAKE_QUANT = "fake_quant_with_min_max"  # TensorFlow's own functions, as layers of a functional model
_PRUNING_LAYER = "PruneLowMagnitude"


@dataclass(frozen=True)
class LoadedModel:
    """A Keras model and what is known of it.

    Attributes:
        model: functional tf_keras model, one input and one output, float32 ``(batch, H, W, C)`` in [0, 1].
        channels: 3 or 1, on both ends.
        carries_ranges: QAT left fake-quantization in it, so int8 needs no representative set.
        architecture: of a run directory; else None.
        evaluation: what training wrote about the run; empty without one.
    """

    path: Path
    model: Any
    channels: int
    carries_ranges: bool
    architecture: Architecture | None
    evaluation: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What models made of it are called by default."""
        return self.path.parent.name if self.path.name == "model.keras" else self.path.stem

    @cached_property
    def origin(self) -> Origin:
        """What the model tells of its weights and its run."""
        training, metrics = self.trained_on
        architecture = self.architecture.to_dict() if self.architecture else None
        return Origin(weights_sha256(self.model.get_weights()), architecture, training, metrics)

    @property
    def trained_on(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A manifest's training and metrics, from what training wrote; empty without it."""
        origin = dict(self.evaluation.get("data") or {})
        validation = dict(self.evaluation.get("validation") or {})
        if validation:
            network = "network with fake quantization" if self.carries_ranges else "float network"
            validation["measured"] = f"{network} on validation crops, before conversion"
        return origin, validation

    @property
    def tools(self) -> dict[str, str]:
        """Versions of what converts it."""
        packages = ["quietcam", "tensorflow", "tf_keras"]
        packages += ["tensorflow-model-optimization"] if self.carries_ranges else []
        return {name: version(name) for name in packages}


def load_keras(path: Path) -> LoadedModel:
    """Load a run directory, a ``.keras`` file, or an ``.h5`` file as tfmot's QAT needs it.

    Wrappers of pruning are stripped. Ranges of QAT are found as tfmot's wrappers, or as TensorFlow's fake-quantization
    functions in a plain functional model, which is the form that every file format keeps.

    Raises:
        UsageError: there is nothing at ``path``, or no run directory.
        ModelError: the file is damaged, not tf_keras's, or its ends do not keep the contract.
    """
    path = Path(path)
    run = path if path.is_dir() else None
    file = path / "model.keras" if run else path
    if not file.is_file():
        what = "a folder without model.keras" if run else "which is not there"
        raise UsageError(
            f"What is converted is a run directory or a .keras file. Received: {path}, {what}. "
            "Remedy: give the folder that `quietcam train` or `quietcam prune` wrote."
        )
    config = _config(file)
    model = _load(file, config)
    return LoadedModel(
        path=file,
        model=model,
        channels=_channels(model, file),
        carries_ranges=any(word in config for word in (*_QAT_LAYERS, _FAKE_QUANT)),
        **_about(file.parent if file.name == "model.keras" else None),
    )


def float_twin(loaded: LoadedModel) -> LoadedModel:
    """The same weights without fake quantization; what was held to [0, 1] at the end is clipped to it.

    Raises:
        UsageError: the ranges are in tfmot's wrappers, not in fake-quantization functions.
    """
    if not loaded.carries_ranges:
        return loaded
    layers = _flat(loaded.model)
    if any(type(layer).__name__.startswith(_QAT_LAYERS) for layer in layers):
        raise UsageError(
            "A float twin is made of a network whose ranges are fake-quantization functions. Received: "
            f"{loaded.path}, with tfmot's wrappers. Remedy: convert the run that QAT started from, or choose int8."
        )
    with chatter_caught():
        import tf_keras as keras

        class Unbounded(keras.layers.Layer):  # type: ignore[misc]  # tf_keras ships no types
            """Takes what fake quantization takes, and gives its input."""

            def call(self, x: Any, *_: Any, **__: Any) -> Any:
                return x

        class Clipped(Unbounded):
            def call(self, x: Any, *_: Any, **__: Any) -> Any:
                return keras.backend.relu(x, max_value=1.0)

        rounding = [layer for layer in layers if _FAKE_QUANT in str(layer.get_config().get("function", ""))]

        def clone(layer: Any) -> Any:
            if isinstance(layer, keras.Model):
                return keras.models.clone_model(layer, clone_function=clone)
            if layer not in rounding:
                return layer.__class__.from_config(layer.get_config())
            is_end = layer is rounding[-1] and len(rounding) > 1 and _holds_pixels(layer)
            return (Clipped if is_end else Unbounded)(name=layer.name)

        twin = keras.models.clone_model(loaded.model, clone_function=clone)
        twin.set_weights(loaded.model.get_weights())
    return replace(loaded, model=twin, carries_ranges=False)


def _flat(model: Any) -> list[Any]:
    """The layers of a functional model in the order of its graph, those of models in it in their place."""
    return [inner for layer in model.layers for inner in (_flat(layer) if hasattr(layer, "layers") else [layer])]


def _holds_pixels(layer: Any) -> bool:
    """Whether this fake quantization's ends are 0 and 1."""
    words = layer.inbound_nodes[-1].call_kwargs, layer.inbound_nodes[-1].call_args[1:]
    ends = [words[0].get(key, words[1][at] if at < len(words[1]) else None) for at, key in enumerate(("min", "max"))]
    return all(end is not None and np.allclose(end, value) for end, value in zip(ends, (0.0, 1.0), strict=True))


def _config(file: Path) -> str:
    """The network's description as JSON text. Checks on the way that the file is whole and tf_keras's."""
    damaged = "copy the file again, or train the run again"
    try:
        if file.suffix in _LEGACY:
            return _legacy_config(file)
        with zipfile.ZipFile(file) as archive:
            missing = [name for name in _MEMBERS if name not in archive.namelist()]
            if missing:
                raise _refused(file, f"a zip without {', '.join(missing)}")
            if (broken := archive.testzip()) is not None:
                raise _refused(file, f"a damaged {broken}", damaged)
            config = archive.read("config.json").decode()
            keras_version = str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except ModelError:
        raise
    except (*_DAMAGED, ValueError, AttributeError) as error:
        raise _refused(file, f"{error}", damaged) from error
    if not keras_version.startswith("2."):
        remedy = "build and save the model with tf_keras (`import tf_keras as keras`)"
        raise _refused(file, f"a file of Keras {keras_version}", remedy)
    return config


def _legacy_config(file: Path) -> str:
    import h5py

    with h5py.File(file) as stored:
        if "model_config" not in stored.attrs:
            raise _refused(file, "an .h5 file without a network (weights alone?)")
        return str(stored.attrs["model_config"])


def _load(file: Path, config: str) -> Any:
    is_wrapped = any(f'"{name}' in config for name in _QAT_LAYERS)
    is_pruned = f'"{_PRUNING_LAYER}"' in config
    try:
        with chatter_caught(), warnings.catch_warnings(), contextlib.ExitStack() as stack:
            warnings.simplefilter("ignore")
            import tf_keras as keras

            if is_wrapped or is_pruned:
                import tensorflow_model_optimization as tfmot

                stack.enter_context(tfmot.quantization.keras.quantize_scope())
                stack.enter_context(tfmot.sparsity.keras.prune_scope())
            model = keras.models.load_model(file, compile=False)
            if is_pruned:
                model = tfmot.sparsity.keras.strip_pruning(model)
            return model
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever a foreign config makes tf_keras stumble over
        received, remedy = f"{type(error).__name__}: {_first_line(error)}", "use layers of tf_keras alone"
        if is_wrapped and file.suffix not in _LEGACY:
            received = f"convolutions wrapped by tfmot, which come back from no .keras file ({received})"
            remedy = "save it as .h5, or put tf.quantization.fake_quant_with_min_max_args in the wrappers' place"
        raise _refused(file, received, remedy) from error


def _channels(model: Any, file: Path) -> int:
    ends = [*(getattr(model, "inputs", None) or []), *(getattr(model, "outputs", None) or [])]
    shapes = [tuple(each.shape) for each in ends]
    fits = len(shapes) == 2 and all(len(shape) == 4 for shape in shapes)
    if not fits or shapes[0][3] not in (1, 3) or shapes[1][3] not in (shapes[0][3], None):
        raise _refused(
            file,
            f"inputs and outputs of shapes {', '.join(map(str, shapes)) or 'unknown'}",
            "give it one input and one output of shape (batch, height, width, channels), 3 or 1 channels on both",
        )
    return int(shapes[0][3])


def _about(run: Path | None) -> dict[str, Any]:
    """What a run directory says of its model."""
    if run is None or not (run / "evaluation.json").is_file():
        return {"architecture": None}
    try:
        evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
        architecture = Architecture.from_dict(evaluation["architecture"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"A run directory's evaluation.json must be what training wrote. Received: {run / 'evaluation.json'}: "
            f"{_first_line(error)}. Remedy: train the run again, or give its model.keras from another folder."
        ) from error
    return {"architecture": architecture, "evaluation": evaluation}


def _refused(file: Path, received: str, remedy: str = "give a file that tf_keras wrote") -> ModelError:
    return ModelError(
        f"A model to convert is a whole .keras file that tf_keras wrote. Received: {file}: {received}. "
        f"Remedy: {remedy}."
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else type(error).__name__

"""The loaded input of a conversion: a Keras model, or finished model files that replace one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convert.resize import check_stride
from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from quietcam.tflite.manifest import Manifest
from quietcam.tflite.twins import Origin, weights_sha256

__all__ = ["FinishedModel", "LoadedModel"]

# Set before TensorFlow is imported: to hide its log, and so that tfmot finds tf_keras, not Keras 3.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


@dataclass(frozen=True)
class FinishedModel:
    """A finished model file: its content without manifest, and the manifest."""

    path: Path
    content: bytes
    manifest: Manifest


@dataclass(frozen=True)
class LoadedModel:
    """A Keras model and what is known about it; or finished files that replace one.

    Attributes:
        model: every input and output is float32 ``(batch, H, W, C)`` in [0, 1]: a functional model of tf_keras, or a
            model of Keras 3, or a ``convert.sources.foreign.SavedNetwork``; None if finished files replace it.
        channels: 3 or 1, on all ends.
        carries_ranges: it has fake quantization from QAT, so int8 needs no representative set.
        architecture: architecture of a run directory; None without a run directory.
        evaluation: what training recorded about the run; empty without a run directory.
        library: the package that loaded it.
        finished: finished files of the network by recipe, beginning with the file that was named; empty for a Keras
        model.
        inputs: what the model's inputs hold, in its order: ``noisy``, and ``history`` for a video network.
        outputs: what its outputs hold, in its order: ``denoised``, and maybe ``history``.
        body: the finished int8 file of the still network that a video network's body is; None if int8 is made anew.
    """

    path: Path
    model: Any
    channels: int
    carries_ranges: bool
    architecture: Architecture | None
    evaluation: dict[str, Any] = field(default_factory=dict)
    library: str = "tf_keras"
    finished: Mapping[str, FinishedModel] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("noisy",)
    outputs: tuple[str, ...] = ("denoised",)
    body: FinishedModel | None = None

    @property
    def remembers(self) -> bool:
        """True for a video network, which takes a history beside the noisy frame."""
        return "history" in self.inputs

    @property
    def fixed(self) -> tuple[int | None, int | None]:
        """Width and height that the model was built for; None for each that may be any."""
        if self.model is None:
            return None, None
        _, height, width, _ = self.model.inputs[0].shape
        return width, height

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """``(width, height)``, where the size that the model was built for takes precedence."""
        return self.fixed[0] or width, self.fixed[1] or height

    def check_size(self, width: int, height: int) -> None:
        """Check that the model accepts frames of this size.

        Raises:
            UsageError: the model was built for another size, or its total stride does not divide this one.
        """
        if self.fit(width, height) != (width, height):
            own = "x".join(str(each or "any") for each in self.fixed)
            wanted = "x".join(map(str, self.fit(width, height)))
            raise UsageError(
                f"A model with a fixed input size is converted at that size. Received: {self.path}, built for {own}, "
                f"and a size of {width}x{height}. Remedy: `size={wanted}`, or build it with "
                f"Input((None, None, {self.channels}))."
            )
        check_stride(self.architecture.stride if self.architecture else 1, width, height)

    @property
    def name(self) -> str:
        """The default name of models that are made from it."""
        if self.finished:
            return next(iter(self.finished.values())).manifest.name
        return self.path.parent.name if self.path.name == "model.keras" else self.path.stem

    @cached_property
    def origin(self) -> Origin:
        """The origin of the model's weights and its run."""
        if self.finished:
            return Origin.of_manifest(next(iter(self.finished.values())).manifest)
        training, metrics = self.trained_on
        architecture = self.architecture.to_dict() if self.architecture else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy 2 warns about the way Keras 3 reads its variables
            weights = self.model.get_weights()
        return Origin(weights_sha256(weights), architecture, training, metrics)

    @property
    def trained_on(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A manifest's training and metrics, from what training recorded; empty without a record."""
        origin = dict(self.evaluation.get("data") or {})
        validation = dict(self.evaluation.get("validation") or {})
        if validation:
            network = "network with fake quantization" if self.carries_ranges else "float network"
            validation.setdefault("measured", f"{network} on validation crops, before conversion")
        return origin, validation

    @property
    def tools(self) -> dict[str, str]:
        """Versions of the packages that convert it."""
        packages = list(dict.fromkeys(["quietcam", "tensorflow"] + [self.library] * (not self.finished)))
        packages += ["tensorflow-model-optimization"] if self.carries_ranges else []
        return {name: version(name) for name in packages}

    def network(self) -> Callable[..., dict[str, Any]]:
        """The network as a function that TensorFlow runs.

        It takes ``noisy``, and ``history`` if the network remembers, and returns its outputs by what they hold.
        """
        if self.finished:
            from convert.sources.replay import replay

            float32 = self.finished["float32"]
            return replay(float32.content, str(float32.path))
        model = self.model
        if not self.remembers:
            return lambda noisy: {"denoised": model(noisy, training=False)}

        def run(noisy: Any, history: Any) -> dict[str, Any]:
            import tensorflow as tf

            by_name = {"noisy": noisy, "history": history}
            # Keras 3 refuses a list where the network was built with a dictionary.
            given = by_name if isinstance(getattr(model, "input", None), dict) else [by_name[n] for n in self.inputs]
            made = tf.nest.flatten(model(given, training=False))
            return dict(zip(self.outputs, made, strict=True))

        return run

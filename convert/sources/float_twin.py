"""Makes the float twin of a network that was trained with fake quantization: the same weights, no rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convert.sources.loaded_model import LoadedModel
from quietcam.errors import UsageError
from quietcam.process.native_output import native_output_caught

__all__ = ["FAKE_QUANT", "QAT_LAYERS", "float_twin"]

QAT_LAYERS = ("QuantizeWrapper", "QuantizeLayer")
"""Prefixes of the names of tfmot's wrappers."""

FAKE_QUANT = "fake_quant_with_min_max"
"""Prefixes of the names of TensorFlow's fake-quantization functions, which are layers of a functional model."""


def float_twin(loaded: LoadedModel) -> LoadedModel:
    """The same weights without fake quantization; what was bounded to [0, 1] is clipped to it.

    Raises:
        UsageError: the ranges are in tfmot's wrappers, not in fake-quantization functions.
    """
    if not loaded.carries_ranges:
        return loaded
    layers = _flat(loaded.model)
    if any(type(layer).__name__.startswith(QAT_LAYERS) for layer in layers):
        raise UsageError(
            "A float twin can be made only from a network whose ranges are fake-quantization functions. Received: "
            f"{loaded.path}, with tfmot's wrappers. Remedy: convert the run that QAT started from, or choose int8."
        )
    with native_output_caught():
        import tf_keras as keras

        class Unbounded(keras.layers.Layer):  # type: ignore[misc]  # tf_keras has no type hints
            """Takes the arguments of fake quantization, and returns its input."""

            def call(self, x: Any, *_: Any, **__: Any) -> Any:
                return x

        class Clipped(Unbounded):
            def call(self, x: Any, *_: Any, **__: Any) -> Any:
                return keras.backend.relu(x, max_value=1.0)

        rounding = [layer for layer in layers if FAKE_QUANT in str(layer.get_config().get("function", ""))]

        def clone(layer: Any) -> Any:
            if isinstance(layer, keras.Model):
                return keras.models.clone_model(layer, clone_function=clone)
            if layer not in rounding:
                return layer.__class__.from_config(layer.get_config())
            # The end, and the share of a video network, which comes from a convolution.
            is_share = loaded.remembers and isinstance(_source(layer), keras.layers.Conv2D)
            is_end = (is_share or layer is rounding[-1]) and len(rounding) > 1 and _holds_pixels(layer)
            return (Clipped if is_end else Unbounded)(name=layer.name)

        twin = keras.models.clone_model(loaded.model, clone_function=clone)
        twin.set_weights(loaded.model.get_weights())
    return replace(loaded, model=twin, carries_ranges=False)


def _source(layer: Any) -> Any:
    """The layer whose output ``layer`` reads."""
    return layer.inbound_nodes[-1].parent_nodes[0].layer


def _flat(model: Any) -> list[Any]:
    """The layers of a functional model in graph order; nested models are replaced by their layers."""
    return [inner for layer in model.layers for inner in (_flat(layer) if hasattr(layer, "layers") else [layer])]


def _holds_pixels(layer: Any) -> bool:
    """True if this fake quantization has the range [0, 1]."""
    words = layer.inbound_nodes[-1].call_kwargs, layer.inbound_nodes[-1].call_args[1:]
    ends = [words[0].get(key, words[1][at] if at < len(words[1]) else None) for at, key in enumerate(("min", "max"))]
    return all(end is not None and np.allclose(end, value) for end, value in zip(ends, (0.0, 1.0), strict=True))

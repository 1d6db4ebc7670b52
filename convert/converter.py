"""Converts a Keras model to a TFLite model of one size, reads it back and checks it against the contract."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.contract import check_contract
from convert.quantize.body import find_body
from convert.quantize.loss import Loss
from convert.quantize.scheme import Prepared, Scheme
from convert.quantize.soundness import Fault
from convert.recipes import MIXED, Recipe
from convert.resize import resize
from convert.sources.converted import float_content, run_converter
from convert.sources.finished import describe_resized, inherited
from convert.sources.float_twin import float_twin
from convert.sources.loaded_model import FinishedModel, LoadedModel
from quietcam.errors import UsageError
from quietcam.representative.set import RepresentativeSet
from quietcam.tflite.graph import Graph, Tensor, read_graph
from quietcam.tflite.manifest import Manifest, Quant, model_sha256
from quietcam.tflite.receptive_field import receptive_field
from quietcam.tflite.surgery import cut_tail, remove_clips, replace_depth_to_space

__all__ = ["Conversion", "check_ranges", "convert_model", "describe", "prepare"]


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        content: the ``.tflite`` without manifest.
        graph: the graph that was read back from it.
        whole: the graph before it was changed for the Edge TPU; for other targets, ``graph`` itself.
        removed: kinds of the operators that were removed because they change nothing.
        block: block side of the depth-to-space that is left to the host; 0 if the graph outputs the picture.
        scheme: how int8 was made from ranges; None for other recipes, and if QAT supplied the ranges.
        finished: the finished file of another size that it was made from; None if it was newly converted.
    """

    content: bytes
    graph: Graph
    whole: Graph
    recipe: Recipe
    width: int
    height: int
    removed: tuple[str, ...] = ()
    block: int = 0
    scheme: Scheme | None = None
    finished: FinishedModel | None = None

    @property
    def recipe_name(self) -> str:
        """The recipe's name, or another name if layers were left in float: such a model is not int8."""
        return MIXED if self.scheme and self.scheme.excluded else self.recipe.name


def prepare(loaded: LoadedModel, representative: RepresentativeSet) -> Prepared:
    """Measure the float network on the representative set, once for any number of int8 conversions."""
    height, width = Prepared.patch_size(representative)
    width, height = loaded.fit(width, height)
    content = float_content(loaded, width, height)
    if loaded.body is not None:
        body = find_body(content, loaded.body.content, str(loaded.body.path))
        return Prepared(content, representative, (height, width), body=body)
    kept = loaded.finished.get("int8")
    return Prepared(content, representative, (height, width), kept.content if kept else None)


def convert_model(
    loaded: LoadedModel,
    recipe: Recipe,
    *,
    width: int,
    height: int,
    representative: RepresentativeSet | None = None,
    prepared: Prepared | None = None,
    scheme: Scheme = Scheme(),
    is_coral: bool = False,
) -> Conversion:
    """Convert for frames of one size, batch 1. The same inputs give the same bytes.

    Args:
        representative: the set that ranges are measured on, if ranges are needed.
        prepared: the result of ``prepare`` for the model and the set; avoids measuring again for each size.
        scheme: how int8 is made from ranges.
        is_coral: make a graph for the Edge TPU. The picture ends before depth-to-space, and a depth-to-space elsewhere,
            as in a video network, is written with operators that the chip has.

    Raises:
        UsageError: the size is not a multiple of the network's stride, ranges are needed and nothing supplies them, or
            a float recipe is requested for a network in tfmot's wrappers.
        ModelError: the converter refuses the model, or the result breaks the contract.
    """
    loaded.check_size(width, height)
    check_ranges(loaded, recipe, representative)
    takes_stored = representative is None or not recipe.needs_ranges or scheme.kept
    stored = loaded.finished.get(recipe.name) if takes_stored else None
    uses_scheme = recipe.is_full_int8 and not loaded.carries_ranges and stored is None
    if not recipe.needs_ranges:
        loaded = float_twin(loaded)
    if stored is not None:
        content = resize(stored.content, width, height, str(stored.path))
    elif uses_scheme and representative is not None:
        measured = prepared or prepare(loaded, representative)
        size = width, height
        if size not in measured.floats:
            measured.floats[size] = float_content(loaded, width, height)
        content = measured.quantize(measured.floats[size], scheme)
    else:
        content = run_converter(loaded, recipe, width, height, representative)
    removed: list[str] = []
    block = 0
    if recipe.is_full_int8:
        content, removed = remove_clips(content)
    whole = read_graph(content, str(loaded.path))
    if is_coral:
        content, block = cut_tail(content)
        content = replace_depth_to_space(content)
    graph = read_graph(content, str(loaded.path)) if is_coral else whole
    used = scheme if uses_scheme else None
    check_contract(graph, recipe, (1, height, width, loaded.channels), block, used is not None and bool(used.excluded))
    return Conversion(content, graph, whole, recipe, width, height, tuple(removed), block, used, stored)


def describe(
    conversion: Conversion,
    loaded: LoadedModel,
    name: str,
    representative: RepresentativeSet | None,
    loss: Loss | None = None,
    fault: Fault | None = None,
) -> Manifest:
    """The manifest of a conversion: what the model is, and what made it.

    Args:
        loss: what int8 loses to the float network.
        fault: what is wrong with the float network.
    """
    graph, architecture = conversion.graph, loaded.architecture
    if conversion.finished is not None:
        stored, size = conversion.finished, (conversion.width, conversion.height)
        manifest = describe_resized(stored, graph, conversion.content, name, size, conversion.block)
        return replace(manifest, **_names(graph))
    training, metrics = loaded.trained_on
    if conversion.recipe.needs_ranges:
        source = "fake quantization (QAT)" if loaded.carries_ranges else "representative set"
        training["ranges"] = {"from": source}
        if representative is not None and not loaded.carries_ranges:
            training["ranges"] |= {"patches": len(representative), "sha256": representative.digest}
        if conversion.scheme is not None and loss is not None:
            metrics["int8"] = loss.to_dict()
        if conversion.scheme is not None:
            training["ranges"]["scheme"] = str(conversion.scheme)
            if loaded.body is not None:
                training["ranges"]["body"] = {"model": loaded.body.path.stem, "sha256": loaded.body.manifest.sha256}
    if fault is not None:
        metrics["findings"] = [str(fault)]
    manifest = Manifest(
        name=name,
        recipe=conversion.recipe_name,
        width=conversion.width,
        height=conversion.height,
        channels=loaded.channels,
        sha256=model_sha256(conversion.content),
        gmacs=round(graph.gmacs, 6),
        gmacs_256=round(graph.gmacs_256, 6),
        stride=graph.stride,
        input=_quant(graph.noisy),
        output=_quant(graph.denoised),
        sparsity=round(graph.sparsity, 4),
        training=training,
        metrics=metrics,
        tools=loaded.tools,
        receptive_field=receptive_field(conversion.whole),
        tail="depth_to_space" if conversion.block else None,
        block=conversion.block or None,
        weights_sha256=loaded.origin.weights,
        **_names(graph),
        **inherited(loaded.finished.get("float32")),
    )
    if architecture is None:
        return manifest
    return replace(
        manifest,
        architecture=architecture.to_dict(),
        receptive_field=architecture.receptive_field,
        stride=architecture.stride,
    )


def _names(graph: Graph) -> dict[str, Any]:
    """A manifest's ``inputs`` and ``outputs``; none for a still network."""
    if graph.history is None:
        return {}
    return {"inputs": ("noisy", "history"), "outputs": ("denoised", "history")[: len(graph.outputs)]}


def check_ranges(loaded: LoadedModel, recipe: Recipe, representative: RepresentativeSet | None) -> None:
    """Refuse a recipe whose ranges nothing supplies, and a model that has ranges for another recipe.

    Raises:
        UsageError: the recipe is refused, or the set and the model have different numbers of channels.
    """
    is_finished = recipe.name in loaded.finished and (representative is None or not recipe.needs_ranges)
    if loaded.finished and not is_finished and "float32" not in loaded.finished:
        raise UsageError(
            f"Recipe {recipe.name}{' with other ranges' * recipe.is_full_int8} is made from the float twin, which "
            f"must be in the same folder as the model. Received: {loaded.path}, without a float twin. Remedy: put it "
            "there, or convert the run."
        )
    if is_finished or not recipe.needs_ranges:
        return
    if loaded.carries_ranges:
        if not recipe.is_full_int8:
            raise UsageError(
                f"Recipe {recipe.name} needs a model without fake quantization, which is for int8 only. Received: "
                f"{loaded.path}, with fake quantization. Remedy: convert the run that QAT started from, or choose "
                f"`recipe=int8`."
            )
        return
    if representative is None:
        raise UsageError(
            f"Recipe {recipe.name} needs noisy pictures to measure its ranges on. Received: no `representative`. "
            "Remedy: quietcam calibrate --data DIR --out representative.npz, then `representative=representative.npz`"
        )
    if loaded.remembers and representative.history is None:
        raise UsageError(
            "The ranges of a video network are measured on samples with their history. Received: "
            f"{loaded.path}, and a representative set without history. Remedy: quietcam calibrate --data CLIPS --model "
            f"{shlex.quote(str(_calibrating(loaded)))} --out representative.npz, then "
            "`representative=representative.npz`"
        )
    if representative.channels != loaded.channels:
        raise UsageError(
            f"The representative set must have the model's {loaded.channels} channels. "
            f"Received: {representative.channels}. Remedy: calibrate on pictures with as many channels as the model."
        )


def _calibrating(loaded: LoadedModel) -> Path | str:
    """The run or the float model file that makes the history of a representative set."""
    if (stored := loaded.finished.get("float32")) is not None:
        return stored.path
    return loaded.path.parent if loaded.path.name == "model.keras" else "FLOAT.tflite"


def _quant(end: Tensor) -> Quant:
    quantized = len(end.scales) == 1
    return Quant(end.dtype, end.scales[0] if quantized else 0.0, end.zero_points[0] if quantized else 0)

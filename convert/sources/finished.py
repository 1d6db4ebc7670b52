"""Loads finished models for conversion: those that ship, and others that `quietcam convert` wrote.

A finished file, float32 or int8, is only resized (``convert.resize``), and int8 keeps its ranges. A new recipe, such
as int8 with ranges from other pictures, starts from the float twin.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convert.quantize.body import rounds_to
from convert.sources.foreign import is_saved_model
from convert.sources.loaded_model import FinishedModel, LoadedModel
from edge.models import resolve_model, shipped_models
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.content import read_content
from quietcam.tflite.graph import Graph, Op, read_graph
from quietcam.tflite.manifest import Manifest, model_sha256, read_manifest, strip_manifest
from quietcam.tflite.outline import end_names, read_outline
from quietcam.tflite.surgery import order_ends

__all__ = ["describe_resized", "find_source", "inherited", "load_finished"]

_TFLITE = ".tflite"
_KEPT = ("float32", "int8")  # recipes whose files can replace a Keras model


def find_source(given: Path) -> Path:
    """Resolve ``given`` to a run directory, a file, or the file of a model that ships.

    Raises:
        UsageError: it is none of these.
    """
    if given.is_file() or (given / "model.keras").is_file() or is_saved_model(given):
        return given
    names = {each.stem.split("_")[0] for each in shipped_models()} | {each.stem for each in shipped_models()}
    if str(given) in names:
        return resolve_model(str(given))
    what = "a folder without model.keras or saved_model.pb" if given.is_dir() else "which does not exist"
    ships = ", ".join(sorted(name for name in names if "_" not in name))
    raise UsageError(
        "Conversion takes a run directory, a .keras or .h5 file, a SavedModel folder, a .tflite file that "
        f"`quietcam convert` wrote, or a model that ships ({ships}). Received: {given}, {what}. "
        "Remedy: give the folder that `quietcam train` or `quietcam prune` wrote, or the name of a model that ships."
    )


def load_finished(path: Path) -> LoadedModel:
    """Load a model file, and its float32 or int8 twin of the same name and weights from the same folder.

    Raises:
        UsageError: the file has no manifest, or is not a whole network.
        ModelError: it is damaged.
    """
    first = _read(path)
    if first is None:
        raise UsageError(
            "A .tflite can be converted again only with its manifest. "
            f"Received: {path}, which has none. Remedy: convert the .keras file that it was made from."
        )
    manifest = first.manifest
    if manifest.tail is not None or read_outline(first.content, str(path)).custom:
        whole = (manifest.made_from or {}).get("model")
        raise UsageError(
            f"Only a whole model can be converted again. Received: {path}, which was made for a Coral. Remedy: convert "
            + (f"{whole}, which it was made from." if whole else "the model that it was made from.")
        )
    if manifest.recipe not in _KEPT:
        raise UsageError(
            f"Only a .tflite of recipe {' or '.join(_KEPT)} can be converted again. Received: {path}, recipe "
            f"{manifest.recipe}. Remedy: give {manifest.name}_{manifest.width}x{manifest.height}_float32.tflite, or "
            "the run."
        )
    graph = read_graph(first.content, str(path))
    training, metrics = dict(manifest.training), dict(manifest.metrics)
    training.pop("ranges", None)
    metrics.pop("int8", None)
    return LoadedModel(
        path=path,
        model=None,
        channels=manifest.channels,
        carries_ranges=False,
        architecture=manifest.network,
        evaluation={"data": training, "validation": metrics},
        finished={manifest.recipe: first} | _twins(first),
        inputs=("noisy", "history") if graph.history else ("noisy",),
        outputs=("denoised", "history") if len(graph.outputs) > 1 else ("denoised",),
    )


def describe_resized(
    stored: FinishedModel, graph: Graph, content: bytes, name: str, size: tuple[int, int], block: int
) -> Manifest:
    """The manifest of ``content``, which is ``stored`` for frames of ``(width, height)``.

    Everything known about ``stored`` applies to ``content`` too: its training data, ranges and quality.
    """
    return replace(
        stored.manifest,
        name=name,
        width=size[0],
        height=size[1],
        sha256=model_sha256(content),
        gmacs=round(graph.gmacs, 6),
        gmacs_256=round(graph.gmacs_256, 6),
        tools={"quietcam": version("quietcam")},
        golden=None,
        tail="depth_to_space" if block else None,
        block=block or None,
        made_from=_made_from(stored),
    )


def inherited(stored: FinishedModel | None) -> dict[str, Any]:
    """Manifest fields that a new model inherits from the finished file that it is made from."""
    return {} if stored is None else {"made_from": _made_from(stored), "gate": stored.manifest.gate}


def _made_from(stored: FinishedModel) -> dict[str, Any]:
    """The file that the network came from; of several files made from each other, the first."""
    manifest = stored.manifest
    return manifest.made_from or {"model": stored.path.stem, "sha256": manifest.sha256, "tools": manifest.tools}


def _read(path: Path) -> FinishedModel | None:
    content = read_content(path)
    manifest = read_manifest(path, content)
    if manifest is None:
        return None
    content = strip_manifest(content)
    outline = read_outline(content, str(path))
    inputs = end_names(manifest.inputs, [each.name for each in outline.inputs], "noisy")
    outputs = end_names(manifest.outputs, [each.name for each in outline.outputs], "denoised")
    if inputs is None or outputs is None:
        raise ModelError(
            "A model's manifest, or the names of its tensors, must tell noisy from history. Received: "
            f"{path}, {len(outline.inputs)} inputs and {len(outline.outputs)} outputs, which are not told apart. "
            "Remedy: convert the .keras file that it was made from."
        )
    return FinishedModel(path, order_ends(content, inputs, outputs) if len(inputs) > 1 else content, manifest)


def _twins(first: FinishedModel) -> dict[str, FinishedModel]:
    """The other recipe of the same network from the same folder: the same size if it exists, or the smallest."""
    found: list[FinishedModel] = []
    for path in sorted(first.path.parent.glob(f"{first.manifest.name}_*{_TFLITE}")):
        try:
            other = _read(path)
        except ModelError:  # a damaged file nearby is not a twin, and the user did not name it
            continue
        if other is not None and other.manifest.recipe in _KEPT and _is_twin(first, other):
            found.append(other)
    size = first.manifest.width, first.manifest.height

    def rank(each: FinishedModel) -> tuple[bool, int]:
        manifest = each.manifest
        return (manifest.width, manifest.height) != size, manifest.width * manifest.height

    return {each.manifest.recipe: each for each in sorted(found, key=rank, reverse=True)}


def _is_twin(one: FinishedModel, other: FinishedModel) -> bool:
    """True if both have the same weights, by their manifests or, without a record there, by the rounded weights."""
    if {one.manifest.recipe, other.manifest.recipe} != set(_KEPT):
        return False
    if one.manifest.weights_sha256 and other.manifest.weights_sha256:
        return one.manifest.weights_sha256 == other.manifest.weights_sha256
    floats, rounded = (one, other) if one.manifest.recipe == "float32" else (other, one)
    theirs, ours = (_weighted(each.content, each.path) for each in (floats, rounded))
    return len(theirs) == len(ours) > 0 and all(rounds_to(a, b) for a, b in zip(theirs, ours, strict=True))


def _weighted(content: bytes, path: Path) -> list[Op]:
    return [op for op in read_graph(content, str(path)).ops if op.weights is not None]

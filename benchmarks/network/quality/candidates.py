"""The models that are judged: a file, its size class, and its float twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.network.card_figures import SIDE
from benchmarks.network.quality.targets import TARGETS
from edge.models import resolve_model, shipped_models
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.graph import Graph, read_graph
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.twins import Origin, are_twins

__all__ = ["Candidate", "find_candidates", "find_twin", "graph_of", "label_of", "names_that_ship", "size_of"]


@dataclass(frozen=True)
class Candidate:
    """One model that is judged.

    Attributes:
        name: in the table; unique.
        size: a key of ``TARGETS``; None if it is larger than all of them.
        twin: the float model of the same weights; None for a float model, and where no twin lies beside the file.
    """

    name: str
    size: str | None
    file: ModelFile
    twin: ModelFile | None


def find_candidates(names: Sequence[str]) -> list[Candidate]:
    """The models of these names or files; without any, all that ship but the demo's.

    Raises:
        UsageError: there is no such model, it takes no frames of 256x256, or two have the same name.
        ModelError: a file cannot be used.
    """
    found = []
    for name in names or names_that_ship():
        file = load_model(resolve_model(name, (SIDE, SIDE)))
        if (file.width, file.height, file.channels) != (SIDE, SIDE, 3):
            raise UsageError(
                f"A model is judged on color frames of {SIDE}x{SIDE}. Received: {file.path}, which takes "
                f"{file.width}x{file.height} with {file.channels} channels. "
                f"Remedy: quietcam convert MODEL --size {SIDE}x{SIDE}"
            )
        found.append(Candidate(label_of(name), size_of(file), file, find_twin(file)))
    labels = [each.name for each in found]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise UsageError(
            f"Each model needs a name of its own. Received: {', '.join(sorted(twice))} more than once. "
            "Remedy: rename the files."
        )
    return found


def names_that_ship() -> list[str]:
    """The models that ship but the demo's, the smallest size first."""
    return sorted({path.stem.split("_")[0] for path in shipped_models()} - {"demo"}, key=_rank)


def label_of(name: str) -> str:
    """What a table calls a model: the name that ships, or a file's stem."""
    return Path(name).stem if name.endswith(".tflite") else name


def size_of(file: ModelFile) -> str | None:
    """The size whose targets a model has: by the start of the name in its manifest, or else the smallest size that its
    GMACs fit into."""
    name = file.manifest.name if file.manifest else ""
    gmacs = graph_of(file).gmacs_256
    named = (size for size in TARGETS if name.startswith(size))
    fits = (size for size, targets in TARGETS.items() if gmacs <= targets.gmacs)
    return next(named, None) or next(fits, None)


def _rank(name: str) -> tuple[int, str]:
    """Sort key of a name that ships: the smallest size first."""
    return next((place for place, size in enumerate(TARGETS) if name.startswith(size)), len(TARGETS)), name


def graph_of(file: ModelFile) -> Graph:
    """The operators of a model."""
    return read_graph(strip_manifest(file.content), str(file.path))


def find_twin(file: ModelFile) -> ModelFile | None:
    """The float model of the same weights and size in the folder of a quantized model, by the manifests of both."""
    if file.ends == "float32":
        return None
    for path in sorted(file.path.parent.glob("*.tflite")):
        try:
            other = load_model(path)
        except ModelError:  # not a file that the user named
            continue
        same = (other.width, other.height, other.ends) == (file.width, file.height, "float32")
        if same and are_twins(Origin.of_manifest(file.manifest), Origin.of_manifest(other.manifest)):
            return other
    return None

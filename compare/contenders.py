"""The models that are compared: `.tflite` files, run as the device runs them, and `.keras` files, run by TensorFlow."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from compare.costs import read_costs
from edge.child.trial import try_unknown
from edge.models import resize_command
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image
from quietcam.terminal.log import log
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.twins import Origin, are_twins

if TYPE_CHECKING:
    from compare.keras_denoiser import KerasDenoiser
    from convert.sources.loaded_model import LoadedModel

__all__ = ["Contender", "load_contenders", "notes_without_twin", "open_contender", "subject_of"]

_SIDE = 256  # of the frames of a .keras file that is compared with no .tflite
_KERAS = (".keras", ".h5", ".hdf5")


class Denoises(Protocol):
    """An opened contender."""

    def denoise(self, noisy: Image) -> Image:
        """A function from uint8 ``(H, W, 3)`` to the same form."""


@dataclass(frozen=True)
class Contender:
    """A model that takes part.

    Attributes:
        name: unique among those that are compared.
        width, height, channels: of the frames that it takes.
        is_quantized: whether it is measured against a float twin.
        file: set for a ``.tflite``. loaded: set for a ``.keras``.
        reference: the name of its float twin; None for float models, and if no twin is known.
    """

    name: str
    path: Path
    width: int
    height: int
    channels: int
    is_quantized: bool
    file: ModelFile | None = None
    loaded: LoadedModel | None = None
    reference: str | None = None

    @property
    def origin(self) -> Origin:
        """What the model records about the weights that it was made from."""
        return self.loaded.origin if self.loaded else Origin.of_manifest(self.file.manifest if self.file else None)

    @property
    def remembers(self) -> bool:
        """Whether it is a video network, which takes history."""
        if self.file is not None:
            return self.file.remembers
        assert self.loaded is not None
        return self.loaded.remembers

    def open(self) -> AbstractContextManager[Denoises]:
        """Open the model; it can denoise until the context ends."""
        if self.file is not None:
            return Denoiser(self.file)
        return nullcontext(self.open_keras())

    def open_keras(self) -> KerasDenoiser:
        """A ``.keras`` file, opened."""
        from compare.keras_denoiser import KerasDenoiser

        assert self.loaded is not None
        return KerasDenoiser(self.loaded, self.width, self.height)

    def costs(self) -> dict[str, Any]:
        """Size and cost, as fields of a comparison's row."""
        if self.file is not None:
            return read_costs(self.file)
        assert self.loaded is not None
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))  # a SavedModel is a folder
        content = b"".join(each.read_bytes() for each in files if each.is_file())
        kernels = [np.asarray(each) for each in self.loaded.model.get_weights() if np.ndim(each) > 1]
        zeros, values = sum(int(np.sum(each == 0)) for each in kernels), sum(each.size for each in kernels)
        architecture = self.loaded.architecture
        return {
            "path": str(self.path),
            "recipe": "keras QAT" if self.is_quantized else "keras",
            "bytes": len(content),
            "bytes_gzipped": len(gzip.compress(content, 9, mtime=0)),
            "parameters": int(self.loaded.model.count_params()),
            "sparsity": round(zeros / values, 4) if values else None,
            "gmacs_256": round(architecture.gmacs(), 4) if architecture else None,
        }

    def float_content(self) -> bytes | None:
        """The float network as a ``.tflite`` without manifest; None for a quantized model."""
        if self.file is not None:
            return None if self.is_quantized else strip_manifest(self.file.content)
        assert self.loaded is not None
        if self.loaded.carries_ranges:
            return None
        from convert.sources.converted import float_content

        return float_content(self.loaded, self.width, self.height)


def load_contenders(
    paths: Sequence[Path], *, twins: Mapping[Path, Path] | None = None, needs_twins: bool = False
) -> list[Contender]:
    """Read and check the models, and find the float twin of each quantized one (``quietcam.tflite.twins``).

    The float twin is the model that ``twins`` names, or else the first float model that has the same weights by the
    manifests. ``.keras`` files take frames of the size they were built for; if they take any size, that of the other
    models, or 256x256.

    Args:
        twins: the float twin by the path of the quantized model. Twins that are not in ``paths`` are added.
        needs_twins: refuse unless there is a quantized model and each one has a float twin.

    Raises:
        UsageError: frame sizes differ, a file is missing, ``twins`` names a wrong pair, or ``needs_twins`` is not met.
        ModelError: a file is not a model, or breaks the contract.
        MissingExtraError: a ``.keras`` file is given, and TensorFlow is not installed.
    """
    given = {each.resolve() for each in paths}
    named = {one.resolve(): other.resolve() for one, other in (twins or {}).items()}
    added = [other for other in dict.fromkeys((twins or {}).values()) if other.resolve() not in given]
    loaded = [open_contender(path) for path in (*paths, *added)]
    sized = [each for each in loaded if each.file is not None or (each.loaded is not None and any(each.loaded.fixed))]
    _check_one_size(sized)
    if sized:
        loaded = [replace(each, width=sized[0].width, height=sized[0].height) for each in loaded]
    places = [path.resolve() for path in (*paths, *added)]
    found = [replace(each, name=name) for each, name in zip(loaded, _unique_names(loaded), strict=True)]
    by_place = dict(zip(places, found, strict=True))
    for place, other in named.items():
        _check_twin(by_place[place], by_place[other])
    floats = [each for each in found if not each.is_quantized]
    told = [
        replace(each, reference=by_place[named[place]].name if place in named else _twin(each, floats))
        if each.is_quantized
        else each
        for place, each in zip(places, found, strict=True)
    ]
    if needs_twins:
        _check_twins(told)
    return told


def notes_without_twin(contenders: Sequence[Contender]) -> list[str]:
    """A note for each quantized model whose float twin is not known, if there are float models: it gets no drop."""
    if all(each.is_quantized for each in contenders):
        return []
    notes = [
        f"{each.name} gets no drop: no float model here is known to have the same weights. Remedy: add the float32 "
        "model that was converted with it, or name its float twin in `twins`."
        for each in contenders
        if each.is_quantized and each.reference is None
    ]
    for note in notes:
        log.warning(note)
    return notes


def subject_of(contenders: Sequence[Contender]) -> Contender:
    """The model that a comparison is about: the first, or if that is a float model, the first one quantized from it."""
    first = contenders[0]
    return next((each for each in contenders if each.reference == first.name), first)


def open_contender(path: Path, size: tuple[int, int] | None = None) -> Contender:
    """One model, named by its file.

    Args:
        size: width and height of a ``.keras`` file's frames. Defaults to those it was built for, else 256x256.

    Raises:
        As ``load_contenders``.
    """
    if path.is_dir() or path.suffix.lower() in _KERAS:
        from convert.sources.keras_model import load_keras

        loaded = load_keras(path)
        width, height = loaded.fit(*(size or (_SIDE, _SIDE)))
        return Contender(loaded.name, loaded.path, width, height, loaded.channels, loaded.carries_ranges, loaded=loaded)
    file = load_model(path)
    try_unknown(file, None, None)
    return Contender(file.name, path, file.width, file.height, file.channels, _is_quantized(file), file=file)


def _is_quantized(file: ModelFile) -> bool:
    """Whether a model is quantized, by the types of its input and output, its recipe, or its weights.

    Input and output alone do not decide: with dynamic range quantization they are floats.
    """
    if file.ends != "float32":
        return True
    if file.manifest is not None:
        return file.manifest.recipe != "float32"
    try:
        return not read_graph(file.content, str(file.path)).is_float
    except MissingExtraError:  # no schema on this device: only input and output are known
        return False


def _check_one_size(contenders: Sequence[Contender]) -> None:
    sizes = {f"{each.width}x{each.height}x{each.channels}": each.path.name for each in contenders}
    if len(sizes) > 1:
        first = contenders[0]
        others = [each.file for each in contenders if (each.width, each.height) != (first.width, first.height)]
        command = resize_command(others[0], first.width, first.height) if others and others[0] else None
        raise UsageError(
            "Models that are compared must have the same frame size, so that they get the same pictures. Received: "
            + ", ".join(f"{name} {size}" for size, name in sizes.items())
            + ". Remedy: "
            + (
                f"`{command}` makes one of {first.width}x{first.height}."
                if command
                else f"convert them all for one size: quietcam convert RUN --size {first.width}x{first.height}."
            )
        )


def _unique_names(contenders: Sequence[Contender]) -> list[str]:
    """The stems; if two are alike, with the folder before or a number after them."""
    names: list[str] = []
    for each in contenders:
        alike = sum(other.name == each.name for other in contenders) > 1
        name = f"{each.path.parent.name}/{each.path.name}" if alike else each.name
        name = name.removesuffix(".tflite")
        count = sum(given == name or given.startswith(f"{name} #") for given in names)
        names.append(f"{name} #{count + 1}" if count else name)
    return names


def _twin(contender: Contender, floats: Sequence[Contender]) -> str | None:
    return next((each.name for each in floats if are_twins(contender.origin, each.origin)), None)


def _check_twin(quantized: Contender, floating: Contender) -> None:
    if not quantized.is_quantized or floating.is_quantized:
        wrong = floating if quantized.is_quantized else quantized
        kind = "is quantized" if quantized.is_quantized else "is a float model"
        raise UsageError(
            "`twins` must name a float twin for a quantized model. Received: "
            f"{quantized.path.name}={floating.path.name}, and {wrong.path.name} {kind}. "
            "Remedy: `twins=m_int8.tflite=m_float32.tflite`"
        )


def _check_twins(contenders: Sequence[Contender]) -> None:
    """Refuse models that the quality gate cannot check."""
    alone = [each for each in contenders if each.is_quantized and each.reference is None]
    names = ", ".join(each.name for each in contenders)
    rule = "`max_drop` compares each quantized model with its float twin."
    if alone:
        raise UsageError(
            f"{rule} Received: {names}, and none is known to be the float twin of {alone[0].name}. Remedy: add the "
            f"float32 model that `quietcam convert` made with it, name it, `twins={alone[0].path}=FLOAT`, or leave "
            f"{alone[0].name} out."
        )
    if not any(each.is_quantized for each in contenders):
        raise UsageError(
            f"{rule} Received: {names}, and no quantized model. Remedy: add the int8 model, or leave `max_drop` out."
        )

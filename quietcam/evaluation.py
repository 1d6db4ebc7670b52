"""``evaluation.json`` of a run directory: which network it holds, how good it is, and what was done to it.

Training writes the file; pruning, conversion and ``quietcam evaluate`` read it. All of them use this module. A file
without ``version`` is older than the first version, and is read like version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.files.atomic import write_json
from quietcam.files.json_fields import items, number, numbers, table, tables, text, texts, whole
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object

__all__ = [
    "EVALUATION",
    "VERSION",
    "ChannelPruning",
    "Distillation",
    "Evaluation",
    "MagnitudePruning",
    "QuantizationAwareTraining",
    "SetScore",
    "SmallerNetwork",
    "StartingWeights",
    "Treatments",
    "Validation",
    "read_evaluation",
    "write_evaluation",
]

EVALUATION = "evaluation.json"
"""The name of the file in a run directory."""

VERSION = 1
"""Version of the file's format. It is raised if older readers could misunderstand a new file."""


@dataclass(frozen=True)
class SetScore:
    """Mean PSNR in dB on the validation crops of one data set: of the denoised pictures, and of the noisy ones.

    Attributes:
        without_history: of clips, what a video network gives if each of their frames is its first; else None.
    """

    psnr: float
    noisy_psnr: float
    without_history: float | None = None


@dataclass(frozen=True)
class Validation:
    """How good the network is on its validation crops.

    Attributes:
        psnr: dB, the mean over the data sets. noisy_psnr: the same of the noisy pictures.
        crops: how many there are in all.
        by_set: the same for each data set, by its name; empty in files of early versions.
    """

    psnr: float
    noisy_psnr: float
    crops: int
    by_set: Mapping[str, SetScore] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to the file and to the manifest of a model that is converted from the run."""
        values = asdict(self)
        if not self.by_set:
            del values["by_set"]
        for score in values.get("by_set", {}).values():
            if score["without_history"] is None:
                del score["without_history"]
        return values


@dataclass(frozen=True)
class StartingWeights:
    """The weights that training began with.

    Attributes:
        begun_with: path of the run directory or of the float32 ``.tflite``, or the name of a model that ships. sha256:
            of its model file.
        before: PSNR in dB that they gave on the validation crops; None until it is measured.
        fusion: the same for the video network whose fusion it began with; None without one. fusion_sha256: of its model
            file.
    """

    begun_with: str
    sha256: str
    before: float | None = None
    fusion: str | None = None
    fusion_sha256: str | None = None


@dataclass(frozen=True)
class Distillation:
    """The teacher that training, or the last fine-tuning with a teacher, learned from.

    Attributes:
        teacher: path of its run directory or of its float32 ``.tflite``, or the name of a model that ships. sha256: of
            its model file.
        weight: weight of its pictures in the loss, in (0, 1].
        gmacs_256: its multiply-accumulates for 256x256 pixels, in 1e9.
    """

    teacher: str
    weight: float
    gmacs_256: float
    sha256: str


@dataclass(frozen=True)
class SmallerNetwork:
    """One step of channel pruning, from the whole network to the smallest.

    Attributes:
        widths: channels of each level. gmacs: for 256x256 pixels, in 1e9.
        psnr: dB on the validation crops, without fine-tuning.
    """

    widths: tuple[int, ...]
    gmacs: float
    psnr: float


@dataclass(frozen=True)
class ChannelPruning:
    """How whole channels were removed.

    Attributes:
        importance: the measure that decided which channels were removed.
        before: PSNR in dB of the whole network.
        paths: by measure of importance, the networks from the whole one to the smallest.
    """

    importance: str
    before: float
    paths: Mapping[str, tuple[SmallerNetwork, ...]]


@dataclass(frozen=True)
class MagnitudePruning:
    """How weights were set to zero.

    Attributes:
        asked: the requested share of zeros, in [0, 1).
        sensitivity: by convolution and share, PSNR in dB if only this convolution loses its smallest weights; None if
            that was not measured.
        shares: by convolution, the share of zeros that it got; None in a file from before it was decided for each.
    """

    asked: float
    sensitivity: Mapping[str, Mapping[str, float]] | None = None
    shares: Mapping[str, float] | None = None


@dataclass(frozen=True)
class QuantizationAwareTraining:
    """How the network was trained for int8.

    Attributes:
        ranges: by layer, the lowest and the highest value that its output has in int8.
        before: PSNR in dB of the float network that it started from.
    """

    ranges: Mapping[str, tuple[float, float]]
    before: float


@dataclass(frozen=True)
class Treatments:
    """What was done to the network; None for what was not done."""

    weights: StartingWeights | None = None
    distillation: Distillation | None = None
    channel_pruning: ChannelPruning | None = None
    magnitude_pruning: MagnitudePruning | None = None
    quantization_aware_training: QuantizationAwareTraining | None = None

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values, as written to the file: only what was done."""
        done = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: {key: value for key, value in asdict(treatment).items() if value is not None}
            for name, treatment in done.items()
            if treatment is not None
        }

    def brief(self) -> dict[str, dict[str, Any]]:
        """As ``to_dict``, without the tables by layer and by network, and with the last part of each path alone: for
        manifests, which go to other machines."""
        return {
            name: {
                key: Path(value).name if key in _PATHS else value for key, value in values.items() if key not in _TABLES
            }
            for name, values in self.to_dict().items()
        }


_TABLES = {"paths", "sensitivity", "ranges"}
_PATHS = {"begun_with", "fusion", "teacher"}


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluation.json`` holds.

    Attributes:
        gmacs_256: multiply-accumulates for 256x256 pixels, in 1e9.
        parameters: number of weights and biases.
        sparsity: share of zeros among the convolutions' weights, 0 to 1.
        data: what the network was trained on, now and before, and the license (``train.run_directory.origin``); and
            all runs behind it (``train.run_directory.chain``).
        extra_noise: shares of patches with plain noise, by kind. tools: version by package.
    """

    architecture: Architecture
    gmacs_256: float
    parameters: int
    sparsity: float
    validation: Validation
    data: Mapping[str, Any]
    extra_noise: Mapping[str, float] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    treatments: Treatments = field(default_factory=Treatments)

    def to_dict(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "version": VERSION,
            "architecture": self.architecture.to_dict(),
            "gmacs_256": self.gmacs_256,
            "parameters": self.parameters,
            "sparsity": self.sparsity,
            "validation": self.validation.to_dict(),
            "data": dict(self.data),
            "extra_noise": dict(self.extra_noise),
            "tools": dict(self.tools),
            **self.treatments.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """What ``to_dict`` gave. Keys that are not known are left out.

        Raises:
            ValueError: it is of a later version, or a value is missing or of the wrong kind.
        """
        version = whole(values, "version") if "version" in values else VERSION
        if version < 1:
            raise ValueError("version must be 1 or later")
        if version > VERSION:
            raise ValueError(f"version {version}, where this quietcam reads up to {VERSION}")
        return cls(
            architecture=Architecture.from_dict(dict(table(values, "architecture"))),
            gmacs_256=number(values, "gmacs_256"),
            parameters=whole(values, "parameters"),
            sparsity=number(values, "sparsity"),
            validation=_validation(table(values, "validation")),
            data=table(values, "data"),
            extra_noise=numbers(table(values, "extra_noise")) if "extra_noise" in values else {},
            tools=texts(table(values, "tools")) if "tools" in values else {},
            treatments=_treatments(values),
        )


def read_evaluation(run: Path) -> Evaluation:
    """Read the file of a run directory.

    Raises:
        UsageError: there is none, or it cannot be opened.
        ModelError: it is damaged, or a later quietcam wrote it.
    """
    path = run / EVALUATION
    try:
        return Evaluation.from_dict(read_object(path, MOST_OF_A_LIST))
    except OSError as error:
        raise UsageError(
            f"A run directory must contain {EVALUATION}. Received: {path}: {error.strerror or error}. "
            "Remedy: give the complete folder that 'quietcam train' wrote."
        ) from error
    except ValueError as error:
        raise ModelError(
            f"A run directory's {EVALUATION} must be the file that training wrote. Received: {path}: {error}. "
            "Remedy: if a later quietcam wrote it, update quietcam; if not, train the run again. Only to convert it, "
            "you can copy its model.keras to another folder."
        ) from error


def write_evaluation(run: Path, evaluation: Evaluation) -> None:
    """Write the file of a run directory, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    write_json(run / EVALUATION, evaluation.to_dict())


def _validation(values: Mapping[str, Any]) -> Validation:
    sets = tables(table(values, "by_set")) if "by_set" in values else {}
    return Validation(
        *_both_psnr(values),
        whole(values, "crops"),
        {
            name: SetScore(*_both_psnr(each), number(each, "without_history") if "without_history" in each else None)
            for name, each in sets.items()
        },
    )


def _both_psnr(values: Mapping[str, Any]) -> tuple[float, float]:
    return number(values, "psnr"), number(values, "noisy_psnr")


_Treatment = TypeVar("_Treatment")


def _treatments(values: Mapping[str, Any]) -> Treatments:
    def read(name: str, reader: Callable[[Mapping[str, Any]], _Treatment]) -> _Treatment | None:
        return reader(table(values, name)) if name in values else None

    return Treatments(
        weights=read(
            "weights",
            lambda v: StartingWeights(
                text(v, "begun_with"),
                text(v, "sha256"),
                number(v, "before") if "before" in v else None,
                text(v, "fusion") if "fusion" in v else None,
                text(v, "fusion_sha256") if "fusion_sha256" in v else None,
            ),
        ),
        distillation=read(
            "distillation",
            lambda v: Distillation(text(v, "teacher"), number(v, "weight"), number(v, "gmacs_256"), text(v, "sha256")),
        ),
        channel_pruning=read("channel_pruning", _channel_pruning),
        magnitude_pruning=read("magnitude_pruning", _magnitude_pruning),
        quantization_aware_training=read("quantization_aware_training", _quantization_aware_training),
    )


def _channel_pruning(values: Mapping[str, Any]) -> ChannelPruning:
    paths = {}
    stored = table(values, "paths")
    for kind in stored:
        steps = tables(items(stored, kind)).values()
        paths[kind] = tuple(
            SmallerNetwork(tuple(whole(widths, level) for level in widths), number(each, "gmacs"), number(each, "psnr"))
            for each in steps
            for widths in [items(each, "widths")]
        )
    return ChannelPruning(text(values, "importance"), number(values, "before"), paths)


def _magnitude_pruning(values: Mapping[str, Any]) -> MagnitudePruning:
    found = tables(table(values, "sensitivity")) if "sensitivity" in values else None
    sensitivity = None if found is None else {name: numbers(each) for name, each in found.items()}
    shares = numbers(table(values, "shares")) if "shares" in values else None
    return MagnitudePruning(number(values, "asked"), sensitivity, shares)


def _quantization_aware_training(values: Mapping[str, Any]) -> QuantizationAwareTraining:
    ranges = {}
    for name in (stored := table(values, "ranges")):
        ends = tuple(numbers(items(stored, name)).values())
        if len(ends) != 2:
            raise ValueError(f"{name} must have two ends")
        ranges[name] = ends
    return QuantizationAwareTraining(ranges, number(values, "before"))

"""The config of a training run: a TOML file, checked, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from quietcam.architecture import Architecture
from quietcam.data.sets.split import SplitRule
from quietcam.errors import UsageError
from quietcam.files.regular import read_regular_text
from quietcam.files.strict_toml import parse_toml
from quietcam.limits import MOST_COUNT, MOST_SEED
from train.patches.extra_noise import ExtraNoise

__all__ = [
    "PRECISIONS",
    "XLA",
    "DistillationConfig",
    "PruningConfig",
    "QatConfig",
    "RunConfig",
    "TrainingConfig",
    "VideoConfig",
    "dump_config",
    "load_config",
]

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
"""The last three are names of Keras policies."""

XLA = ("auto", "on", "off")

_MOST = {"patch": 4096, "batch": 1 << 16, "steps": MOST_COUNT, "crop": 8192, "crops_per_picture": 10_000}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of float training.

    Args:
        patch: side in pixels of a training crop, a multiple of the network's total stride.
        batch: patches per step.
        steps: most optimizer steps.
        minutes: wall-clock budget. Training ends with the steps or with the minutes, whichever comes first, and the
            learning rate reaches its final value then.
        learning_rate: peak of the warm-up and cosine schedule (Adam).
        crop: side in pixels of the crops that are cut from each picture once and kept in memory. Where no picture of a
            data set is as large, the largest that one has room for, at least ``patch``.
        crops_per_picture: how many crops are cut from a large picture.
        seed: seed of weights, order and augmentation.
        precision: auto, float32, mixed_bfloat16 or mixed_float16; see ``train.precision``.
        xla: auto, on or off: whether XLA compiles the step; auto is on a GPU.
        average: decay of the moving average of the weights; the averaged weights are kept at the end. 0 for none.
        deterministic: use operators that give the same bits every time, which are slower. Then a resumed run equals
            one that was never interrupted, on one device and with a budget of steps.
        split: scenes that are not trained on, such as "test=004,validation=001+003"; see
            ``quietcam.data.sets.split.SplitRule``. Defaults to its default.
        weights: a run directory or a float32 ``.tflite`` of the same network to begin with. Defaults to random weights.
    """

    patch: int = 96
    batch: int = 16
    steps: int = 3000
    minutes: float = 60.0
    learning_rate: float = 2e-3
    crop: int = 256
    crops_per_picture: int = 4
    seed: int = 0
    precision: str = "auto"
    xla: str = "auto"
    average: float = 0.999
    deterministic: bool = False
    split: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        SplitRule.parse(self.split)
        for name, most in _MOST.items():
            _require(
                1 <= getattr(self, name) <= most,
                f"{name} must be at least 1, at most {most}",
                name,
                getattr(self, name),
            )
        _require(0 <= self.seed <= MOST_SEED, f"seed must be 0 to {MOST_SEED}", "seed", self.seed)
        _check_minutes(self.minutes)
        _require(0 < self.learning_rate < 1, "learning_rate must be in (0, 1)", "learning_rate", self.learning_rate)
        known = ", ".join(PRECISIONS)
        _require(self.precision in PRECISIONS, f"precision must be one of {known}", "precision", self.precision)
        _require(self.xla in XLA, f"xla must be one of {', '.join(XLA)}", "xla", self.xla)
        _require(0 <= self.average < 1, "average must be in [0, 1)", "average", self.average)
        _require(self.patch <= self.crop, "patch must not exceed crop", "patch", self.patch)


@dataclass(frozen=True)
class VideoConfig:
    """How a video network (``history = 1`` in [model]) learns from clips. Still networks have no such section.

    Args:
        unroll: frames of a sequence that the network learns from. Gradients flow back through all of them, and no
            further. A sequence of pairs has as many pictures.
        lead: frames of the clip before these. They only make the history that the first of these has, without
            gradients, so they cost little.
        without_history: share of the sequences of clips whose frames are learned as stills. Pairs always are.
        fused_weight: weight in the loss of the fused frame's squared error relative to that of the noisy frame; see
            ``train.losses.relative_error``.
        moving_weight: weight in the loss of the error where something moves, in addition; see
            ``train.losses.moving_error``. More of it makes a network remember less, and leave fewer ghosts.
        freeze_body: keep the weights that float training begins with in all convolutions but the fusion's. Then
            pictures, and frames without a past, are denoised as by the still network that the weights are from, bit for
            bit. Pairs teach nothing then. Pruning and training for int8 change all weights in any case.
        fusion: the video network whose fusion to begin with, beside the ``weights`` of a still one: a run directory, a
            float32 ``.tflite`` or the name of a model that ships. A fusion looks at frames and not at what denoises
            them, so that of one size serves another. Defaults to that of ``weights``, or to random weights.
    """

    unroll: int = 5
    lead: int = 10
    without_history: float = 0.2
    fused_weight: float = 0.05
    moving_weight: float = 0.0
    freeze_body: bool = False
    fusion: str = ""

    def __post_init__(self) -> None:
        _require(1 <= self.unroll <= 64, "unroll must be at least 1, at most 64", "unroll", self.unroll)
        _require(0 <= self.lead <= 1000, "lead must be at least 0, at most 1000", "lead", self.lead)
        share = self.without_history
        _require(0 <= share <= 1, "without_history must be in [0, 1]", "without_history", share)
        for name in ("fused_weight", "moving_weight"):
            weight = getattr(self, name)
            _require(0 <= weight <= 100, f"{name} must be in [0, 100]", name, weight)


@dataclass(frozen=True)
class DistillationConfig:
    """The network that training, pruning and training for int8 learn from, in addition to the clean pictures.

    Args:
        teacher: a trained network, a larger one of the same channels: a run directory, a float32 ``.tflite`` or the
            name of a model that ships. Defaults to none.
        weight: weight of its pictures in the loss, in (0, 1]; the clean pictures get the rest.
    """

    teacher: str = ""
    weight: float = 0.5

    def __post_init__(self) -> None:
        _require(0 < self.weight <= 1, "the weight of a teacher must be in (0, 1]", "weight", self.weight)


@dataclass(frozen=True)
class PruningConfig:
    """Settings of pruning. In magnitude pruning (tfmot, ``PolynomialDecay``) the second half of the steps fine-tunes at
    full sparsity.

    Args:
        sparsity: share of all of the network's weights that become zero, in [0, 1).
        rounded: whether the network learns with kernels and values of 8 bits meanwhile, so that int8 loses less.
    """

    sparsity: float = 0.5
    steps: int = 1000
    minutes: float = 30.0
    learning_rate: float = 5e-4
    rounded: bool = False

    def __post_init__(self) -> None:
        _require(0 <= self.sparsity < 1, "sparsity must be in [0, 1)", "sparsity", self.sparsity)
        _require(10 <= self.steps <= MOST_COUNT, "pruning needs at least 10 steps", "steps", self.steps)
        _check_minutes(self.minutes)
        _require(0 < self.learning_rate < 1, "learning_rate must be in (0, 1)", "learning_rate", self.learning_rate)


@dataclass(frozen=True)
class QatConfig:
    """Settings of quantization-aware training, which begins with trained weights."""

    steps: int = 100000
    minutes: float = 15.0
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        _require(1 <= self.steps <= MOST_COUNT, "steps must be at least 1", "steps", self.steps)
        _check_minutes(self.minutes)
        _require(0 < self.learning_rate < 1, "learning_rate must be in (0, 1)", "learning_rate", self.learning_rate)


@dataclass(frozen=True)
class RunConfig:
    """A whole run: which network is trained, how, and how it is pruned and made ready for int8."""

    model: Architecture = field(default_factory=Architecture)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    pruning: PruningConfig = field(default_factory=PruningConfig)
    qat: QatConfig = field(default_factory=QatConfig)
    noise: ExtraNoise = field(default_factory=ExtraNoise)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    video: VideoConfig = field(default_factory=VideoConfig)

    def __post_init__(self) -> None:
        if self.training.patch % self.model.stride:
            raise UsageError(
                f"patch must be a multiple of the network's total stride, {self.model.stride}. "
                f"Received: patch={self.training.patch}. "
                f"Remedy: patch = {max(1, round(self.training.patch / self.model.stride)) * self.model.stride}."
            )

    def to_dict(self) -> dict[str, Any]:
        """A plain nested dictionary, as in the TOML file."""
        return {
            "model": self.model.to_dict(),
            "training": asdict(self.training),
            **({"video": asdict(self.video)} if self.model.history else {}),
            "noise": asdict(self.noise),
            "distillation": asdict(self.distillation),
            "pruning": asdict(self.pruning),
            "qat": asdict(self.qat),
        }


def load_config(name_or_path: str) -> RunConfig:
    """Read a config by the name of one that ships (``demo``) or by the path of a TOML file.

    Raises:
        UsageError: there is no such config, it is not TOML, or it holds unknown keys or values out of range.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = read_regular_text(path)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", error)
            raise UsageError(
                f"A config must be a TOML file that can be read. Received: {path} ({why}). Remedy: check the path."
            ) from error
    else:
        shipped = {
            Path(entry.name).stem: entry
            for entry in resources.files("train").joinpath("configs").iterdir()
            if entry.name.endswith(".toml")
        }
        if name_or_path not in shipped:
            raise UsageError(
                f"A config must be the name of one that ships ({', '.join(sorted(shipped))}) or the path of a .toml "
                f"file. "
                f"Received: {name_or_path!r}."
            )
        text = shipped[name_or_path].read_text(encoding="utf-8")
    try:
        values = parse_toml(text)
    except ValueError as error:
        raise UsageError(
            f"A config must be TOML. Received: {name_or_path}: {error}. "
            "Remedy: compare it with those that ship, in train/configs."
        ) from error
    return _from_dict(values, name_or_path)


def dump_config(config: RunConfig) -> str:
    """``config`` as TOML text."""
    return tomli_w.dumps(config.to_dict())


def _from_dict(values: dict[str, Any], source: str) -> RunConfig:
    kinds = {
        "model": Architecture.from_dict,
        "training": _reader("training", TrainingConfig),
        "video": _reader("video", VideoConfig),
        "noise": _reader("noise", ExtraNoise),
        "distillation": _reader("distillation", DistillationConfig),
        "pruning": _reader("pruning", PruningConfig),
        "qat": _reader("qat", QatConfig),
    }
    if unknown := sorted(set(values) - set(kinds)):
        raise UsageError(f"Unknown sections in {source}: {unknown}. Known: {sorted(kinds)}.")
    for section, content in values.items():
        if not isinstance(content, dict):
            raise UsageError(
                f"A config must consist of tables. Received: {source}: {section} is not a table. "
                f"Remedy: write [{section}] above its values."
            )
    config = RunConfig(**{section: kinds[section](content) for section, content in values.items()})
    if "video" in values and not config.model.history:
        raise UsageError(
            f"Only the config of a video network may have a [video] section. Received: {source}, where [model] has "
            "history = 0. Remedy: history = 1 in [model], or remove [video]."
        )
    return config


_Section = TrainingConfig | VideoConfig | ExtraNoise | DistillationConfig | PruningConfig | QatConfig


def _reader(section: str, kind: type[_Section]) -> Any:
    types = {f.name: type(f.default) for f in fields(kind)}

    def read(values: dict[str, Any]) -> _Section:
        if unknown := sorted(set(values) - set(types)):
            raise UsageError(f"Unknown keys in [{section}]: {unknown}. Known: {sorted(types)}.")
        for key, value in values.items():
            fits = isinstance(value, (int, float) if types[key] is float else types[key])
            if not fits or isinstance(value, bool) != (types[key] is bool):
                raise UsageError(f"[{section}] {key} must be {types[key].__name__}. Received: {key}={value!r}.")
        return kind(**values)

    return read


def _check_minutes(minutes: float) -> None:
    _require(0 < minutes <= 10**6, "minutes must be above 0, at most a million", "minutes", minutes)


def _require(holds: bool, rule: str, name: str, value: Any) -> None:
    if not holds:
        raise UsageError(f"{rule}. Received: {name}={value}.")

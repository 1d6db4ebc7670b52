"""Model variants: one network as a file for the CPU, and as a file compiled for the Edge TPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.models import resolve_model
from edge.network.delegates import parse_devices
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import ModelError

__all__ = ["ModelVariants", "load_variants"]

_COMPILED = "_edgetpu"  # the end of a compiled model's name


@dataclass(frozen=True)
class ModelVariants:
    """One network as a model for the CPU and as one for Edge TPUs. At least one of the two is not None.

    Attributes:
        cpu: the model for the CPU; None if there is none.
        tpu: the model for Edge TPUs; None if there is none, or where no Edge TPU is wanted.
    """

    cpu: ModelFile | None
    tpu: ModelFile | None

    @property
    def shown(self) -> ModelFile:
        """The model that reports name: the one for Edge TPUs if there is one."""
        shown = self.tpu or self.cpu
        assert shown is not None
        return shown


def load_variants(model: ModelFile | Path | str, device: str) -> ModelVariants:
    """Load a model and, where an Edge TPU is wanted, its other variant from the same folder.

    Of ``NAME.tflite`` and ``NAME_edgetpu.tflite``, either may be given.

    Args:
        model: a model file, its path, or the name of a model that ships.
        device: as for :func:`edge.network.delegates.parse_devices`.


    Raises:
        UsageError: the model does not exist, or the device is not valid.
        ModelError: a model cannot be used, the two have different sizes, only one of them is of a video network, or the
            CPU has no model.
    """
    devices = parse_devices(device)
    if isinstance(model, str):
        model = resolve_model(model)
    given = model if isinstance(model, ModelFile) else load_model(model)
    if all(each.is_cpu for each in devices):
        return ModelVariants(given, None)
    if given.is_compiled:
        stem = given.path.stem.removesuffix(_COMPILED)
        other = given.path.with_name(f"{stem}{given.path.suffix}")
        cpu = load_model(other) if stem != given.path.stem and other.is_file() else None
        tpu = given
    else:
        other = given.path.with_name(f"{given.path.stem}{_COMPILED}{given.path.suffix}")
        cpu, tpu = given, load_model(other) if other.is_file() else given
    if cpu is not None and (cpu.height, cpu.width, cpu.channels) != (tpu.height, tpu.width, tpu.channels):
        raise ModelError(
            "A compiled model and that for the CPU must have the same size. "
            f"Received: {tpu.path}: {tpu.width}x{tpu.height}, {cpu.path}: {cpu.width}x{cpu.height}. "
            "Remedy: compile the model again."
        )
    if cpu is not None and (cpu.remembers, cpu.remembered) != (tpu.remembers, tpu.remembered):
        raise ModelError(
            "A compiled model and that for the CPU must have the same inputs and outputs. "
            f"Received: {tpu.path}: {_ends(tpu)}; {cpu.path}: {_ends(cpu)}. Remedy: compile the model again."
        )
    if cpu is None and any(each.is_cpu for each in devices):
        raise ModelError(
            f"The CPU needs the model that {given.path.name} was compiled from. Received: no such file beside it. "
            "Remedy: put it there, or leave cpu out of `device`."
        )
    return ModelVariants(cpu, tpu)


def _ends(model: ModelFile) -> str:
    return f"{' and '.join(sorted(model.inputs))} in, {' and '.join(sorted(model.outputs))} out"

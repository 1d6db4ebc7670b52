"""Model variants: one network as a file for the CPU, and as a file compiled for the Edge TPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.network.delegates import parse_devices
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import ModelError

__all__ = ["ModelVariants", "load_variants"]

_COMPILED = "_edgetpu"  # ends the name of a compiled model


@dataclass(frozen=True)
class ModelVariants:
    """One network for the CPU and for Edge TPUs; None where there is none, or none is wanted. One of
    them is there."""

    cpu: ModelFile | None
    tpu: ModelFile | None

    @property
    def shown(self) -> ModelFile:
        """The one that a report names."""
        shown = self.tpu or self.cpu
        assert shown is not None
        return shown


def load_variants(model: ModelFile | Path | str, device: str) -> ModelVariants:
    """A model and, with Edge TPUs, its twin that lies beside it.

    Raises:
        UsageError: no such model, a wrong device.
        ModelError: one cannot be used, or they do not fit each other.
    """
    devices = parse_devices(device)
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
            f"A compiled model and its twin for the CPU have one size. Received: {tpu.path}: {tpu.width}x{tpu.height}, "
            f"{cpu.path}: {cpu.width}x{cpu.height}. Remedy: compile the model again."
        )
    if cpu is None and any(each.is_cpu for each in devices):
        raise ModelError(
            f"The CPU needs the model that {given.path.name} was compiled from. Received: none beside it. "
            "Remedy: put it there, or leave cpu out of --device"
        )
    return ModelVariants(cpu, tpu)

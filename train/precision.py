"""Chooses the numerical precision of training: the number format in which a machine trains fastest."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from quietcam.errors import UsageError
from train.config import PRECISIONS

__all__ = ["choose_precision"]

# A step of base, in bfloat16 and in float32: 75 and 130 ms on an EPYC with avx512_bf16, but 158 and 121 on a Xeon that
# has it without AMX (benchmarks/training/steps.py). No machine with AMX was measured.
_FAST_BFLOAT16 = ({"AuthenticAMD", "avx512_bf16"}, {"amx_bf16"})


def choose_precision(name: str) -> str:
    """The Keras policy for a config's ``precision``.

    ``auto`` is mixed_float16 with loss scaling on a GPU (never tried), mixed_bfloat16 if the CPU multiplies it faster,
    and float32 otherwise. Weights, the last addition and the loss are always float32.

    Raises:
        UsageError: an unknown name.
    """
    if name not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={name!r}.")
    if name != "auto":
        return name
    if tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    return "mixed_bfloat16" if _has_fast_bfloat16() else "float32"


def _has_fast_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        words = set(cpuinfo.read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return False
    return any(needed <= words for needed in _FAST_BFLOAT16)

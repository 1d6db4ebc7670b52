"""Which instructions of the processor the network's kernels use, and what this means for the speed of int8."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Instructions", "instructions", "instructions_here"]


@dataclass(frozen=True)
class Instructions:
    """The instructions that XNNPACK, which holds the CPU's kernels, chooses on a processor.

    Attributes:
        name: for people, as ``AVX512 with VNNI``.
        int8_dot_product: whether one of them multiplies and adds four int8 values. Only then is an int8 network
            much faster than its float twin. None if this is not known.
    """

    name: str
    int8_dot_product: bool | None

    @property
    def meaning(self) -> str:
        """What speed to expect of int8, in one sentence."""
        if self.int8_dot_product is None:
            return "Measure an int8 model beside its float twin to see which is faster here."
        if self.int8_dot_product:
            return "The processor has an int8 dot product: an int8 model is several times as fast as its float twin."
        return (
            "The processor has no int8 dot product: an int8 model is little or no faster than its float twin, but its "
            "file is about a quarter as large."
        )

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"meaning": self.meaning}


_X86 = (
    ("avx512_vnni", Instructions("AVX512 with VNNI", True)),
    ("avx_vnni", Instructions("AVX2 with VNNI", True)),
    ("avx512bw", Instructions("AVX512 without VNNI", False)),
    ("avx2", Instructions("AVX2 without VNNI", False)),
)
_ARM = (
    ("i8mm", Instructions("NEON with int8 matrix products", True)),
    ("asimddp", Instructions("NEON with dot products", True)),
    ("asimd", Instructions("NEON without dot products", False)),
    ("neon", Instructions("NEON without dot products", False)),
)
"""Words of ``/proc/cpuinfo``, in the order in which XNNPACK prefers the instructions."""


def instructions(cpuinfo: str, architecture: str) -> Instructions:
    """The instructions of a processor with this ``/proc/cpuinfo``.

    Where its cores differ, only what all of them have counts, as in XNNPACK.

    Args:
        cpuinfo: text of the file; empty if the file does not exist.
        architecture: as ``platform.machine()`` names it.
    """
    is_arm = architecture.startswith(("aarch64", "arm"))
    key = "Features" if is_arm else "flags"
    of_cores = [set(line.partition(":")[2].split()) for line in cpuinfo.splitlines() if line.startswith(key)]
    common = set.intersection(*of_cores) if of_cores else set()
    found = next((each for flag, each in (_ARM if is_arm else _X86) if flag in common), None)
    return found or Instructions(f"{architecture} (instructions not known)", None)


def instructions_here() -> Instructions:
    """The instructions of this machine's processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return instructions(text, platform.machine())

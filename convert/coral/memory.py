"""Calculates how much of the chip's memory a graph needs, and how long a run takes. Nothing here was measured.

The chip has 8 MiB for everything. Logs of the compiler show what that means: "used" and "remaining" for parameters sum
to 8 MiB less what activations take (edgetpu #173: 0.06 + 7.96 MiB; #686: 2.99 + 0.04 MiB for a U-Net at 512x512).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quietcam.tflite.graph import Op, Tensor

__all__ = [
    "BUSES",
    "CHIP",
    "PARAMETERS_MOST",
    "Bus",
    "Estimate",
    "Memory",
    "assumptions",
    "estimate",
    "largest_tile",
    "measure",
]

MIB = 1 << 20

CHIP = 8 * MIB
"""Bytes of memory on the chip (coral.ai, Edge TPU Compiler: parameter data caching)."""

PARAMETERS_MOST = int(7.7 * MIB)
"""Most bytes of parameters that fit; the largest "used" in any log that was read is 7.59 MiB."""

_ITEM = {"int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "float32": 4}
_FAR = 0.5  # share of the chip's memory; a graph that needs at most this is far from the cliff
_MOSTLY = 0.75


@dataclass(frozen=True)
class Memory:
    """What a graph needs, in bytes.

    Attributes:
        parameters: parameters of the operators on the chip, each constant counted once.
        activations: largest size of the tensors that are alive at one operator. An upper bound, since the compiler
            passes some tensors on in pieces.
        widest: number of that operator in the graph; None if there is no operator.
    """

    parameters: int
    activations: int
    widest: int | None

    @property
    def cached(self) -> int:
        """Parameters that stay on the chip between two runs."""
        return min(self.parameters, PARAMETERS_MOST, max(0, CHIP - self.activations))

    @property
    def streamed(self) -> int:
        """Parameters that are sent anew for each run."""
        return self.parameters - self.cached

    @property
    def fits(self) -> bool:
        """True if all parameters and the activations fit the chip together."""
        return self.streamed == 0 and self.activations <= CHIP

    @property
    def is_far_from_the_cliff(self) -> bool:
        """True if it needs at most half of the chip. If it exceeds the chip, a run takes many times as long (#502)."""
        return self.parameters + self.activations <= _FAR * CHIP


def measure(numbered: Sequence[Op] | Mapping[int, Op]) -> Memory:
    """The needs of operators on the chip: all operators of a graph in order, or some of them by number."""
    numbers = list(numbered) if isinstance(numbered, Mapping) else list(range(len(numbered)))
    ops = list(numbered.values()) if isinstance(numbered, Mapping) else list(numbered)
    constants = {each.index: _bytes(each) for op in ops for each in op.inputs if each.is_constant}
    last_use: dict[int, int] = {}
    made: dict[int, int] = {}
    tensors: dict[int, Tensor] = {}
    for place, op in enumerate(ops):
        for each in op.activations:
            tensors[each.index] = each
            made.setdefault(each.index, place)
            last_use[each.index] = place
    most, widest = 0, None
    for place in range(len(ops)):
        alive = sum(_bytes(each) for index, each in tensors.items() if made[index] <= place <= last_use[index])
        if alive > most:
            most, widest = alive, numbers[place]
    return Memory(sum(constants.values()), most, widest)


def largest_tile(memory: Memory, height: int, width: int, stride: int = 1) -> int:
    """The side in pixels of the largest square tile, a multiple of ``stride``, that stays far from the cliff.

    Activations are proportional to the area, so ``memory``, counted at ``height`` x ``width``, is scaled. If
    parameters alone take most of that room, activations may use a quarter of what parameters leave free. At least one
    stride.
    """
    room = _FAR * CHIP - memory.parameters
    if memory.parameters > _MOSTLY * _FAR * CHIP:
        room = (CHIP - min(memory.parameters, PARAMETERS_MOST)) / 4
    for_one_pixel = memory.activations / (height * width)
    side = math.isqrt(int(room / for_one_pixel)) if for_one_pixel else min(height, width)
    return max(stride, side // stride * stride)


@dataclass(frozen=True)
class Bus:
    """A bus to the chip, with its assumed rate in bytes per second and its assumed cost of each run in seconds."""

    name: str
    rate: float
    start: float


BUSES = (Bus("USB 3", 320e6, 0.7e-3), Bus("USB 2", 35e6, 0.9e-3), Bus("PCIe", 400e6, 0.3e-3))
"""Assumptions: two thirds of USB 3's 500 MB/s, USB 2's usual net rate, and PCIe 2.0 x1 minus packet overhead."""

_LIKELY = 600e9  # MACs per second
_PEAK = 2000e9


@dataclass(frozen=True)
class Estimate:
    """Milliseconds for one tile over one bus. ``least`` assumes the chip's peak rate and no cost per run."""

    bus: str
    transfer: float
    compute: float
    least: float

    @property
    def total(self) -> float:
        return self.transfer + self.compute


def estimate(sent: int, streamed: int, macs: int) -> list[Estimate]:
    """Estimate each bus: ``sent`` bytes of pictures in both directions, ``streamed`` bytes of parameters, ``macs``."""
    return [
        Estimate(
            bus.name,
            transfer=1e3 * (bus.start + (sent + streamed) / bus.rate),
            compute=1e3 * macs / _LIKELY,
            least=1e3 * ((sent + streamed) / bus.rate + macs / _PEAK),
        )
        for bus in BUSES
    ]


def assumptions() -> list[str]:
    """The assumptions behind the estimate, for users."""
    rates = ", ".join(f"{bus.name} {bus.rate / 1e6:.0f} MB/s and {1e3 * bus.start:.1f} ms per run" for bus in BUSES)
    return [
        "an estimate by arithmetic; nothing was measured on a Coral",
        f"buses: {rates}",
        f"compute: {_LIKELY / 1e9:.0f} GMAC/s, derived from Coral's published times (Inception v1, 1.5 GMACs, 3.4 ms; "
        f"MobileNet v1, 0.57 GMACs, 2.4 ms; both over USB 3); peak {_PEAK / 1e9:.0f} (4 TOPS). "
        "Layers with few channels use the chip badly and are slower",
        "activations are counted in full; the compiler passes some on in pieces and may need less",
    ]


def _bytes(tensor: Tensor) -> int:
    return tensor.size * _ITEM.get(tensor.dtype, 4)

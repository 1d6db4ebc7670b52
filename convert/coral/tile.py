"""Chooses the tile size for a Coral: tensors stay far below the chip's memory, and every doubling maps."""

from __future__ import annotations

from fractions import Fraction

from convert.coral.memory import Memory, largest_tile
from quietcam.architecture import Architecture, Convolution

__all__ = ["LARGEST_DOUBLED", "activation_bytes", "coral_tile"]

LARGEST_DOUBLED = 128
"""The longest side that a RESIZE was seen to map with (google-coral/edgetpu #31: read)."""

_SCALE = 64  # side of the frame for which bytes are counted; a multiple of every stride


def coral_tile(architecture: Architecture) -> int:
    """The side in pixels of the square tile for ``architecture``, when the target is ``coral`` and no size is given.

    The largest multiple of the total stride at which parameters and activations take at most half of the chip and no
    bilinear doubling outputs more than ``LARGEST_DOUBLED`` pixels on a side. At least one stride.
    """
    side = 2 * _SCALE * architecture.stride
    weights = sum(each.parameters for each in architecture.convolutions())
    biases = sum(each.outputs for each in architecture.convolutions())
    needed = Memory(weights + 3 * biases, int(activation_bytes(architecture) * side * side), None)  # biases are int32
    # The border is computed, too, and only for this is the count too small.
    tile = largest_tile(needed, side, side) - 2 * architecture.border
    tile = tile // architecture.stride * architecture.stride
    if architecture.levels > 1:
        tile = min(tile, LARGEST_DOUBLED * architecture.stem // architecture.stride * architecture.stride)
    return max(tile, architecture.stride)


def activation_bytes(architecture: Architecture) -> Fraction:
    """Largest size of the int8 activations alive at one operator, in bytes per pixel of the tile, counted in full.

    :func:`convert.coral.memory.measure` gives the same count for the converted graph that ends before depth-to-space.
    """
    steps = _steps(architecture)
    last_use: dict[str, int] = {}
    made: dict[str, int] = {}
    for place, (inputs, output) in enumerate(steps):
        for name in (*inputs, output):
            made.setdefault(name, place)
            last_use[name] = place
    sizes = _sizes(architecture)
    return max(
        sum((sizes[name] for name in made if made[name] <= place <= last_use[name]), Fraction(0))
        for place in range(len(steps))
    )


_FUSION: dict[str, tuple[tuple[str, ...], str]] = {
    output: (inputs, output)
    for inputs, output in (
        (("history", "noisy"), "difference"),
        (("difference",), "cells"),
        (("cells",), "differ"),
        (("differ",), "weigh"),
        (("weigh",), "share"),
        (("share",), "rows"),  # these three stand for depth-to-space: SPLIT, CONCATENATION, RESHAPE
        (("rows",), "joined"),
        (("joined",), "spread"),
        (("spread", "difference"), "change"),
        (("change", "noisy"), "fused"),
    )
}
"""The operators of a video network before the stem, by the name of their output."""


def _steps(architecture: Architecture) -> list[tuple[tuple[str, ...], str]]:
    """The operators in order, each as the names of its inputs and the name of its output."""
    steps: list[tuple[tuple[str, ...], str]] = list(_FUSION.values()) if architecture.history else []
    steps.append((("fused" if architecture.history else "noisy",), "stem"))
    present = "stem"
    skips: dict[int, str] = {}
    for each in architecture.convolutions():
        if each.name in _FUSION:
            continue
        if each.name.startswith("rise"):
            level = int(each.name.removeprefix("rise"))
            steps += [
                ((present,), each.name),
                ((each.name,), f"doubled{level}"),
                ((f"doubled{level}", skips[level]), f"join{level}"),
            ]
            present = f"join{level}"
            continue
        steps.append(((present,), each.name))
        present = each.name
        if each.name.startswith("down"):
            skips[_level(each)] = each.name
    steps.append(((present, "stem"), "blocks"))
    return steps


def _sizes(architecture: Architecture) -> dict[str, Fraction]:
    """Bytes of each tensor per pixel of the frame."""
    block = architecture.channels * architecture.stem**2
    sizes = dict.fromkeys(("stem", "blocks"), Fraction(block, architecture.stem**2))
    for name in ("noisy", "history", *_FUSION):
        sizes[name] = Fraction(architecture.channels)
    for each in architecture.convolutions():
        sizes[each.name] = Fraction(each.outputs, each.scale**2)
        if each.name.startswith("rise"):
            level = int(each.name.removeprefix("rise"))
            doubled = Fraction(each.outputs * 4, each.scale**2)
            sizes[f"doubled{level}"] = sizes[f"join{level}"] = doubled
    return sizes


def _level(convolution: Convolution) -> int:
    """Of ``down2_0``: 2."""
    return int(convolution.name.removeprefix("down").split("_")[0])

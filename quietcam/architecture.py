"""The architecture of the network, without TensorFlow: one description for every size of the family.

The network is a residual encoder-decoder. Space-to-depth brings the frame to ``1/stem`` of its size. Each level has
plain 3x3 convolutions with ReLU6. Each deeper level halves the size by stride 2; on the way up, a 1x1 convolution with
ReLU6 and bilinear doubling lead back, and the skip is added. The last convolution gives the residual, which is added to
the space-to-depth input, clipped to [0, 1], and rearranged by depth-to-space.

ReLU6 keeps the ranges small: after every convolution but the last, activations are in [0, 6]. So no outlier stretches
an int8 range, both sides of a skip have similar ranges, no int8 step is used for values below zero, and the TFLite
kernels compute it at no cost.

With a border, the outermost pixels on every side are repeated beyond the edge of the frame before the first
convolution, and what is computed there is cut off after the last one. Beyond the edge a convolution sees zeros, which
are no picture: without a border, the squared error of the two outermost pixels is 2 to 3 times that of the others.

A video network (``history=1``) has a fusion before all this. It compares the noisy frame with the history in cells of
8x8 pixels, and gives each value a share between 0 and 1. The fused frame is ``noisy + share * (history - noisy)``: a
mean of noisy frames where nothing moves, and the noisy frame where something does. The rest of the network denoises the
fused frame, and the fused frame is what is remembered. Where the history is the noisy frame itself, so is the fused
frame, exactly: without a past, a video network computes what its still network does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from quietcam.errors import UsageError

__all__ = ["CELL", "Architecture", "Convolution"]


@dataclass(frozen=True)
class Convolution:
    """One convolution of the network: its place and its cost.

    ``scale`` is the number of pixels of the frame that one step of its output spans on each axis; ``extra`` is the
    number of steps on each axis that a border adds.
    """

    name: str
    kernel: int
    inputs: int
    outputs: int
    stride: int
    scale: int
    relu: bool
    extra: int = 0

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.kernel * self.kernel * self.inputs + 1) * self.outputs

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates for a frame of ``height`` x ``width`` pixels."""
        steps = (height // self.scale + self.extra) * (width // self.scale + self.extra)
        return self.kernel * self.kernel * self.inputs * self.outputs * steps


CELL = 8
"""Side in pixels of the cells in which a video network compares the noisy frame with its history."""

_FUSION_WIDTH = 32
_MOST_BORDER = 16
_LISTS = ("widths", "depths")
_MOST_WIDTH, _MOST_DEPTH = 4096, 64
_MOST_PARAMETERS = 200_000_000  # 800 MB, of which training holds several copies; the largest that ships has 0.9 million


@dataclass(frozen=True)
class Architecture:
    """A network of the family.

    Args:
        channels: 3 for RGB, 1 for grayscale.
        stem: block size of the space-to-depth stem, 2 or 4.
        widths: channels of each level, finest first; multiples of 8 (of 16 to fill the int8 kernels' tiles).
        depths: 3x3 convolutions of each level on the way down, including its first; the way up has one less, but at
            least one.
        last_kernel: kernel size of the convolution that gives the residual, 3 or 1. With 1 the smallest networks can
            afford a finest level of 16 channels. If the finest level has fewer channels than the
            ``channels * stem**2`` values of a space-to-depth block, the residual cannot remove all of the noise.
        history: frames that the network remembers: 1 for a video network, 0 for a still network.
        border: pixels that are repeated beyond each edge of the frame: a multiple of ``stem``, at most 16, and at most
            the total stride, since the smallest frame has no more pixels.

    Raises:
        UsageError: a value outside these rules.
    """

    channels: int = 3
    stem: int = 2
    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    last_kernel: int = 3
    history: int = 0
    border: int = 0

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 3 (RGB) or 1 (grayscale). Received: channels={self.channels}.")
        if self.stem not in (2, 4):
            raise UsageError(f"stem must be 2 or 4. Received: stem={self.stem}.")
        if not 1 <= len(self.widths) <= 5 or len(self.widths) != len(self.depths):
            raise UsageError(
                "widths and depths must have the same length, 1 to 5 levels. "
                f"Received: widths={list(self.widths)}, depths={list(self.depths)}."
            )
        for width in self.widths:
            if not 8 <= width <= _MOST_WIDTH or width % 8:
                raise UsageError(
                    f"Every width must be a multiple of 8, at most {_MOST_WIDTH}. Received: "
                    f"widths={list(self.widths)}. Remedy: use {min(_MOST_WIDTH, max(8, round(width / 8) * 8))} instead "
                    f"of {width}."
                )
        if self.last_kernel not in (1, 3):
            raise UsageError(f"last_kernel must be 3 or 1. Received: last_kernel={self.last_kernel}.")
        if self.history not in (0, 1):
            raise UsageError(
                f"history must be 1 (a video network) or 0 (a still network). Received: history={self.history}."
            )
        most = min(_MOST_BORDER, self.stride)
        if not 0 <= self.border <= most or self.border % self.stem:
            raise UsageError(
                f"border must be 0 to {most} pixels, and a multiple of stem. Received: border={self.border}, "
                f"stem={self.stem}, total stride {self.stride}. Remedy: border = {most - most % self.stem} or less."
            )
        if not 1 <= min(self.depths) <= max(self.depths) <= _MOST_DEPTH:
            raise UsageError(
                f"Every depth must be at least 1, at most {_MOST_DEPTH}. Received: depths={list(self.depths)}."
            )
        if self.parameters > _MOST_PARAMETERS:
            raise UsageError(
                f"A network must have at most {_MOST_PARAMETERS // 10**6} million weights. Received: "
                f"widths={list(self.widths)}, depths={list(self.depths)}, which make {self.parameters // 10**6} "
                "million. Remedy: smaller widths or depths."
            )

    @property
    def levels(self) -> int:
        """Number of levels, each of another size."""
        return len(self.widths)

    @property
    def stride(self) -> int:
        """Total stride in pixels: the sides of a frame and the origins of tiles must be multiples of it."""
        stride: int = self.stem * 2 ** (self.levels - 1)
        return max(stride, CELL) if self.history else stride

    @property
    def extra_steps(self) -> tuple[int, ...]:
        """How many steps the border adds to each axis of each level, finest first.

        A level that has an odd number gives the next one half of it, rounded up.
        """
        steps = [2 * self.border // self.stem]
        for _ in self.widths[1:]:
            steps.append((steps[-1] + 1) // 2)
        return tuple(steps)

    def convolutions(self) -> list[Convolution]:
        """All convolutions, in the order of the data."""
        found = self._fusion() if self.history else []
        block = self.channels * self.stem**2
        inputs, scale, extra = block, self.stem, self.extra_steps
        for level, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for index in range(depth):
                stride = 2 if level and not index else 1
                scale *= stride
                found.append(Convolution(f"down{level}_{index}", 3, inputs, width, stride, scale, True, extra[level]))
                inputs = width
        for level in range(self.levels - 2, -1, -1):
            width = self.widths[level]
            found.append(Convolution(f"rise{level}", 1, inputs, width, 1, scale, True, extra[level + 1]))
            scale //= 2
            found.extend(
                Convolution(f"up{level}_{index}", 3, width, width, 1, scale, True, extra[level])
                for index in range(max(1, self.depths[level] - 1))
            )
            inputs = width
        found.append(Convolution("residual", self.last_kernel, inputs, block, 1, scale, False, extra[0]))
        return found

    def _fusion(self) -> list[Convolution]:
        cell, width = self.channels * CELL**2, _FUSION_WIDTH
        return [
            Convolution("differ", 1, cell, width, 1, CELL, True),
            Convolution("weigh", 3, width, width, 1, CELL, True),
            Convolution("share", 1, width, cell, 1, CELL, False),
        ]

    @property
    def parameters(self) -> int:
        """Weights and biases of all convolutions."""
        return sum(convolution.parameters for convolution in self.convolutions())

    def gmacs(self, height: int = 256, width: int = 256) -> float:
        """Multiply-accumulates of the convolutions for one frame, in 1e9."""
        return sum(convolution.macs(height, width) for convolution in self.convolutions()) / 1e9

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the square that influences one output pixel, rounded up to whole space-to-depth blocks.

        Each 3x3 convolution adds one step on either side at its scale; bilinear doubling adds one step of the coarse
        level. What a video network remembers from earlier frames is not counted.
        """
        reach = sum(
            (1 if convolution.kernel == 3 else 0) * (convolution.scale // convolution.stride)
            for convolution in self.convolutions()
        )
        rises = sum(self.stem << (level + 1) for level in range(self.levels - 1))
        return 2 * (reach + rises) + (CELL if self.history else self.stem)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary of plain values, for TOML and JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """The inverse of ``to_dict``; unknown keys are refused."""
        if not isinstance(values, dict):
            raise UsageError(f"An architecture must be a table of its values. Received: {repr(values)[:60]}.")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"Unknown keys in the architecture: {unknown}. Known: {sorted(known)}.")
        tidy: dict[str, Any] = {}
        for key, value in values.items():
            rule, numbers = ("a list of whole numbers", value) if key in _LISTS else ("a whole number", [value])
            if not isinstance(numbers, list | tuple) or any(type(each) is not int for each in numbers):
                raise UsageError(f"The architecture's {key} must be {rule}. Received: {key}={repr(value)[:60]}.")
            tidy[key] = tuple(numbers) if key in _LISTS else value
        return cls(**tidy)

"""Describes how int8 is made from a float network (``Scheme``), and measures the network for it (``Prepared``)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.quantize.bias import add_shifts, measure_shifts
from convert.quantize.body import Body
from convert.quantize.equalize import apply_scales, channel_scales
from convert.quantize.fusion import find_fusion
from convert.quantize.ranges import DEFAULT_RULE, RangeRule, choose_ranges, quantize, stored_ranges, widened
from convert.quantize.rounding import Kernels, round_kernels, stored_kernels, write_kernels
from convert.resize import resize
from quietcam.image import to_float
from quietcam.representative.set import RepresentativeSet
from quietcam.tflite.activations import Activation, Range, collapsed
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import measure_activations
from quietcam.tflite.surgery import end_in_pixels

__all__ = ["Prepared", "Scheme"]

_STRIDES = 32
"""Every network of the family accepts frames whose width and height are multiples of this."""

_BIAS_FRAMES = 24


@dataclass(frozen=True)
class Scheme:
    """The choices that make an int8 model from a float one.

    Attributes:
        rule: how ranges are chosen from activations.
        rounding: round weights so that outputs stay (``convert.quantize.rounding``), not each to the nearest step.
        bias: correct the biases for the shifts of means that int8 causes.
        equalize: give the channels between two convolutions similar ranges.
        turned: measure on every patch in four orientations instead of one.
        excluded: names of the tensors that stay float, with the layers that make and read them.
        widened: start from the ranges of the finished int8 file, and widen those that ``rule`` exceeds. Its weights
            stay.
        kept: use the finished int8 file unchanged, with its own ranges; all other fields are ignored.
    """

    rule: RangeRule = DEFAULT_RULE
    rounding: bool = True
    bias: bool = True
    equalize: bool = False
    turned: bool = False
    excluded: tuple[str, ...] = ()
    widened: bool = False
    kept: bool = False

    def __str__(self) -> str:
        if self.kept:
            return "the ranges that the model has"
        words = [
            f"ranges: those that the model has, widened to the {self.rule}" if self.widened else f"ranges: {self.rule}"
        ]
        words += ["channels equalized"] * self.equalize
        words += ["weights that make up for rounding"] * self.rounding
        words += ["bias correction"] * self.bias
        words += ["patches turned and mirrored"] * self.turned
        words += [f"{len(self.excluded)} tensors left in float"] * bool(self.excluded)
        return ", ".join(words)


class Prepared:
    """A float network measured on a representative set. Every size gets the same scales and the same biases.

    It is measured on whole patches, not on frames of the requested size.

    Args:
        content: the float ``.tflite``.
        size: ``(height, width)`` of its frames. Defaults to ``patch_size`` of the set.
        kept: the finished int8 file of the same network, of any size.
        body: the body of a video network that has its int8 from a finished file; its ranges, weights and biases are
            the same in every scheme.

    Attributes:
        remembers: True for a video network.
        floats: the float network at other sizes, by ``(width, height)``, cached for the next scheme that is tried.
    """

    def __init__(
        self,
        content: bytes,
        representative: RepresentativeSet,
        size: tuple[int, int] | None = None,
        kept: bytes | None = None,
        body: Body | None = None,
    ) -> None:
        self.content = content
        self.kept = kept
        self.body = body
        graph = read_graph(content)
        fusion = find_fusion(graph)
        self.remembers = graph.history is not None
        self._designed = frozenset(() if fusion is None else fusion.ranges)
        self.size = size or self.patch_size(representative)
        self.representative = representative
        self.floats: dict[tuple[int, int], bytes] = {}
        self._measured: dict[tuple[bool, bool], dict[str, Activation]] = {}
        self._scales: dict[str, NDArray[np.float64]] | None = None
        self._rounded: dict[bool, Kernels] = {}
        self._shifts: dict[Scheme, dict[str, NDArray[np.float64]]] = {}

    @staticmethod
    def patch_size(representative: RepresentativeSet) -> tuple[int, int]:
        """``(height, width)`` of the frames to measure, for a network that accepts any size."""
        height, width = (max(side - side % _STRIDES, _STRIDES) for side in representative.patches.shape[1:3])
        return height, width

    def frames(self, turned: bool = False) -> Iterator[NDArray[np.float32]]:
        """Float32 ``[1, H, W, C]`` in [0, 1]; for a video network ``[2, H, W, C]``: a frame, then its history."""
        for pair in self.representative.pairs(*self.size):
            frame = to_float(np.stack(pair if self.remembers else pair[:1]))
            yield frame
            if turned:
                yield frame[:, ::-1]
                yield frame[:, :, ::-1]
                if frame.shape[1] == frame.shape[2]:
                    yield np.ascontiguousarray(frame.swapaxes(1, 2))

    def float_content(self, scheme: Scheme, content: bytes | None = None) -> bytes:
        """The float network, of any size, that ``scheme`` quantizes: equalized or not. The outputs are the same."""
        given = self.content if content is None else content
        return apply_scales(given, self._equalizing()) if scheme.equalize else given

    def activations(self, scheme: Scheme = Scheme()) -> dict[str, Activation]:
        """The float network's activations by tensor name."""
        key = scheme.equalize, scheme.turned
        if key not in self._measured:
            content = self.float_content(scheme)
            self._measured[key] = measure_activations(content, lambda: self.frames(scheme.turned))
        return self._measured[key]

    def ranges(self, scheme: Scheme) -> dict[str, Range]:
        """The range that each tensor's codes cover, by tensor name."""
        content = self.float_content(scheme)
        found = choose_ranges(content, self.activations(scheme).values(), scheme.rule)
        if self.body is not None:
            found |= self.body.ranges
        if not scheme.widened or self.kept is None:
            return found
        had = stored_ranges(self.kept)
        return {name: widened(had[name], each) if name in had else each for name, each in found.items()}

    def exceeded(self, scheme: Scheme = Scheme()) -> dict[str, tuple[Range, Range]]:
        """By tensor name: the range in the finished int8 file, and the wider range that the set needs."""
        had = {} if self.kept is None else stored_ranges(self.kept)
        found = self.ranges(replace(scheme, widened=False))
        wide = {name: widened(had[name], each) for name, each in found.items() if name in had}
        return {name: (had[name], each) for name, each in wide.items() if each != had[name]}

    def collapsed(self, scheme: Scheme = Scheme()) -> list[tuple[Activation, Range]]:
        """Tensors that have too few levels in int8, with their ranges, worst first.

        Omits those with ranges by design: every code of theirs is a whole step of a pixel, or of a share.
        """
        ranges = self.ranges(scheme)
        found = collapsed(self.activations(scheme).values(), ranges)
        return [(each, ranges[each.name]) for each in found if each.name not in self._designed]

    def by_levels(self, scheme: Scheme = Scheme()) -> list[tuple[Activation, Range]]:
        """Tensors with their ranges, those with the fewest int8 levels first.

        Omits pixels, which have all levels, tensors with ranges by design, and tensors that only repeat another's
        values, scaled or not.
        """
        ranges = self.ranges(scheme)
        inner = [
            (each, ranges[each.name])
            for each in self.activations(scheme).values()
            if ranges[each.name] != Range(0.0, 1.0)
            and each.name not in self._designed
            and not each.op.startswith("RESIZE")
        ]
        return sorted(inner, key=lambda found: found[0].read_levels(found[1]))

    def quantize(self, content: bytes, scheme: Scheme) -> bytes:
        """Quantize ``content``, the float network at any size, to int8 with pixels at both ends."""
        if scheme.kept and self.kept is not None:
            _, height, width, _ = read_graph(content).noisy.shape
            return resize(self.kept, width, height)
        given = self.float_content(scheme, content)
        made = self._quantize(given, scheme)
        return end_in_pixels(add_shifts(made, self._biases(scheme)) if scheme.bias else made)

    def _quantize(self, given: bytes, scheme: Scheme) -> bytes:
        made = quantize(given, self.ranges(scheme), excluded=_layers(given, scheme.excluded))
        if self.body is not None:
            made = self.body.write(made)
        return write_kernels(made, self._weights(scheme))

    @property
    def can_equalize(self) -> bool:
        """True if there are channels that can be equalized."""
        return bool(self._equalizing())

    def _equalizing(self) -> dict[str, NDArray[np.float64]]:
        if self._scales is None:  # other scales would undo what a body has from its file
            self._scales = {} if self.body is not None else channel_scales(self.content, self.activations())
        return self._scales

    def _weights(self, scheme: Scheme) -> Kernels:
        """Weights that replace those that are rounded to the nearest step."""
        if scheme.widened and self.kept is not None and not scheme.equalize:
            return stored_kernels(self.kept)
        if not scheme.rounding:
            return {}
        if scheme.equalize not in self._rounded:
            self._rounded[scheme.equalize] = round_kernels(self.float_content(scheme), self.frames, self._finished)
        return self._rounded[scheme.equalize]

    def _biases(self, scheme: Scheme) -> dict[str, NDArray[np.float64]]:
        if scheme not in self._shifts:
            content = self.float_content(scheme)
            made = self._quantize(content, scheme)
            every = max(1, sum(1 for _ in self.frames()) // _BIAS_FRAMES)
            self._shifts[scheme] = measure_shifts(content, made, lambda: _thinned(self.frames(), every), self._finished)
        return self._shifts[scheme]

    @property
    def _finished(self) -> Container[str]:
        """Names of the outputs of convolutions that have their int8 from a finished file."""
        return () if self.body is None else self.body.convolutions


def _thinned(frames: Iterable[Any], every: int) -> Iterator[Any]:
    for index, frame in enumerate(frames):
        if index % every == 0:
            yield frame


def _layers(content: bytes, tensors: Iterable[str]) -> list[str]:
    """The converter's names of the operators that make or read these tensors."""
    wanted = set(tensors)
    return sorted(
        {
            op.outputs[0].name
            for op in read_graph(content).ops
            if wanted & {each.name for each in (*op.inputs, *op.outputs)}
        }
    )

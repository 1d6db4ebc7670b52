"""The result of comparing layers: the layers of a quantized model, and the one that costs most."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LEAST_COST", "Blame", "Layer"]

LEAST_COST = 0.01
"""dB; a layer that costs less is not called the culprit."""


@dataclass(frozen=True)
class Layer:
    """One operator of the quantized model, compared with the same operator of its float twin.

    Attributes:
        name: as in training, if the file contains it. kind: of the operator.
        sqnr: signal to quantization noise ratio of the output, both models running, dB: this layer and all before it.
        own_sqnr: the same of the float output rounded to this layer's codes; None if the output is not quantized.
        cost: PSNR that the float model loses if this layer alone is quantized, dB.
        cost_weights: the same with only its weights quantized; None if that was not measured.
        low, high: the least and the greatest value that the codes represent; None if the output is not quantized.
        least, greatest: of the float output. percentiles: of the float output, by percent.
        levels: how many of ``levels_total`` codes the middle 99.9 % of the output use.
        read_levels: levels that a channel uses, averaged over the channels by the weights of the layers that read them.
        clipped: share of the float values outside the range of the codes. clipped_error: their share of the squared
            error that rounding to the codes causes.
        channel, channel_peak: the channel of the greatest absolute value, and that value.
        typical_peak: the median of the channels' greatest absolute values.
        is_passed_on: the output has exactly the scale of the input, so an earlier layer has chosen the range.
        starved: layers that read the outlier channel with weights that are too small for their scale; this loss is
            part of this layer's cost.
        cause: why the layer costs PSNR, in words.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    sqnr: float
    own_sqnr: float | None
    cost: float
    cost_weights: float | None
    low: float | None
    high: float | None
    least: float
    greatest: float
    percentiles: dict[str, float]
    levels: int | None
    levels_total: int | None
    read_levels: float | None
    clipped: float
    clipped_error: float
    channel: int
    channel_peak: float
    typical_peak: float
    is_passed_on: bool
    starved: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class Blame:
    """The layers of one quantized model, and the one that costs most.

    Attributes:
        model, reference: names of the quantized model and its float twin.
        pictures: how many were examined, each one frame of the models' size.
        drop: what the quantized model loses to its float twin on these frames, dB.
        layers: in the order of the network.
        culprit: name of the layer that costs most; None if no layer costs 0.01 dB.
        verdict: the result as one sentence.
    """

    model: str
    reference: str
    pictures: int
    drop: float
    layers: list[Layer] = field(default_factory=list)
    culprit: str | None = None
    verdict: str = ""

    @property
    def worst(self) -> list[Layer]:
        """The layers by their cost, the highest first, without those that only pass a range on."""
        return sorted((each for each in self.layers if not each.is_passed_on), key=lambda layer: -layer.cost)

"""Explains in words why a layer costs PSNR."""

from __future__ import annotations

from compare.blame.layer_tally import STRETCHED
from compare.blame.values import LEAST_COST, Blame, Layer

__all__ = ["cause_of", "verdict_on"]

_MOSTLY = 0.5


def cause_of(layer: Layer) -> str:
    """The first cause that applies: weights, an outlier channel, outliers, clipping, coarse steps."""
    if layer.low is None or layer.high is None or layer.levels is None:
        return "weights alone are quantized here" if layer.cost >= LEAST_COST else ""
    width, total = layer.high - layer.low, layer.levels_total or 256
    if layer.cost_weights is not None and layer.cost_weights >= 0.5 * max(layer.cost, LEAST_COST):
        return (
            f"its weights: if only they are quantized, {layer.cost_weights:.3f} dB are lost, so the weights of one "
            "output channel differ too much in size for one scale"
        )
    middle = layer.percentiles["99.95"] - min(layer.percentiles["0.05"], 0.0)
    if width >= STRETCHED * layer.typical_peak > 0 and layer.channel_peak >= STRETCHED * layer.typical_peak:
        left = max(1, round(layer.typical_peak / width * total))
        return (
            f"an outlier channel: channel {layer.channel} reaches {layer.channel_peak:.3g} where half of the channels "
            f"stay within {layer.typical_peak:.3g}, so the range {layer.low:.3g} to {layer.high:.3g} leaves these "
            f"{left} of {total} levels"
            + (f", and the weights that read it in {', '.join(layer.starved)} get too few steps" * bool(layer.starved))
        )
    if width >= STRETCHED * middle:
        return (
            f"outliers: the range is {layer.low:.3g} to {layer.high:.3g}, but 99.9 % of the values lie in "
            f"{layer.percentiles['0.05']:.3g} to {layer.percentiles['99.95']:.3g}, on {layer.levels} of {total} levels"
        )
    if layer.clipped_error >= _MOSTLY:
        return (
            f"clipping: {100 * layer.clipped:.2g} % of the values lie beyond the range {layer.low:.3g} to "
            f"{layer.high:.3g}, up to {layer.channel_peak:.3g} in channel {layer.channel}, and make "
            f"{100 * layer.clipped_error:.0f} % of its error"
        )
    return (
        f"coarse steps: {width / (total - 1):.2g} each over {layer.low:.3g} to {layer.high:.3g}, of which "
        f"{layer.levels} of {total} levels are used; nothing stands out"
    )


def verdict_on(found: Blame, culprit: Layer | None) -> str:
    """One sentence: the layer that costs most and why, or that none costs much."""
    if culprit is None:
        together = round(found.drop, 3) + 0.0  # no minus before a zero
        return f"No layer of {found.model} costs {LEAST_COST:g} dB by itself; all together cost {together:.3f} dB."
    return (
        f"{culprit.name} ({culprit.kind}) costs most: {culprit.cost:.3f} dB when it alone is quantized "
        f"(all together: {found.drop:.3f} dB). Cause: {culprit.cause}."
    )

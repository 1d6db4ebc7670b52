"""Sentences about a network that makes pictures worse, for training, evaluation and conversion."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["worse_in_validation", "worse_than_noisy"]

_REMEDY = "Remedy: train it longer, or on pictures with similar noise; do not run it on such pictures."


def worse_than_noisy(scores: Mapping[str, tuple[float, float]]) -> list[str]:
    """One sentence for each data set on which the denoised pictures are worse than the noisy ones.

    The last sentence is followed by the remedy.

    Args:
        scores: by the name of the data set, PSNR in dB of the denoised pictures and of the noisy ones.
    """
    found = [
        f"the network is {noisy - psnr:.2f} dB worse than the noisy picture on {name}: {psnr:.2f} dB denoised, "
        f"{noisy:.2f} dB noisy"
        for name, (psnr, noisy) in scores.items()
        if psnr < noisy
    ]
    return [f"{each}. {_REMEDY}" if each == found[-1] else each for each in found]


def worse_in_validation(validation: Mapping[str, object] | None) -> list[str]:
    """The same for ``validation`` in ``evaluation.json``, for each validation set if it lists several."""
    whole = validation or {}
    by_set = whole.get("by_set")
    sets = by_set if isinstance(by_set, dict) and by_set else {"its validation crops": whole}
    scores = {}
    for name, each in sets.items():
        psnr, noisy = (each.get(key) if isinstance(each, Mapping) else None for key in ("psnr", "noisy_psnr"))
        if isinstance(psnr, int | float) and isinstance(noisy, int | float):
            scores[name] = float(psnr), float(noisy)
    return worse_than_noisy(scores)

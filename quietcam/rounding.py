"""Rounds the kernel of a convolution to int8 so that its outputs stay, not each weight.

Rounding every weight to the nearest step leaves errors that add up wherever inputs rise and fall together, and pixels
of a picture do: a flat area comes out a little too bright or too dark. Here weights are rounded one after the other,
and those that remain make up for the error of each, as far as the inputs are alike. After Frantar et al., "GPTQ" (ICLR
2023), with the inputs' covariance; their mean is left to the bias.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FARTHEST", "LEVELS", "nearest_steps", "round_kernel"]

LEVELS = 127
"""Steps between zero and the largest weight of a filter."""

FARTHEST = 3
"""Steps between a weight and what it is rounded to, at most."""

_DAMPED = 0.01  # of the inputs' mean variance, added to each; the covariance of few samples has no inverse


def nearest_steps(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel, ``(height, width, inputs, outputs)``, with every weight rounded to the nearest step, as int8 does."""
    step = np.maximum(np.abs(kernel).max((0, 1, 2)), 1e-30) / LEVELS
    rounded: NDArray[np.float32] = (np.rint(kernel / step) * step).astype(np.float32)
    return rounded


def round_kernel(kernel: NDArray[np.float32], covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """The kernel in whole steps: of each filter, its largest weight divided by 127. Zeros stay zero.

    A filter for which nearest steps are as good gets these.

    Args:
        kernel: float32 ``(height, width, inputs, outputs)``.
        covariance: of the values that one output reads, ``(height * width * inputs,)`` squared, in the kernel's order.
    """
    exact = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    sizes = np.abs(exact)
    step = np.maximum(sizes.max(0), 1e-30) / LEVELS
    # The largest stays as it is, since the step is found from it again. What zeros are for, rounding must not undo.
    fixed = (sizes == sizes.max(0)) | (sizes == 0)
    low, high = (np.clip(np.rint(exact / step) + side, -LEVELS, LEVELS) for side in (1 - FARTHEST, FARTHEST - 1))
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")  # the weights that matter most first, while many can make up for them
    damped = covariance + (_DAMPED * variance.mean() + 1e-12) * np.eye(len(exact))
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    weights, rounded = exact.copy(), np.zeros_like(exact)
    for place, row in enumerate(order):
        whole = np.clip(np.rint(weights[row] / step), low[row], high[row]) * step
        rounded[row] = np.where(fixed[row], exact[row], whole)
        error = (weights[row] - rounded[row]) / upper[place, place]
        weights[order[place + 1 :]] -= np.outer(upper[place, place + 1 :], error)
    nearest = np.rint(exact / step) * step
    errors = [np.sum((each - exact) * (covariance @ (each - exact)), 0) for each in (rounded, nearest)]
    best = np.where(errors[0] < errors[1], rounded, nearest)
    return best.reshape(kernel.shape).astype(np.float32)

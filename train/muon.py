"""Muon: an optimizer that gives every direction of a kernel an update of the same size."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

__all__ = ["Muon", "orthogonalized"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST_KERNEL = 8
"""Output channels. Kernels with fewer, such as that of an output, are no good matrices."""


class Muon(keras.optimizers.Adam):  # type: ignore[misc]  # Keras ships no types
    """Kernels take the momentum of their gradients, orthogonalized; everything else is updated by Adam.

    A kernel ``(height, width, inputs, outputs)`` is a matrix ``(height * width * inputs, outputs)``. Its update has the
    size that Adam's usually has, so both share one learning rate.

    Updates of the same size would let a kernel grow for as long as it is trained, into large weights that cancel each
    other, which int8 cannot hold. So its norm never exceeds the larger of two: the norm that it had at the start, and
    that of He's initialization, ``sqrt(2 * outputs)``, which keeps the size of values from layer to layer.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the size of the update is that of
    Liu et al., "Muon is scalable for LLM training" (2025), equation 4.
    """

    def __init__(
        self, learning_rate: float, *, momentum: float = 0.95, size: float = 0.2, name: str = "Muon", **others: Any
    ) -> None:
        super().__init__(learning_rate, name=name, **others)
        self.momentum, self.size = momentum, size
        self._largest: dict[str, float] = {}

    def build(self, var_list: list[tf.Variable]) -> None:
        """Make the state for these variables, and note how large their kernels may become."""
        super().build(var_list)
        for each in var_list:
            key = self._var_key(each)
            if _is_matrix(each) and key not in self._largest:
                self._largest[key] = max(float(tf.norm(each)), math.sqrt(2.0 * each.shape[-1]))

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Take the step of one variable."""
        if not _is_matrix(variable):
            super().update_step(gradient, variable)
            return
        key = self._var_key(variable)
        average = self._momentums[self._index_dict[key]]
        average.assign(self.momentum * average + gradient)
        columns = variable.shape[-1]
        matrix = tf.reshape(gradient + self.momentum * average, (-1, columns))
        rate = tf.cast(self.learning_rate, variable.dtype) * self.size * math.sqrt(max(matrix.shape))
        moved = variable - rate * tf.reshape(orthogonalized(matrix), variable.shape)
        variable.assign(moved * tf.minimum(1.0, self._largest[key] / tf.norm(moved)))

    def get_config(self) -> dict[str, Any]:
        """What makes this optimizer again."""
        return {**super().get_config(), "momentum": self.momentum, "size": self.size}


def _is_matrix(variable: tf.Variable) -> bool:
    return len(variable.shape) == 4 and variable.shape[-1] >= _SMALLEST_KERNEL


def orthogonalized(matrix: tf.Tensor) -> tf.Tensor:
    """``matrix``, ``(rows, columns)``, with all its singular values moved to about 1 (0.7 to 1.2), by five steps of a
    Newton-Schulz iteration. The steps use the small product of the matrix with itself, because they commute with it.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    product = tf.matmul(matrix, matrix, transpose_a=not wide, transpose_b=wide)
    a, b, c = _COEFFICIENTS
    square = tf.linalg.trace(product) + 1e-20  # of the Frobenius norm, which is at least the largest singular value
    product /= square
    identity = tf.eye(product.shape[0], dtype=matrix.dtype)
    whole = identity
    for _ in range(_ITERATIONS):
        factor = a * identity + b * product + c * tf.matmul(product, product)
        whole = tf.matmul(factor, whole)
        product = tf.matmul(factor, tf.matmul(product, factor))
    whole *= tf.math.rsqrt(square)
    return tf.matmul(whole, matrix) if wide else tf.matmul(matrix, whole)

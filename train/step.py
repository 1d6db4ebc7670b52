"""One step of training: loss, gradients, their sum over all replicas, the optimizer, the weights' moving average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tf_keras as keras

from quietcam.errors import QuietcamError
from train.devices import Devices
from train.losses import charbonnier
from train.model import unclipped

__all__ = ["MemoryFullError", "Step", "Teacher", "largest_batch"]

_graph: Any = tf.function  # TensorFlow ships no types


class MemoryFullError(QuietcamError, MemoryError):
    """A step needs more memory than its device has."""


@dataclass(frozen=True)
class Teacher:
    """A trained network that another one learns from.

    Attributes:
        model: of the same ends as the model of ``Step``.
        weight: of its pictures in the loss, 0 to 1; the rest is the weight of the clean pictures.
    """

    model: keras.Model
    weight: float


@dataclass
class Step:
    """One step of training: call it with noisy and clean, float32 ``(batch, side, side, C)`` in [0, 1], for the loss.

    Args:
        averages: moving averages of the trainable weights, in their order; or empty. decay: of these averages.
        loss_scaling: whether ``optimizer`` scales losses.
        xla: compile the loss and its gradients with XLA.
    """

    model: keras.Model
    optimizer: Any
    averages: list[tf.Variable]
    decay: float
    devices: Devices
    loss_scaling: bool = False
    xla: bool = False
    teacher: Teacher | None = None
    _learner: Any = field(init=False, repr=False)
    _differentiate: Callable[..., Any] = field(init=False, repr=False)
    _step: Callable[..., Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._learner = unclipped(self.model)
        self._differentiate = _graph(self._gradients, jit_compile=True) if self.xla else self._gradients
        self._step = _graph(self._whole)

    def __call__(self, noisy: tf.Tensor, clean: tf.Tensor) -> float:
        """Take the step.

        Raises:
            MemoryFullError: the device's memory is too small; the message says which batch would fit.
        """
        try:
            return float(self._step(noisy, clean))
        except tf.errors.ResourceExhaustedError as error:
            raise self._too_large(noisy, clean) from error

    def _whole(self, noisy: tf.Tensor, clean: tf.Tensor) -> tf.Tensor:
        loss = self.devices.run(self._replica, noisy, clean)
        taken = tf.cast(self.optimizer.iterations, tf.float32)
        # Early on the average forgets faster, or it would remember the untrained network.
        decay = tf.minimum(self.decay, (1.0 + taken) / (10.0 + taken))
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=bool(self.averages)):
            average.assign(decay * average + (1.0 - decay) * weight)
        return loss

    def _replica(self, noisy: tf.Tensor, clean: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._differentiate(self.devices.slice(noisy), self.devices.slice(clean))
        if self.loss_scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        # Summed over the replicas, and only then clipped, by the optimizer.
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        return loss

    def _gradients(self, noisy: tf.Tensor, clean: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            denoised = tf.cast(self._learner(noisy, training=True), tf.float32)
            loss = charbonnier(clean, denoised)
            if self.teacher is not None:
                shown = tf.stop_gradient(tf.cast(self.teacher.model(noisy, training=False), tf.float32))
                loss = (1.0 - self.teacher.weight) * loss + self.teacher.weight * charbonnier(shown, denoised)
            # Each replica's share of the mean over the whole batch, so that their sum is that mean.
            loss = loss / self.devices.replicas
            scaled = self.optimizer.get_scaled_loss(loss) if self.loss_scaling else loss
        return loss, tape.gradient(scaled, self.model.trainable_variables)

    def _too_large(self, noisy: tf.Tensor, clean: tf.Tensor) -> MemoryFullError:
        replicas, side = self.devices.replicas, noisy.shape[1]
        probe = _graph(self._gradients)
        fits = largest_batch(lambda each: probe(noisy[:each], clean[:each]), noisy.shape[0] // replicas)
        remedy = (
            f"batch = {fits * replicas} in [training] fits"
            if fits
            else "not even one patch a device fits: lower patch, or choose a smaller network"
        )
        return MemoryFullError(
            f"A step must fit into the device's memory. Received: batch={noisy.shape[0]} of {side}x{side}"
            f"{f', on {replicas} devices' if replicas > 1 else ''}. Remedy: {remedy}."
        )


def largest_batch(attempt: Callable[[int], Any], batch: int) -> int:
    """The largest of ``batch / 2``, ``batch / 4`` and so on for which ``attempt`` has memory; 0 for none."""
    while batch > 1:
        batch //= 2
        try:
            attempt(batch)
        except tf.errors.ResourceExhaustedError:
            continue
        return batch
    return 0

"""One step of training: loss, gradients, their sum over all replicas, the optimizer, the weights' moving average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tf_keras as keras

from quietcam.errors import QuietcamError
from train.config import VideoConfig
from train.devices import Devices
from train.losses import charbonnier, moving_error, relative_error
from train.model import unclipped
from train.unrolled import Unrolled

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
    """One step of training: call it with a batch, for the loss.

    Of a still network, a batch is noisy and clean, float32 ``(batch, side, side, C)`` in [0, 1]; of a video network, it
    is what ``train.patches.sequences`` gives.

    Args:
        averages: moving averages of the trainable weights, in their order; or empty. decay: of these averages.
        loss_scaling: whether ``optimizer`` scales losses.
        xla: compile the loss and its gradients with XLA.
        video: how a video network learns; None for a still network.
        rounded: whether it learns with kernels and values of 8 bits, see ``train.model.unclipped``.
    """

    model: keras.Model
    optimizer: Any
    averages: list[tf.Variable]
    decay: float
    devices: Devices
    loss_scaling: bool = False
    xla: bool = False
    teacher: Teacher | None = None
    video: VideoConfig | None = None
    rounded: bool = False
    _loss: Callable[..., tf.Tensor] = field(init=False, repr=False)
    _differentiate: Callable[..., Any] = field(init=False, repr=False)
    _step: Callable[..., Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._loss = self._still_loss() if self.video is None else self._video_loss(self.video)
        self._differentiate = _graph(self._gradients, jit_compile=True) if self.xla else self._gradients
        self._step = _graph(self._whole)

    def __call__(self, *batch: tf.Tensor) -> float:
        """Take the step.

        Raises:
            MemoryFullError: the device's memory is too small; the message says which batch would fit.
        """
        try:
            return float(self._step(*batch))
        except tf.errors.ResourceExhaustedError as error:
            raise self._too_large(batch) from error

    def _whole(self, *batch: tf.Tensor) -> tf.Tensor:
        loss = self.devices.run(self._replica, *batch)
        taken = tf.cast(self.optimizer.iterations, tf.float32)
        # Early on the average forgets faster, or it would remember the untrained network.
        decay = tf.minimum(self.decay, (1.0 + taken) / (10.0 + taken))
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=bool(self.averages)):
            average.assign(decay * average + (1.0 - decay) * weight)
        return loss

    def _replica(self, *batch: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._differentiate(*map(self.devices.slice, batch))
        if self.loss_scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        # Summed over the replicas, and only then clipped, by the optimizer.
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        return loss

    def _gradients(self, *batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            # Each replica's share of the mean over the whole batch, so that their sum is that mean.
            loss = self._loss(*batch) / self.devices.replicas
            scaled = self.optimizer.get_scaled_loss(loss) if self.loss_scaling else loss
        return loss, tape.gradient(scaled, self.model.trainable_variables)

    def _still_loss(self) -> Callable[..., tf.Tensor]:
        learner, teacher = unclipped(self.model, rounded=self.rounded), self.teacher

        def loss(noisy: tf.Tensor, clean: tf.Tensor) -> tf.Tensor:
            denoised = tf.cast(learner(noisy, training=True), tf.float32)
            if teacher is None:
                return charbonnier(clean, denoised)
            shown = tf.cast(teacher.model(noisy, training=False), tf.float32)
            return _taught(clean, denoised, shown, teacher.weight)

        return loss

    def _video_loss(self, video: VideoConfig) -> Callable[..., tf.Tensor]:
        learner, teacher = Unrolled(self.model, video.unroll, rounded=self.rounded), self.teacher
        shows = None if teacher is None else Unrolled(teacher.model, video.unroll, learns=False)

        def loss(noisy: tf.Tensor, clean: tf.Tensor, remembers: tf.Tensor) -> tf.Tensor:
            noisy, clean = (tf.cast(each, tf.float32) / 255.0 for each in (noisy, clean))
            denoised, fused = learner(noisy, remembers)
            # Without history the fused frame is the noisy frame, which nothing can be learned from.
            error = relative_error(clean, fused, noisy[:, -video.unroll :]) * tf.cast(remembers, tf.float32)[:, None]
            beside = video.fused_weight * tf.reduce_mean(error)
            if video.moving_weight:
                moving = moving_error(clean, denoised) * tf.cast(remembers, tf.float32)
                beside += video.moving_weight * tf.reduce_mean(moving)
            if teacher is None or shows is None:
                return charbonnier(clean, denoised) + beside
            return _taught(clean, denoised, shows(noisy, remembers)[0], teacher.weight) + beside

        return loss

    def _too_large(self, batch: tuple[tf.Tensor, ...]) -> MemoryFullError:
        replicas, (count, *_, side, _) = self.devices.replicas, batch[0].shape
        probe = _graph(self._gradients)
        fits = largest_batch(lambda each: probe(*(part[:each] for part in batch)), count // replicas)
        smaller = "lower patch, unroll" if self.video else "lower patch"
        remedy = (
            f"batch = {fits * replicas} in [training] fits"
            if fits
            else f"not even one patch a device fits: {smaller}, or choose a smaller network"
        )
        return MemoryFullError(
            f"A step must fit into the device's memory. Received: batch={count} of {side}x{side}"
            f"{f', on {replicas} devices' if replicas > 1 else ''}. Remedy: {remedy}."
        )


def _taught(clean: tf.Tensor, denoised: tf.Tensor, shown: tf.Tensor, weight: float) -> tf.Tensor:
    """The loss against the clean pictures and against those that a teacher shows."""
    return (1.0 - weight) * charbonnier(clean, denoised) + weight * charbonnier(tf.stop_gradient(shown), denoised)


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

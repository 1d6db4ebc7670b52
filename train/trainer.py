"""The training loop: warm-up and cosine within a budget of steps and minutes, validation, history, the best left
behind."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.atomic import atomic_path, write_bytes, write_text
from quietcam.data.crops import Crops
from quietcam.errors import QuietcamError, StoppedError
from quietcam.progress import progress
from train.dataset import training_patches
from train.losses import charbonnier, psnr_uint8
from train.sources import Mixture, PatchSource

__all__ = ["Budget", "HistoryRow", "Loop", "TrainingDivergedError", "inference", "save_model", "validate"]

Denoise = Callable[[tf.Tensor], tf.Tensor]
"""float32 ``(batch, H, W, C)`` in [0, 1] to the same."""

_WARM_UP = 0.05
_CHECKS = 8


class TrainingDivergedError(QuietcamError, ArithmeticError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Budget:
    """How long a phase may take: it ends with its steps or with its minutes, whichever comes first."""

    steps: int
    minutes: float

    def share(self, step: int, seconds: float) -> float:
        """How much of the budget is used after ``step`` steps and ``seconds``, 0 to 1."""
        return min(1.0, max(step / self.steps, seconds / (60.0 * self.minutes)))


@dataclass(frozen=True)
class HistoryRow:
    """One line of ``history.csv``: the mean loss since the line before, and PSNR in dB on the validation crops."""

    phase: str
    step: int
    seconds: float
    learning_rate: float
    loss: float
    validation_psnr: float


def rate(share: float, peak: float) -> float:
    """Learning rate at ``share`` of the budget: a linear warm-up, then half a cosine to a hundredth of the peak."""
    if share < _WARM_UP:
        return peak * (0.02 + 0.98 * share / _WARM_UP)
    falling = (share - _WARM_UP) / (1 - _WARM_UP)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))


@dataclass
class Loop:
    """One phase of training (float, pruning, quantization-aware) on one model.

    Args:
        phase: its name, for progress and history.
        model: anything that maps a float32 batch in [0, 1] to one of the same shape.
        run: the folder that takes ``history.csv`` and ``checkpoints/``; None leaves nothing behind.
        least_steps: steps that are taken whatever the minutes say.
    """

    phase: str
    model: keras.Model
    budget: Budget
    learning_rate: float
    seed: int = 0
    run: Path | None = None
    least_steps: int = 1
    _kept: HistoryRow | None = field(default=None, init=False)

    def fit(
        self, training: Crops | PatchSource | Mixture, validation: Crops, *, patch: int, batch: int
    ) -> list[HistoryRow]:
        """Train until the budget is used; return the history.

        Raises:
            TrainingDivergedError: the loss became NaN or infinite.
            StoppedError: Ctrl-C; the message says where the weights of the last validation are.
        """
        try:
            return self._fit(training, validation, patch, batch)
        except KeyboardInterrupt:
            raise StoppedError(f"{self.phase} was interrupted; {self._what_is_kept()}") from None

    def _fit(
        self, training: Crops | PatchSource | Mixture, validation: Crops, patch: int, batch: int
    ) -> list[HistoryRow]:
        optimizer = keras.optimizers.Adam(self.learning_rate, clipnorm=1.0)
        optimizer.build(self.model.trainable_variables)
        step_once = self._step_function(optimizer)
        denoise = inference(self.model)
        stream = iter(training_patches(training, patch=patch, batch=batch, seed=self.seed))
        rows: list[HistoryRow] = []
        losses: list[float] = []
        start, step, share, next_check = time.monotonic(), 0, 0.0, 1.0 / _CHECKS
        with progress(f"{self.phase}, percent", 100) as bar:
            while share < 1.0:
                now = rate(share, self.learning_rate)
                optimizer.learning_rate.assign(now)
                losses.append(float(step_once(*next(stream))))
                step += 1
                used = self.budget.share(step, time.monotonic() - start)
                if used >= 1.0 and step < self.least_steps:
                    used = 0.999
                bar.advance(100 * max(0.0, used - share), f"loss {np.mean(losses[-50:]):.4f}")
                share = used
                if share >= next_check or share >= 1.0:
                    self._refuse_divergence(step, losses)
                    next_check += 1.0 / _CHECKS
                    rows.append(
                        HistoryRow(
                            self.phase,
                            step,
                            round(time.monotonic() - start, 2),
                            now,
                            float(np.mean(losses)),
                            validate(denoise, validation),
                        )
                    )
                    losses.clear()
                    bar.advance(0, f"validation {rows[-1].validation_psnr:.2f} dB")
                    self._keep(rows)
        return rows

    def _refuse_divergence(self, step: int, losses: list[float]) -> None:
        # The clip at the network's end maps NaN to a number, so the loss alone does not tell.
        weights_are_numbers = all(np.isfinite(v.numpy()).all() for v in self.model.trainable_variables)
        if not (weights_are_numbers and np.isfinite(losses).all()):
            raise TrainingDivergedError(
                f"Loss and weights must stay numbers. Received: NaN or infinity by step {step} of {self.phase}. "
                f"Remedy: lower learning_rate (now {self.learning_rate:g})."
            )

    def _step_function(self, optimizer: keras.optimizers.Optimizer) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        model = self.model

        @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
        def step_once(noisy: tf.Tensor, clean: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = charbonnier(clean, model(noisy, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        compiled: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = step_once
        return compiled

    def _keep(self, rows: list[HistoryRow]) -> None:
        if self.run is None:
            return
        write_history(self.run / "history.csv", rows, self.phase)
        # Not with Keras, since HDF5 takes the process down on a disk that is full.
        content = io.BytesIO()
        np.savez(content, *self.model.get_weights())
        write_bytes(_checkpoint(self.run, self.phase), content.getvalue())
        self._kept = rows[-1]

    def _what_is_kept(self) -> str:
        if self.run is None or self._kept is None:
            return "it came to no validation, so nothing of it is kept"
        return (
            f"the weights of its last validation ({self._kept.validation_psnr:.2f} dB at step {self._kept.step}) "
            f"are kept in {_checkpoint(self.run, self.phase)}"
        )


def _checkpoint(run: Path, phase: str) -> Path:
    """Takes the arrays of ``model.get_weights()``, in their order."""
    return run / "checkpoints" / f"{phase}.weights.npz"


def inference(model: keras.Model) -> Denoise:
    """``model`` as a graph that runs without training; make it once and use it often."""
    compiled: Denoise = tf.function(lambda noisy: model(noisy, training=False), reduce_retracing=True)
    return compiled


def validate(denoise: Denoise, crops: Crops, batch: int = 8) -> float:
    """Mean PSNR in dB over whole crops, on uint8."""
    found: list[float] = []
    for start in range(0, len(crops.noisy), batch):
        noisy = tf.cast(crops.noisy[start : start + batch], tf.float32) / 255.0
        clean = tf.cast(crops.clean[start : start + batch], tf.float32) / 255.0
        found.extend(psnr_uint8(clean, denoise(noisy)).numpy().tolist())
    return float(np.mean(found))


def write_history(path: Path, rows: list[HistoryRow], phase: str) -> None:
    """Put ``rows`` into ``history.csv`` in place of that phase's earlier ones."""
    earlier: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            earlier = [dict(row) for row in csv.DictReader(file) if row["phase"] != phase]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(HistoryRow.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(earlier)
    writer.writerows(
        {
            **asdict(row),
            "learning_rate": f"{row.learning_rate:.3g}",
            "loss": f"{row.loss:.6f}",
            "validation_psnr": f"{row.validation_psnr:.3f}",
        }
        for row in rows
    )
    write_text(path, text.getvalue())


def save_model(model: keras.Model, path: Path) -> None:
    """Save ``model`` as a ``.keras`` file, whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary, overwrite=True, save_format="keras")

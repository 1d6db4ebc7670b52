"""The training loop: steps within a budget, averaged weights, validation, history, checkpoints to resume from."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.data.crops import Crops
from quietcam.errors import QuietcamError, StoppedError, UsageError
from quietcam.files.strict_json import parse_object
from quietcam.terminal.log import log
from quietcam.terminal.progress import progress
from train.config import VideoConfig
from train.devices import Devices
from train.evaluation.validation import inference, validate
from train.muon import Muon
from train.patches.clips import ClipCrops
from train.patches.dataset import training_patches
from train.patches.extra_noise import ExtraNoise
from train.patches.sequences import training_sequences
from train.patches.sources import CropSource, Mixture, PatchSource
from train.run_directory.history import HistoryRow, write_history
from train.run_directory.state import State, read_state, write_state
from train.run_directory.tensorboard import Board
from train.schedule import Budget, rate
from train.step import Step, Teacher

__all__ = ["Loop", "TrainingDivergedError"]

_CHECKS = 16
_KEEP_SECONDS = 120.0
_TRIES = 3
"""How often a run that diverged returns to its checkpoint before it fails."""


class TrainingDivergedError(QuietcamError, ArithmeticError):
    """The loss is no longer a number."""


@dataclass
class Loop:
    """One phase of training (float, pruning, quantization-aware) on one model.

    Args:
        phase: its name, for progress, history and checkpoint.
        model: any model that maps a float32 batch in [0, 1] to one of the same shape.
        learning_rate: peak of the learning rate.
        seed: seed of the order of patches and of augmentation.
        run: the folder in which ``history.csv`` and ``checkpoints/`` are written; None writes nothing.
        least_steps: steps that are taken even if the minutes end earlier.
        average: decay of the exponential moving average of the weights; 0 keeps none. The averaged weights are
            validated, and are left in the model at the end.
        loss_scaling: needed for mixed_float16, in which small gradients would become zero.
        recipe: the settings of this run except its budget; a checkpoint with another recipe is not resumed.
        devices: the devices to compute on; ``model`` must be made in the scope of their strategy. Only the chief
            writes.
        xla: compile the step with XLA.
        teacher: another network to learn from.
        video: how a video network learns, on sequences of frames; None for a still network.
        rounded: learn with kernels and values of 8 bits; the network is validated so, too.
        optimizer: takes a learning rate and the global clip of the gradients' norm.
    """

    phase: str
    model: keras.Model
    budget: Budget
    learning_rate: float
    seed: int = 0
    run: Path | None = None
    least_steps: int = 1
    average: float = 0.0
    loss_scaling: bool = False
    recipe: str = ""
    devices: Devices = field(default_factory=Devices)
    xla: bool = False
    teacher: Teacher | None = None
    video: VideoConfig | None = None
    optimizer: type[keras.optimizers.Adam] = Muon
    rounded: bool = False
    _optimizer: Any = field(init=False, repr=False)
    _averages: list[tf.Variable] = field(init=False, repr=False)
    _rows: list[HistoryRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with self.devices.strategy.scope():
            plain = self.optimizer(self.learning_rate, global_clipnorm=1.0)
            self._optimizer = keras.mixed_precision.LossScaleOptimizer(plain) if self.loss_scaling else plain
            plain.build(self.model.trainable_variables)
            weights = self.model.trainable_variables if self.average else []
            self._averages = [tf.Variable(weight, trainable=False) for weight in weights]
        self._rows = []

    def fit(
        self,
        training: Crops | PatchSource | Mixture,
        validation: Mapping[str, Crops | ClipCrops],
        *,
        patch: int,
        batch: int,
        extra: ExtraNoise | None = None,
        resume: bool = False,
    ) -> list[HistoryRow]:
        """Train until the budget is used; return the history.

        Args:
            validation: crops by the name of their set.
            extra: plain noise in addition to the pairs' noise. Defaults to none.
            resume: continue from the checkpoint of the run. On one device, with deterministic operators and a budget of
                steps, the result is bit for bit that of a run that was never interrupted.

        Raises:
            TrainingDivergedError: loss or weights became NaN or infinite, also after returning to a checkpoint.
            MemoryFullError: a step does not fit into the device's memory; the message says which batch would.
            StoppedError: Ctrl-C; the message says what is kept.
            UsageError: there is no checkpoint to resume from, or it has another recipe; or the batch cannot be
                shared equally among the devices.
        """
        self.devices.check_batch(batch)
        state = self._resumed() if resume else self._state(0, 0.0, 0)
        step, slowed, used_before = state.step, state.slowed, state.seconds
        step_once = self._step_function()
        denoise = inference(self.model)
        stream = self._stream(training, patch=patch, batch=batch, first=step, extra=extra)
        losses: list[float] = []
        start = time.monotonic()
        share = self.budget.share(step, used_before)
        next_check, next_keep = (math.floor(share * _CHECKS) + 1) / _CHECKS, start + _KEEP_SECONDS

        def seconds() -> float:
            return used_before + time.monotonic() - start

        try:
            with progress(f"{self.phase}, percent", 100) as bar, Board(self._folder, self.phase, validation) as board:
                bar.advance(100 * share)
                while share < 1.0:
                    now = rate(share, self.learning_rate) * 0.5**slowed
                    self._optimizer.learning_rate.assign(now)
                    losses.append(float(step_once(*next(stream))))
                    step += 1
                    used = self.budget.share(step, self.devices.agree(seconds()))
                    if used >= 1.0 and step < self.least_steps:
                        used = 0.999
                    bar.advance(100 * max(0.0, used - share), f"loss {np.mean(losses[-50:]):.4f}")
                    share = used
                    check = share >= next_check or share >= 1.0
                    if not self._is_sound(losses[-1], with_weights=check):
                        slowed = self._go_back(state, step, slowed)
                        losses.pop()
                        continue
                    if check:
                        next_check += 1.0 / _CHECKS
                        with self._averaged():
                            found = {name: validate(denoise, crops) for name, crops in validation.items()}
                            self._rows.append(HistoryRow.of(self.phase, step, seconds(), now, losses, found))
                            board.show(self._rows[-1], found, denoise)
                        losses.clear()
                        bar.advance(0, f"validation {self._rows[-1].validation_psnr:.2f} dB")
                    if check or time.monotonic() >= next_keep:
                        next_keep = time.monotonic() + _KEEP_SECONDS
                        state = self._state(step, seconds(), slowed)
                        self._keep(state)
        except KeyboardInterrupt:
            if step > state.step and losses and self._is_sound(losses[-1], with_weights=True):
                self._keep(self._state(step, seconds(), slowed))
            raise StoppedError(f"{self.phase} was interrupted; {self._what_is_kept(step)}") from None
        for weight, average in zip(self.model.trainable_variables, self._averages, strict=bool(self._averages)):
            weight.assign(average)
        return self._rows

    def _stream(self, training: Crops | PatchSource | Mixture, **how: Any) -> Iterator[tuple[tf.Tensor, ...]]:
        if self.video is None:
            return iter(training_patches(training, seed=self.seed, **how))
        source = CropSource(training) if isinstance(training, Crops) else training
        mixture = source if isinstance(source, Mixture) else Mixture([(source, 1.0)])
        return iter(training_sequences(mixture, video=self.video, seed=self.seed, **how))

    def _step_function(self) -> Callable[..., float]:
        return Step(
            self.model,
            self._optimizer,
            self._averages,
            self.average,
            self.devices,
            loss_scaling=self.loss_scaling,
            xla=self.xla,
            teacher=self.teacher,
            video=self.video,
            rounded=self.rounded,
        )

    @property
    def _folder(self) -> Path | None:
        """The folder that this process writes to; None if it is not the chief, because only the chief writes."""
        return self.run if self.devices.is_chief else None

    def _is_sound(self, loss: float, *, with_weights: bool) -> bool:
        """Whether the loss and, if requested, the weights are finite: the network's clip hides a NaN from the loss."""
        return math.isfinite(loss) and not (
            with_weights and any(not np.isfinite(v.numpy()).all() for v in self.model.trainable_variables)
        )

    def _go_back(self, good: State, step: int, slowed: int) -> int:
        """Return to the last good checkpoint, with half the learning rate. Step numbers continue, so that other patches
        follow."""
        if slowed >= _TRIES:
            raise TrainingDivergedError(
                f"Loss and weights must stay finite. Received: NaN or infinity by step {step} of {self.phase}, also "
                f"after {slowed} returns to step {good.step} at a lower rate. "
                f"Remedy: lower learning_rate (now {self.learning_rate:g})."
            )
        log.warning("NaN or infinity at step %d: back to step %d, at half the learning rate", step, good.step)
        self._restore(good)
        return slowed + 1

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model inside the ``with`` block."""
        weights = self.model.trainable_variables if self._averages else []
        current = [weight.numpy() for weight in weights]
        try:
            for weight, average in zip(weights, self._averages, strict=True):
                weight.assign(average)
            yield
        finally:
            for weight, value in zip(weights, current, strict=True):
                weight.assign(value)

    def _state(self, step: int, seconds: float, slowed: int) -> State:
        return State(
            step=step,
            seconds=round(seconds, 2),
            weights=self.model.get_weights(),
            optimizer=[variable.numpy() for variable in self._optimizer.variables],
            average=[variable.numpy() for variable in self._averages],
            slowed=slowed,
            rows=[asdict(row) for row in self._rows],
            recipe=self.recipe,
        )

    def _restore(self, state: State) -> None:
        self.model.set_weights(state.weights)
        for variables, values in ((self._optimizer.variables, state.optimizer), (self._averages, state.average)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _resumed(self) -> State:
        path = None if self.run is None else _checkpoint(self.run, self.phase)
        if path is None or not path.is_file():
            raise UsageError(
                f"Training can be resumed only from a checkpoint. Received: {self.run}, which has none of "
                f"{self.phase}. "
                "Remedy: leave `resume` out; `overwrite` deletes the existing run."
            )
        state = read_state(path)
        shapes = [weight.shape for weight in self.model.get_weights()]
        if state.recipe != self.recipe or [weight.shape for weight in state.weights] != shapes:
            differ = _differences(state.recipe, self.recipe)
            raise UsageError(
                "Training must be resumed with the network, the settings and the data that it began with; only steps "
                f"and minutes may change. Received: {path}, which differs in {differ}. "
                "Remedy: give the same config and `data` again, or start again with `overwrite`."
            )
        self._restore(state)
        self._rows = [HistoryRow(**row) for row in state.rows]
        return state

    def _keep(self, state: State) -> None:
        if self._folder is None:
            return
        write_history(self._folder / "history.csv", self._rows, self.phase)
        write_state(_checkpoint(self._folder, self.phase), state)

    def _what_is_kept(self, step: int) -> str:
        if self.run is None or not _checkpoint(self.run, self.phase).is_file():
            return "nothing is kept"
        last = f", {self._rows[-1].validation_psnr:.2f} dB at its last validation" if self._rows else ""
        return f"its state after {step} steps is kept{last}. To continue, give the same command with `resume`"


def _checkpoint(run: Path, phase: str) -> Path:
    return run / "checkpoints" / f"{phase}.npz"


def _differences(theirs: str, ours: str) -> str:
    """The parts in which two recipes differ."""
    a, b = (parse_object(recipe or "{}") for recipe in (theirs, ours))
    found = []
    for name in sorted(a.keys() | b.keys()):
        one, other = a.get(name), b.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{name}.{key}" for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
        elif one != other:
            found.append(name)
    return ", ".join(found) or "the shapes of its weights"

"""The devices that a run computes on: one device, all GPUs of a machine, or the machines that TF_CONFIG names."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tensorflow as tf

from quietcam.errors import QuietcamError, UsageError
from quietcam.files.strict_json import parse_object
from quietcam.terminal.log import log

__all__ = ["Devices", "WorkerLostError", "choose_devices", "choose_xla", "is_chief"]

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
"""The errors that TensorFlow raises if another worker is lost."""


class WorkerLostError(QuietcamError, ConnectionError):
    """Another worker of the same run is lost."""


@dataclass(frozen=True)
class Devices:
    """The replicas of a network that train together; each computes an equal slice of every batch.

    Attributes:
        strategy: the strategy of TensorFlow in whose scope variables are created.
        workers: how many processes take part. is_chief: whether this one writes.
    """

    strategy: Any = field(default_factory=tf.distribute.get_strategy)
    workers: int = 1
    is_chief: bool = True

    @property
    def replicas(self) -> int:
        """The number of replicas on all workers."""
        count: int = self.strategy.num_replicas_in_sync
        return count

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Wrap work that all workers do at the same time.

        Raises:
            WorkerLostError: another worker is lost.
        """
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            raise WorkerLostError(
                "All workers of a run must stay alive until its end. "
                f"Received: {type(error).__name__} from TensorFlow. "
                "Remedy: read the messages of the other workers, then start all of them again, with `resume` to "
                "continue."
            ) from error

    def check_batch(self, batch: int) -> None:
        """Raise UsageError if ``batch`` cannot be shared equally among the replicas."""
        if batch % self.replicas:
            fits = max(self.replicas, round(batch / self.replicas) * self.replicas)
            raise UsageError(
                f"A batch must be a multiple of the number of devices, {self.replicas}. Received: batch={batch}. "
                f"Remedy: batch = {fits} in [training]."
            )

    def check_alike(self, recipe: str) -> None:
        """Raise UsageError if the chief has another recipe than this worker."""
        mine = float(zlib.crc32(recipe.encode()) & 0xFFFFFF)  # as many bits as a float32 holds exactly
        if self.agree(mine) != mine:
            raise UsageError(
                "All workers of a run must have the same config, data and versions. Received: different ones from "
                "the chief's. "
                "Remedy: start the same command with the same files on each of them."
            )

    def slice(self, batch: tf.Tensor) -> tf.Tensor:
        """This replica's part of a batch. Call it inside ``run``."""
        if self.replicas == 1:
            return batch
        each = batch.shape[0] // self.replicas
        start = tf.distribute.get_replica_context().replica_id_in_sync_group * each
        others = batch.shape.rank - 1
        part = tf.slice(batch, [start, *[0] * others], [each, *[-1] * others])
        return tf.ensure_shape(part, [each, *batch.shape[1:]])

    def run(self, replica: Callable[..., tf.Tensor], *arguments: tf.Tensor) -> tf.Tensor:
        """The sum of what all replicas return for the same arguments."""
        if self.replicas == 1:
            return replica(*arguments)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, self.strategy.run(replica, arguments), axis=None)

    def agree(self, value: float) -> float:
        """The chief's ``value``, since clocks of workers differ and all must take the same steps."""
        return value if self.workers == 1 else float(self._chiefs(tf.constant(value, tf.float32)))

    @cached_property
    def _chiefs(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def mine(value: tf.Tensor) -> tf.Tensor:
            return tf.where(tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0), value, 0.0)

        compiled: Callable[[tf.Tensor], tf.Tensor] = tf.function(lambda value: self.run(mine, value))
        return compiled


def choose_devices() -> Devices:
    """All devices that this process may train on. Call this before TensorFlow computes anything else.

    With ``TF_CONFIG`` in the environment this process is one of several workers (MultiWorkerMirroredStrategy).
    Otherwise it uses all GPUs of the machine if there are several (MirroredStrategy), or the one GPU, or the CPU.

    Raises:
        UsageError: TensorFlow cannot read ``TF_CONFIG``.
    """
    cluster = os.environ.get("TF_CONFIG", "")
    if cluster:
        workers, index = _read_cluster(cluster)
        if workers > 1:
            log.info("worker %d of %d: waiting for the others", index, workers)
            return Devices(tf.distribute.MultiWorkerMirroredStrategy(), workers, is_chief=index == 0)
    else:
        os.environ.pop("TF_CONFIG", None)  # TensorFlow fails on an empty one
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return Devices(tf.distribute.MirroredStrategy())
    return Devices()


def is_chief() -> bool:
    """Whether this process is the chief, which writes all files, by ``TF_CONFIG``."""
    cluster = os.environ.get("TF_CONFIG", "")
    return not cluster or _read_cluster(cluster)[1] == 0


def _read_cluster(text: str) -> tuple[int, int]:
    """The number of workers in TF_CONFIG, and the index of this one."""
    try:
        values = parse_object(text)
        workers, task = values["cluster"]["worker"], values["task"]
        if task["type"] == "worker" and set(values["cluster"]) == {"worker"} and 0 <= int(task["index"]) < len(workers):
            return len(workers), int(task["index"])
    except (ValueError, KeyError, TypeError):
        pass
    raise UsageError(
        f"TF_CONFIG must name all workers and the index of this one. Received: {text}. Remedy: "
        """TF_CONFIG='{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'"""
    )


def choose_xla(name: str) -> bool:
    """Whether XLA compiles the step, by a config's ``xla``: ``auto`` does so on a GPU (never tried)."""
    return name == "on" or (name == "auto" and bool(tf.config.list_physical_devices("GPU")))

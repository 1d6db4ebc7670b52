"""The trial: before a model takes over, it runs whole frames in a child process, where a fault does no harm."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator

from edge.child.memory import memory_limit
from edge.child.process import GRACE, Child, ChildError, Shared
from edge.network.interpreter import check_threads
from edge.network.modelfile import ModelFile
from quietcam.errors import ModelError
from quietcam.files.strict_json import dump_json

__all__ = ["DONE", "PATIENCE", "Trial", "try_unknown"]

DONE = b"all of it ran"
"""The answer of a child that found nothing wrong."""

PATIENCE = 300.0
"""Seconds that a trial may take: it starts Python, loads the model and runs it three times, and frames come first."""

_OURS = 192 << 20  # bytes; Python and numpy take 65 MiB as measured
_FRAMES, _ARENAS, _CONTENTS = 16, 16, 8  # multiples of each size; a third of these was measured
_ENDED = "The run has ended"
_JOB = "edge.child.trial_job:run"


class Trial:
    """Tries models, one at a time. ``stop`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped = False

    def of(self, model: ModelFile, shape: tuple[int, ...], threads: int, overlap: int | None = None) -> None:
        """Load ``model`` in a child process with limits of time and memory, and run it by the code of live frames.

        It runs its golden frame, and frames of ``shape`` ``(H, W, C)`` at their own size and at half of it.

        Args:
            model: the model to try.
            shape: of the frames that it is meant for.
            threads, overlap: as for :class:`edge.network.denoiser.Denoiser`.

        Raises:
            ModelError: the trial failed. This process is not affected.
        """
        manifest = dump_json(model.manifest.to_dict()).encode() if model.manifest else b"null"
        argument = {
            "about": model.about(),
            "shape": shape,
            "threads": threads,
            "overlap": overlap,
        }
        try:
            with self._started(argument, _memory(model, shape), model.content, manifest) as child:
                if bytes(child.answer(PATIENCE)) != DONE:
                    raise ChildError("It sent an invalid answer")
        except (ChildError, OSError) as error:
            raise ModelError(
                "A model must run whole frames in a child process before it takes over. Received: "
                f"{model.path}: {str(error).rstrip('.')}. Remedy: convert the model again with `quietcam convert`."
            ) from error

    def stop(self) -> None:
        """End the running trial, which then raises, and let no other begin."""
        with self._lock:
            self._stopped, child = True, self._child
        if child is not None:
            child.kill()

    @contextlib.contextmanager
    def _started(self, argument: object, memory: int, *contents: bytes) -> Iterator[Child]:
        with contextlib.ExitStack() as stack:
            shared = [stack.enter_context(contextlib.closing(Shared.holding(each))) for each in contents]
            if self._stopped:
                raise ChildError(_ENDED)
            child = Child(_JOB, argument, shared, memory=memory)
            stack.callback(child.join, GRACE)  # so that its memory is free before this process takes as much
            stack.callback(child.kill)  # it has nothing to clean up
            with self._lock:
                self._child, stopped = child, self._stopped
            if stopped:
                raise ChildError(_ENDED)
            try:
                yield child
            finally:
                with self._lock:
                    self._child = None


def try_unknown(model: ModelFile | None, size: tuple[int, int] | None, threads: int | None) -> None:
    """Try a model without a manifest before this process loads it.

    A damaged model then ends the command with a message and not with a signal. A model whose manifest holds its hash
    was made by ``convert`` and is not tried.

    Args:
        model: None, and models compiled for the Edge TPU, are not tried.
        size: ``(width, height)`` of the frames. Defaults to the model's own.
        threads: as for :class:`edge.network.denoiser.Denoiser`.

    Raises:
        ModelError: it fails.
        UsageError: ``threads`` is below 1.
    """
    if (
        model is not None and model.manifest is None and not model.is_compiled
    ):  # compiled ones never run in this process
        width, height = size or (model.width, model.height)
        Trial().of(model, (height, width, 3), check_threads(threads))


def _memory(model: ModelFile, shape: tuple[int, ...]) -> int:
    """Bytes that the trial may take: several times what such a model and such frames need, but no more than any child.

    A model that needs more would need it in this process, too.
    """
    needed = _OURS + _FRAMES * math.prod(shape) + _ARENAS * model.arena + _CONTENTS * len(model.content)
    return min(needed, memory_limit())

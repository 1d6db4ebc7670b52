"""The trial: a model that is to take over runs whole frames in a child process first, where it can do no harm."""

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
"""What a child answers where nothing was wrong."""

PATIENCE = 300.0
"""Seconds that a trial may take, on a slow device whose frames come first: starting Python, loading, three runs."""

_OURS = 192 << 20  # bytes: Python and numpy take 65 MiB here
_FRAMES, _ARENAS, _CONTENTS = 16, 16, 8  # of each so many; a third of it was seen
_JOB = "edge.child.trial_job:run"
_ABOUT = ("height", "width", "channels", "ends", "block", "is_compiled")


class Trial:
    """Tries models, one at a time. ``stop`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped = False

    def of(self, model: ModelFile, shape: tuple[int, ...], threads: int, overlap: int | None = None) -> None:
        """Load ``model``, the very bytes, run its golden frame, and frames of ``shape`` ``(H, W, C)``, whole and at
        half the size, through the same code as the live ones, with limits of time and memory.

        Raises:
            ModelError: anything went wrong. Nothing of it has happened in this process.
        """
        manifest = dump_json(model.manifest.to_dict()).encode() if model.manifest else b"null"
        argument = {
            "path": str(model.path),
            "about": {name: getattr(model, name) for name in _ABOUT},
            "shape": shape,
            "threads": threads,
            "overlap": overlap,
        }
        try:
            with self._started(argument, _memory(model, shape), model.content, manifest) as child:
                if bytes(child.answer(PATIENCE)) != DONE:
                    raise ChildError("It sent what is no answer")
        except (ChildError, OSError) as error:
            raise ModelError(
                "A model must run whole frames in a process of its own before it takes over. Received: "
                f"{model.path}: {str(error).rstrip('.')}. Remedy: convert the model again with `quietcam convert`."
            ) from error

    def stop(self) -> None:
        """End what is under way, which raises there, and let nothing begin any more."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()

    @contextlib.contextmanager
    def _started(self, argument: object, memory: int, *contents: bytes) -> Iterator[Child]:
        with contextlib.ExitStack() as stack:
            shared = [stack.enter_context(contextlib.closing(Shared.holding(each))) for each in contents]
            with self._lock:
                if self._stopped:
                    raise ChildError("The run has ended")
                child = self._child = Child(_JOB, argument, shared, memory=memory)
            stack.callback(child.join, GRACE)  # its memory is free before the same is taken here
            stack.callback(child.kill)  # there is nothing in it that should end by itself
            try:
                yield child
            finally:
                with self._lock:
                    self._child = None


def try_unknown(model: ModelFile | None, size: tuple[int, int] | None, threads: int | None) -> None:
    """What comes before a model is loaded in a process of its user: one without manifest is tried for frames of
    ``size`` ``(width, height)``, so that a damaged one ends the command with a message and not with a signal. One whose
    manifest has its hash is what ``convert`` made, and is loaded without waiting for another process.

    Raises:
        ModelError: it fails.
        UsageError: ``threads`` is below 1.
    """
    if model is not None and model.manifest is None and not model.is_compiled:  # such a one never runs in this process
        width, height = size or (model.width, model.height)
        Trial().of(model, (height, width, 3), check_threads(threads))


def _memory(model: ModelFile, shape: tuple[int, ...]) -> int:
    """Bytes that the trial may take: several times what such a model and such frames need, and no more than any child
    may. What takes more there would take it here, too.
    """
    needed = _OURS + _FRAMES * math.prod(shape) + _ARENAS * model.arena + _CONTENTS * len(model.content)
    return min(needed, memory_limit())

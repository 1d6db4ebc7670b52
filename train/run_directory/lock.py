"""The lock of a run directory: only one process works in it, and an old run is kept until the new one has begun."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from quietcam.errors import StorageError, UsageError
from quietcam.evaluation import EVALUATION
from quietcam.files.atomic import make_folder

__all__ = ["check_free", "run_lock"]

_OURS = ("config.toml", "model.keras", "history.csv", EVALUATION, "checkpoints", "tensorboard", "evaluation")
_SET_ASIDE = ".replaced"


def check_free(run: Path, *, reads: Iterable[Path] = (), resume: bool = False, overwrite: bool = False) -> None:
    """Check that a run may begin in the folder ``run``.

    Args:
        reads: folders that the run reads, such as other runs.
        resume, overwrite: what to do with an existing run.

    Raises:
        UsageError: a run exists and neither is set; or both are set; or the run reads from its own folder.
    """
    if run.resolve() in (path.resolve() for path in reads):
        raise UsageError(
            f"A run must not be written to a folder that it reads from. Received: `out` {run}. "
            "Remedy: choose another place with `out`."
        )
    if resume and overwrite:
        raise UsageError(
            "A run can be resumed or overwritten, not both. Received: `resume` and `overwrite`. Remedy: choose one."
        )
    present = _present(run)
    if present and not resume and not overwrite:
        goes_on = "`resume` continues it, " if (run / "checkpoints").is_dir() else ""
        raise UsageError(
            f"A run directory must contain only one run. Received: {run}, which has {', '.join(present)}. Remedy: "
            f"{goes_on}"
            "`overwrite` deletes it; or choose another place with `out`."
        )


@contextlib.contextmanager
def run_lock(run: Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
    """Lock the run directory for this process.

    A run that is overwritten is first moved aside. It is deleted when the new run has written a checkpoint or a model,
    and restored if the new run ends without either. In that case the new run leaves nothing behind.

    Raises:
        UsageError: as ``check_free``.
        StorageError: another process is using the folder.
    """
    is_new = not run.exists()
    make_folder(run)
    descriptor = os.open(run, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(
                f"Only one process at a time may work in a run directory. Received: {run}, which another process is "
                f"using. "
                "Remedy: wait for it, or choose another place with `out`."
            ) from error
        _tidy(run)  # if the last process was killed
        check_free(run, resume=resume, overwrite=overwrite)
        found = _present(run)
        if found and not resume:
            _move(found, run, run / _SET_ASIDE)
        try:
            yield
        finally:
            if not (resume or _has_begun(run)):
                _delete(run)
            _tidy(run)
            if is_new:
                with contextlib.suppress(OSError):  # it is not empty
                    run.rmdir()
    finally:
        os.close(descriptor)


def _present(run: Path) -> list[str]:
    return [name for name in _OURS if (run / name).exists()]


def _has_begun(run: Path) -> bool:
    return any((run / name).exists() for name in ("model.keras", "checkpoints"))


def _tidy(run: Path) -> None:
    """Delete the old run if the new one has begun; otherwise restore it."""
    aside = run / _SET_ASIDE
    if aside.is_symlink():  # not ours
        aside.unlink()
    if not aside.is_dir():
        return
    if not _has_begun(run):
        _delete(run)
        _move(_present(aside), aside, run)
    shutil.rmtree(aside)


def _move(names: list[str], source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in names:
        (source / name).rename(target / name)


def _delete(run: Path) -> None:
    for name in _present(run):
        path = run / name
        if path.is_dir() and not path.is_symlink():  # the target of a link does not belong to the run
            shutil.rmtree(path)
        else:
            path.unlink()

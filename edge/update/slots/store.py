"""Store: the files of a device's updates. ``state.json`` names the slot in use, and one rename of it is the switch.

The folder of a store holds::

    state.json     what is installed, on trial and refused (edge.update.slots.state)
    slots/DIGEST/  a bundle's folder; two of them stay, the one in use and the one before
    release/       what is known of a signed release (edge.update.trust), and half a download
    staging/       what is being fetched and tried; gone when no update runs
    lock, busy     empty files that processes lock: for a change of the state, and for a whole update

What ``state.json`` does not name is garbage. So power may fail at any instant: a bundle is whole, and on the disk,
under its final name, before ``state.json`` names it, and it is removed only after ``state.json`` has ceased to name it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.update.bundle import read_bundle
from edge.update.slots.state import Installed, State
from quietcam.errors import JsonError, StorageError, UpdateError
from quietcam.files.atomic import make_folder, sync_folder, write_json
from quietcam.files.strict_json import read_object
from quietcam.terminal.log import log

__all__ = ["Store", "default_folder"]

_STATE = "state.json"
_PATIENCE = 5.0  # seconds to wait for another process that changes the state, which takes it milliseconds
_PULSE = 0.02


def default_folder() -> Path:
    """``update`` in the folder that systemd gives to a service (``STATE_DIRECTORY``), or in ``/var/lib/quietcam``."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given or "/var/lib/quietcam") / "update"


class Store:
    """The files of a device's updates.

    Args:
        folder: need not exist. Its owner owns all that is written into it, also where root writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._slots, self._staging = folder / "slots", folder / "staging"

    @property
    def changed(self) -> object:
        """A value that differs after each change of the state."""
        try:
            status = (self.folder / _STATE).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def read(self) -> State:
        """The present state; that of a new device where there is none.

        Raises:
            JsonError: it is damaged.
            StorageError: it cannot be read.
        """
        try:
            return State.from_dict(read_object(self.folder / _STATE))
        except FileNotFoundError:
            return State()
        except JsonError as error:
            raise JsonError(
                f"The state of updates must be as quietcam wrote it. Received: {self.folder / _STATE}: {error}. "
                "Remedy: remove the file; the models that ship then run until the next update."
            ) from None
        except OSError as error:
            raise StorageError(
                f"The state of updates must be readable. Received: {self.folder / _STATE}: {error.strerror or error}. "
                "Remedy: `sudo quietcam update --status`"
            ) from error

    def change(self, change: Callable[[State], State]) -> State:
        """Write the state that ``change`` makes of the present one, if it differs. No other process does so meanwhile.

        Raises:
            StorageError: it cannot be written, or another process holds it.
            JsonError: it is damaged.
        """
        self._make_folder()
        with self._locked("lock", _PATIENCE):
            before = self.read()
            after = change(before)
            if after != before:
                write_json(self.folder / _STATE, after.to_dict())
                self._own(self.folder / _STATE)
        return after

    def slot(self, name: str) -> Path:
        """The folder of a slot."""
        return self._slots / name

    @contextlib.contextmanager
    def updating(self) -> Iterator[Path]:
        """While the block runs, no other update runs, and the empty folder that it yields is for files of this one.

        Whatever an update before has left behind is removed first, and the folder at the end.

        Raises:
            UpdateError: another update runs.
            StorageError: the disk fails.
        """
        self._make_folder()
        with self._locked("busy", 0.0):
            self._clean()
            try:
                self._staging.mkdir()
            except OSError as error:
                raise StorageError.writing(self._staging, error) from error
            try:
                yield self._staging
            finally:
                with contextlib.suppress(OSError, JsonError):  # the next update removes what is left
                    self._clean()
                    for path in self.folder.rglob("*"):
                        self._own(path)

    def fill_slot(self, folder: Path, bundle: Installed) -> None:
        """Move a bundle's folder out of ``updating``'s into its slot. It is on the disk when this returns.

        If the slot holds this bundle already, because it is the way back, it stays as it is: the state names it.

        Raises:
            StorageError: the disk fails.
        """
        slot = self.slot(bundle.slot)
        if _holds(slot, bundle):
            return
        try:
            for path in (*folder.rglob("*"), folder):
                _sync(path)
                self._own(path)
            make_folder(self._slots)
            self._own(self._slots)
            sync_folder(self.folder)
            if slot.exists():  # its files have changed
                slot.rename(folder.parent / "damaged")
            folder.rename(slot)
            sync_folder(self._slots)
        except OSError as error:
            raise StorageError.writing(slot, error) from error

    def _clean(self) -> None:
        """Remove what the state does not name."""
        try:
            state = self.read()
        except JsonError as error:
            log.warning("%s", error)
            self._set_aside()
            state = State()
        try:
            with self._locked("lock", _PATIENCE):  # nobody writes the state now
                for draft in self.folder.glob(f".{Path(_STATE).stem}.*"):
                    draft.unlink(missing_ok=True)
            for path in (self._staging, *(self._slots.iterdir() if self._slots.is_dir() else ())):
                if path.name not in state.slots and os.path.lexists(path):
                    shutil.rmtree(path)
        except OSError as error:
            raise StorageError.writing(self.folder, error) from error

    def _set_aside(self) -> None:
        """A damaged state would end every update for ever; the device runs the models that ship by then."""
        with self._locked("lock", _PATIENCE):
            (self.folder / _STATE).replace(self.folder / f"{_STATE}.damaged")

    @contextlib.contextmanager
    def _locked(self, name: str, patience: float) -> Iterator[None]:
        """Hold a lock that the kernel frees when this process ends, however it ends."""
        path = self.folder / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError.writing(path, error) from error
        try:
            self._own(path)
            end = time.monotonic() + patience
            while not _taken(handle):
                if time.monotonic() >= end:
                    raise UpdateError(
                        f"One update runs at a time. Received: another process holds {path}. Remedy: wait for it."
                    )
                time.sleep(_PULSE)
            yield
        finally:
            os.close(handle)

    def _make_folder(self) -> None:
        """Make the folder if there is none. If root does, it belongs to the owner of the folder above: the service."""
        if self.folder.is_dir():
            return
        make_folder(self.folder)
        if os.geteuid() == 0:
            above = self.folder.parent.stat()
            os.chown(self.folder, above.st_uid, above.st_gid)

    def _own(self, path: Path) -> None:
        """What root writes belongs to the owner of the folder, as whom the service runs."""
        if os.geteuid() == 0:
            owner = self.folder.stat()
            if (owner.st_uid, owner.st_gid) != (0, 0):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
            raise
        return False
    return True


def _holds(slot: Path, bundle: Installed) -> bool:
    """Whether a slot has this bundle, whole."""
    with contextlib.suppress(UpdateError, OSError):
        return Installed.of(read_bundle(slot)) == bundle
    return False


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

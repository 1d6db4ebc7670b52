"""A process that installs bundles, each in a child of its own, which the tests kill: see ``Updater``.

It reads lines of JSON, one an update. For each it forks and prints the child's process id. At the next line, which is
empty, it waits for the child and prints how that ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.update import canary
from edge.update.channel import Device
from edge.update.install import update
from edge.update.release_source import ReleaseSource
from edge.update.slots.store import Store
from tests.edge.update.slots.devices import install
from tests.waiting import WAIT

__all__ = ["Updater"]

ROOT = Path(__file__).parents[4]


class Updater:
    """Starts the process, and hands it updates. A fork is a hundred times as fast as a new Python.

    Attributes:
        seconds: from the beginning of the last update until its end was asked for.
    """

    seconds = 0.0

    def __enter__(self) -> Updater:
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()

    def begin(self, store: Store, bundle: Path, trial: float = 600.0) -> int:
        """Begin to install a bundle's folder, without a canary: the id of its process."""
        return self._begin({"store": str(store.folder), "bundle": str(bundle), "trial": trial})

    def begin_from(self, store: Store, release: Path, root: Path, has_canary: bool) -> int:
        """Begin to update from a signed release, with or without a canary: the id of its process."""
        asked = {"store": str(store.folder), "release": str(release), "root": str(root), "canary": has_canary}
        return self._begin(asked)

    def end(self) -> int:
        """Wait for the end of the update: its exit code, or the negative number of the signal that ended it.

        Until then its process id is no other's.
        """
        code = self._ask("")
        self.seconds = time.monotonic() - self._began
        return code

    def _begin(self, asked: dict[str, Any]) -> int:
        self._began = time.monotonic()
        return self._ask(json.dumps(asked))

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def main() -> None:
    setattr(os, "fsync", lambda _: None)  # noqa: B010  a kill loses nothing that was written, and a busy disk syncs for seconds
    canary.PATIENCE = WAIT
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            code = 1
            try:
                _carry_out(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _carry_out(asked: dict[str, Any]) -> None:
    store = Store(Path(asked["store"]))
    if "bundle" in asked:
        install(store, Path(asked["bundle"]), asked["trial"])
        return
    source = ReleaseSource(asked["release"], Path(asked["root"]), store.folder / "release", Device("0123456789ab"))
    update(store, source, canary.check_bundle if asked["canary"] else lambda _: None)


if __name__ == "__main__":
    main()

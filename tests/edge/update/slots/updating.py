"""A process that installs bundles, each in a child of its own, which the tests kill: see ``Updater``.

It reads lines ``STORE BUNDLE TRIAL``. For each it forks and prints the child's process id. At the next line, which is
empty, it waits for the child and prints how that ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from edge.update.slots.store import Store
from tests.edge.update.slots.devices import install

__all__ = ["Updater"]

ROOT = Path(__file__).parents[4]


class Updater:
    """Starts the process, and hands it updates. A fork is a hundred times as fast as a new Python."""

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
        """Begin an update: the id of its process."""
        return self._ask(f"{store.folder}\t{bundle}\t{trial}")

    def end(self) -> int:
        """Wait for the end of the update: its exit code, or the negative number of the signal that ended it.

        Until then its process id is no other's.
        """
        return self._ask("")

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def main() -> None:
    setattr(os, "fsync", lambda _: None)  # noqa: B010  a kill loses nothing that was written, and a busy disk syncs for seconds
    while line := sys.stdin.readline():
        folder, bundle, trial = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            code = 1
            try:
                install(Store(Path(folder)), Path(bundle), float(trial))
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

"""What native code wrote just before it ended the process: a child that outlives the process shows it."""

from __future__ import annotations

import contextlib
import os

__all__ = ["CrashOutput"]

_MOST = 1 << 16  # bytes of them that are shown

# Each line that comes is the position up to which all has been dealt with. The end without "end" is the process' death.
# What is left is shown without control characters and without what stands before the @ of an address.
_SCRIPT = """
trap '' INT TERM HUP QUIT
while read -r line; do at=$line; done
[ "$at" = end ] && exit
tail -c +$((at + 1)) /proc/self/fd/{file} | tail -c {most} |
  tr -d '\\000-\\010\\013-\\037\\177' | sed 's#//[^/ ]*@#//***@#g'
"""


class CrashOutput:
    """A shell that waits for this process to die: 0.2 MB of memory that is its own (dash on x86-64, measured).

    Without one (no shell, no ``/proc``, no process left to start) nothing is shown; all else works. None is started by
    the first process of a container, which takes all others along when it dies.

    Args:
        file: of :class:`quietcam.process.native_log.NativeLog`.
        reader: the descriptor that is written to then.

    Attributes:
        waits: whether there is one.
    """

    def __init__(self, file: int, reader: int) -> None:
        self._line: int | None = None
        self._told = 0
        self.waits = False
        if os.getpid() == 1:
            return
        import subprocess

        listens, line = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT.format(file=file, most=_MOST), "quietcam-crash-output"],
                stdin=listens,
                stdout=reader,
                stderr=subprocess.DEVNULL,
                pass_fds=(file,),
                start_new_session=True,  # else Ctrl-C would end it, too
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "at": "0"},
            )
        except OSError:
            os.close(line)
        else:
            os.set_blocking(line, False)
            self._line = line
            self.waits = True
        finally:
            os.close(listens)

    def passed(self, position: int) -> None:
        """All up to there has been dealt with. Never waits."""
        if position != self._told and self._line is not None:
            self._told = position
            self._tell(b"%d\n" % position)

    def end(self) -> None:
        """There will be none: all has been shown. May be called twice."""
        if self._line is not None:
            self._tell(b"end\n")
            os.close(self._line)
            self._line = None
            with contextlib.suppress(Exception):
                self._shell.wait(1.0)

    def forget(self) -> None:
        """Close the line alone: of a forked child, whose death is none of the shell's."""
        line, self._line = self._line, None
        if line is not None:
            os.close(line)
            self._shell.returncode = 0

    def _tell(self, line: bytes) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                os.write(self._line, line)

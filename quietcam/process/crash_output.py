"""What native code printed just before it crashed the process: a shell that outlives the process shows it."""

from __future__ import annotations

import contextlib
import os

__all__ = ["CrashOutput"]

_MOST = 1 << 16  # bytes that are shown

# Each line that comes is the position up to which all has been shown. Input that ends without "end" means a crash.
# What is left is shown without control characters, and without the part of an address before its @.
_SCRIPT = """
trap '' INT TERM HUP QUIT
while read -r line; do at=$line; done
[ "$at" = end ] && exit
tail -c +$((at + 1)) /proc/self/fd/{file} | tail -c {most} |
  tr -d '\\000-\\010\\013-\\037\\177' | sed 's#//[^/ ]*@#//***@#g'
"""


class CrashOutput:
    """A shell that waits until this process ends: it takes 0.2 MB of memory (dash on x86-64, measured).

    If none can be started (no shell, no ``/proc``, no process left), crash output is not shown and all else works. The
    first process of a container starts none, since its end would end the shell, too.

    Args:
        file: descriptor of the :class:`quietcam.process.native_log.NativeLog`.
        target: descriptor that the shell writes to.

    Attributes:
        waits: whether the shell runs.
    """

    def __init__(self, file: int, target: int) -> None:
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
                stdout=target,
                stderr=subprocess.DEVNULL,
                pass_fds=(file,),
                start_new_session=True,  # else Ctrl-C would end the shell, too
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

    def shown_up_to(self, position: int) -> None:
        """Tell the shell that all before ``position`` has been shown. Never waits."""
        if position != self._told and self._line is not None:
            self._told = position
            self._tell(b"%d\n" % position)

    def end(self) -> None:
        """End the shell: all has been shown. May be called twice."""
        if self._line is not None:
            self._tell(b"end\n")
            os.close(self._line)
            self._line = None
            with contextlib.suppress(Exception):
                self._shell.wait(1.0)

    def forget(self) -> None:
        """In a forked child: close the pipe only, so that the end of the child does not look like a crash."""
        line, self._line = self._line, None
        if line is not None:
            os.close(line)
            self._shell.returncode = 0

    def _tell(self, line: bytes) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                os.write(self._line, line)

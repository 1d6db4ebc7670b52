"""Every error that quietcam raises on purpose.

QuietcamError
├── UsageError         what was asked for is wrong: a flag, a value, a path, a config file   (exit code 2)
├── DataError          a picture, a clip or a data set that cannot be used                   (exit code 1)
├── ModelError         a model file that cannot be used                                      (exit code 1)
├── DeviceError        an accelerator that is not there, or fails                            (exit code 1)
├── JsonError          JSON from outside that cannot be believed                             (exit code 1)
├── StorageError       the disk: full, read-only, gone                                       (exit code 1)
├── MissingExtraError  a package that this command needs is not installed                    (exit code 1)
├── GateError          the work was done and a quality gate did not hold                     (exit code 3)
└── StoppedError       Ctrl-C, where more is to be said than that                            (exit code 130)

A message states the rule, what was received, and the remedy. The command line prints it as one line; ``--debug`` adds
the traceback.
"""

from __future__ import annotations

import errno
from pathlib import Path


class QuietcamError(Exception):
    """The root of the tree. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(QuietcamError, ValueError):
    """What was asked for is wrong: a flag, a value, a path, a config file."""

    exit_code = 2


class DataError(QuietcamError, ValueError):
    """A picture, a clip or a data set that cannot be used."""


class ModelError(QuietcamError, ValueError):
    """A model file that cannot be used."""


class DeviceError(QuietcamError, RuntimeError):
    """An accelerator that is not there, or fails."""


class JsonError(QuietcamError, ValueError):
    """JSON from outside that cannot be believed. The message says what it is, for a reader to say where."""


class StorageError(QuietcamError, OSError):
    """The disk is full, read-only or gone."""

    @classmethod
    def writing(cls, path: Path, error: OSError) -> StorageError:
        """Say what an ``OSError`` met while writing ``path`` means, and what to do about it."""
        remedy = {
            errno.ENOSPC: "free some space there, or choose another place",
            errno.EDQUOT: "free some of your quota there, or choose another place",
            errno.EACCES: "make it writable, or choose another place",
            errno.EPERM: "make it writable, or choose another place",
            errno.ENODEV: "bring it back, or choose another place",
        }.get(error.errno or 0, "choose another place")
        return cls(f"Cannot write {path}: {error.strerror or error}. Remedy: {remedy}.")


class MissingExtraError(QuietcamError, ImportError):
    """A package that a command needs is not installed."""

    @classmethod
    def of(cls, extra: str, package: str | None = None) -> MissingExtraError:
        """``extra`` is quietcam's optional dependency group, ``package`` the module that was missed."""
        missed = f" (missing: {package})" if package else ""
        return cls(f"This command needs the extra '{extra}'{missed}. Install it with: pip install 'quietcam[{extra}]'")


class GateError(QuietcamError):
    """The work was done and a quality gate did not hold."""

    exit_code = 3


class StoppedError(QuietcamError):
    """Ctrl-C, where more is to be said than that: what is kept of the work, and where."""

    exit_code = 130


def one_line(error: BaseException) -> str:
    """What an error says, as one line: runs of blanks and line ends are one space; the class where it says nothing.

    >>> one_line(ValueError("two\n  lines")), one_line(TimeoutError())
    ('two lines', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__

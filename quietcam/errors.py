"""Every error that quietcam raises on purpose.

QuietcamError
├── UsageError         a wrong argument: a value, a path, a config file                      (exit code 2)
├── DataError          a picture, a clip or a data set that cannot be used                   (exit code 1)
├── ModelError         a model file that cannot be used                                      (exit code 1)
├── DeviceError        an accelerator that is missing, or fails                              (exit code 1)
├── JsonError          JSON from outside that is not valid                                   (exit code 1)
├── StorageError       a disk that is full, read-only or gone                                (exit code 1)
├── MissingExtraError  a package that is needed is not installed                             (exit code 1)
├── GateError          the work was done, but a quality gate did not hold                    (exit code 3)
└── StoppedError       Ctrl-C, with a message that says more than that                       (exit code 130)

A message states the rule, what was received, and the remedy. It names parameters in backticks; the command line shows
their flags in place of these, and each error as one line.
"""

from __future__ import annotations

import errno
from pathlib import Path


class QuietcamError(Exception):
    """The root of the tree. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(QuietcamError, ValueError):
    """A wrong argument: a value, a path, a config file."""

    exit_code = 2


class DataError(QuietcamError, ValueError):
    """A picture, a clip or a data set that cannot be used."""


class ModelError(QuietcamError, ValueError):
    """A model file that cannot be used."""


class DeviceError(QuietcamError, RuntimeError):
    """An accelerator that is missing, or fails."""


class JsonError(QuietcamError, ValueError):
    """JSON from outside that is not valid. The message says what is wrong; the caller adds the name of the file."""


class StorageError(QuietcamError, OSError):
    """The disk is full, read-only or gone."""

    @classmethod
    def writing(cls, path: Path, error: OSError) -> StorageError:
        """Explain an ``OSError`` that was raised while writing ``path``, with a remedy."""
        remedy = {
            errno.ENOSPC: "free some space there, or choose another place",
            errno.EDQUOT: "free some of your quota there, or choose another place",
            errno.EACCES: "make it writable, or choose another place",
            errno.EPERM: "make it writable, or choose another place",
            errno.ENODEV: "bring it back, or choose another place",
        }.get(error.errno or 0, "choose another place")
        return cls(f"Cannot write {path}: {error.strerror or error}. Remedy: {remedy}.")


class MissingExtraError(QuietcamError, ImportError):
    """A package that is needed is not installed."""

    @classmethod
    def of(cls, extra: str, package: str | None = None) -> MissingExtraError:
        """``extra`` is an optional dependency group of quietcam, ``package`` the module that is missing."""
        missed = f" (missing: {package})" if package else ""
        return cls(f"This needs the extra '{extra}'{missed}. Install it with: pip install 'quietcam[{extra}]'")


class GateError(QuietcamError):
    """The work was done, but a quality gate did not hold."""

    exit_code = 3


class StoppedError(QuietcamError):
    """Ctrl-C, with a message that says which work is kept, and where."""

    exit_code = 130


def one_line(error: BaseException) -> str:
    """The message of an error as one line: runs of white space become one space. Without a message, its class.

    >>> one_line(ValueError("two\n  lines")), one_line(TimeoutError())
    ('two lines', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__

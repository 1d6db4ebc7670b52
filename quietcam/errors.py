"""Every error that quietcam raises on purpose.

QuietcamError
├── UsageError         a wrong argument: a value, a path, a config file                      (exit code 2)
├── DataError          a picture, a clip or a data set that cannot be used                   (exit code 1)
├── ModelError         a model file that cannot be used                                      (exit code 1)
├── DeviceError        an accelerator that is missing, or fails                              (exit code 1)
├── JsonError          JSON from outside that is not valid                                   (exit code 1)
├── StorageError       a disk that is full, read-only or gone                                (exit code 1)
├── UpdateError        a release or a bundle that cannot be fetched, trusted or used         (exit code 1)
├── MissingExtraError  a package that is needed is not installed                             (exit code 1)
├── GateError          the work was done, but a quality gate did not hold                    (exit code 3)
└── StoppedError       Ctrl-C, with a message that says more than that                       (exit code 130)

A message states the rule, what was received, and the remedy. It names parameters in backticks; the command line shows
their flags in place of these, and each error as one line.
"""

from __future__ import annotations

import errno
from pathlib import Path

_EXTRA_OF_MODULE = {
    "cv2": "edge",
    "ai_edge_litert": "edge",
    "aiohttp": "edge",
    "prometheus_client": "edge",
    "tensorflow": "train",
    "tf_keras": "train",
    "tensorflow_model_optimization": "train",
    "jinja2": "edge",
    "scipy": "train",
    "h5py": "train",
    "tomli_w": "train",
    "av": "video",
    "paho": "mqtt",
    "tuf": "update",
    "securesystemslib": "update",
    "cryptography": "release",
}


class QuietcamError(Exception):
    """The root of the tree. ``exit_code`` is what the command line ends with.

    Example:
        >>> try:
        ...     quietcam.load_pairs("no/such/folder")
        ... except quietcam.QuietcamError as error:
        ...     print(type(error).__name__, error.exit_code)
        UsageError 2
    """

    exit_code = 1


class UsageError(QuietcamError, ValueError):
    """A wrong argument: a value, a path, a config file.

    Example:
        >>> quietcam.open_camera("no/such/camera")
        Traceback (most recent call last):
        ...
        quietcam.errors.UsageError: ...
    """

    exit_code = 2


class DataError(QuietcamError, ValueError):
    """A picture, a clip or a data set that cannot be used.

    Example:
        >>> import numpy as np
        >>> quietcam.psnr(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8))
        Traceback (most recent call last):
        ...
        quietcam.errors.DataError: ...
    """


class ModelError(QuietcamError, ValueError):
    """A model file that cannot be used.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("broken.tflite").write_bytes(b"no model")
        >>> quietcam.Denoiser("broken.tflite")
        Traceback (most recent call last):
        ...
        quietcam.errors.ModelError: ...
    """


class DeviceError(QuietcamError, RuntimeError):
    """An accelerator that is missing, or fails.

    Example:
        >>> issubclass(quietcam.DeviceError, RuntimeError)
        True
    """


class JsonError(QuietcamError, ValueError):
    """JSON from outside that is not valid. The message says what is wrong; the caller adds the name of the file.

    Example:
        >>> issubclass(quietcam.JsonError, ValueError)
        True
    """


class StorageError(QuietcamError, OSError):
    """The disk is full, read-only or gone.

    Example:
        >>> issubclass(quietcam.StorageError, OSError)
        True
    """

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


class UpdateError(QuietcamError, RuntimeError):
    """A release or a bundle that cannot be fetched, trusted or used. Nothing of it was installed.

    Attributes:
        reason: one word for it, such as ``offline`` or ``expired``; ``edge.update.fetch.REASONS`` explains each.

    Example:
        >>> quietcam.UpdateError("The server does not answer.", reason="offline").reason
        'offline'
    """

    def __init__(self, message: str, reason: str = "unusable") -> None:
        super().__init__(message)
        self.reason = reason


class MissingExtraError(QuietcamError, ImportError):
    """A package that is needed is not installed.

    Example:
        >>> print(quietcam.MissingExtraError.of("train", "tensorflow"))
        This needs the extra 'train' (missing: tensorflow). Install it with: pip install 'quietcam[train]'
    """

    @classmethod
    def of(cls, extra: str, package: str | None = None) -> MissingExtraError:
        """``extra`` is an optional dependency group of quietcam, ``package`` the module that is missing."""
        missed = f" (missing: {package})" if package else ""
        return cls(f"This needs the extra '{extra}'{missed}. Install it with: pip install 'quietcam[{extra}]'")

    @classmethod
    def missing(cls, module: str) -> MissingExtraError:
        """An error that says which extra to install for ``module``."""
        return cls.of(_EXTRA_OF_MODULE[module], module)

    @classmethod
    def because(cls, error: ModuleNotFoundError) -> Exception:
        """An error that says which extra to install for a missing module; ``error`` itself if no extra contains it."""
        module = (error.name or "").split(".")[0]
        return cls.missing(module) if module in _EXTRA_OF_MODULE else error


class GateError(QuietcamError):
    """The work was done, but a quality gate did not hold.

    Example:
        >>> quietcam.GateError("int8 loses more than it may").exit_code
        3
    """

    exit_code = 3


class StoppedError(QuietcamError):
    """Ctrl-C, with a message that says which work is kept, and where.

    Example:
        >>> quietcam.StoppedError("stopped: the state after 100 steps is kept").exit_code
        130
    """

    exit_code = 130


def one_line(error: BaseException) -> str:
    """The message of an error as one line: runs of white space become one space. Without a message, its class.

    >>> one_line(ValueError("two\n  lines")), one_line(TimeoutError())
    ('two lines', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__

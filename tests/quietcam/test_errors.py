"""The exception tree: exit codes, builtins, one line each."""

import errno
from pathlib import Path

import pytest

from quietcam import errors
from quietcam.app import cli
from quietcam.errors import (
    DataError,
    DeviceError,
    GateError,
    JsonError,
    MissingExtraError,
    ModelError,
    QuietcamError,
    StoppedError,
    StorageError,
    UpdateError,
    UsageError,
    one_line,
)


@pytest.mark.parametrize(
    ("error", "code", "builtin"),
    [
        (UsageError, 2, ValueError),
        (DataError, 1, ValueError),
        (ModelError, 1, ValueError),
        (DeviceError, 1, RuntimeError),
        (JsonError, 1, ValueError),
        (StorageError, 1, OSError),
        (UpdateError, 1, RuntimeError),
        (MissingExtraError, 1, ImportError),
        (GateError, 3, Exception),
        (StoppedError, 130, Exception),
    ],
)
def test_exit_codes_and_builtins(error, code, builtin, capsys, monkeypatch):
    assert issubclass(error, QuietcamError)
    assert issubclass(error, builtin)

    def fail(**_):
        raise error("The rule.\n  Received: this. Remedy: that.")

    monkeypatch.setattr(cli, "app", fail)
    assert cli.run([]) == code
    assert capsys.readouterr().err == "quietcam: The rule. Received: this. Remedy: that.\n"


def test_every_error_is_in_the_tree_of_the_docstring():
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, QuietcamError)
    }
    drawn = {word for word in errors.__doc__.split() if word.endswith("Error")}
    assert drawn == classes


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EACCES, "make it writable"),
        (errno.EROFS, "choose another place"),
        (errno.EIO, "choose another place"),
    ],
)
def test_storage_errors_name_the_path_and_a_remedy(number, remedy):
    error = StorageError.writing(Path("/some/where"), OSError(number, "why"))
    assert str(error).startswith("Cannot write /some/where: why. Remedy: ")
    assert remedy in str(error)


def test_storage_error_without_a_number():
    assert "Cannot write a: odd. Remedy:" in str(StorageError.writing(Path("a"), OSError("odd")))


def test_missing_extra_says_how_to_install_it():
    assert str(MissingExtraError.of("edge", "cv2")).endswith(
        "(missing: cv2). Install it with: pip install 'quietcam[edge]'"
    )
    assert "missing" not in str(MissingExtraError.of("train"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("two\n   lines\t"), "two lines"),
        (TimeoutError(), "TimeoutError"),
        (RuntimeError(" \n"), "RuntimeError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError(errno.EIO, "Input/output error", "/x"), "[Errno 5] Input/output error: '/x'"),
    ],
)
def test_any_error_becomes_one_line(error, expected):
    assert one_line(error) == expected

"""Stops a training as Ctrl-C does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from quietcam.errors import StoppedError
from train import trainer
from train.evaluation.validation import validate

__all__ = ["stopped_after"]


@contextmanager
def stopped_after(validations: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within this context Ctrl-C comes during the validation of a set that follows so many others.

    Training must then raise StoppedError and say how to resume.
    """
    calls = iter(range(validations))

    def interrupted(*arguments: Any) -> Any:
        found = validate(*arguments)  # tfmot zeroes weights whenever it looks at a picture, also to validate
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", interrupted)
        with pytest.raises(StoppedError, match="the same command with `resume`"):
            yield

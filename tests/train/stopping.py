"""Stops a training as Ctrl-C does."""

from __future__ import annotations

from typing import Any

import pytest

from quietcam.errors import StoppedError
from train import trainer
from train.evaluation.validation import validate
from train.trainer import Loop

__all__ = ["stop_after"]


def stop_after(validations: int, loop: Loop, fit: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with ``loop.fit(**fit)`` until Ctrl-C comes after so many validations of a set."""
    calls = iter(range(validations))

    def interrupted(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return validate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", interrupted)
        with pytest.raises(StoppedError):
            loop.fit(**fit)

"""The bytes of a model file: what is read, and what is refused before it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from quietcam.errors import ModelError, UsageError
from quietcam.tflite import content


def test_the_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "any.tflite"
    path.write_bytes(b"no model, but that is found later")
    assert content.read_content(path) == b"no model, but that is found later"


def test_what_is_no_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.tflite, which does not exist\. Remedy: `quietcam models`"):
        content.read_content(tmp_path / "gone.tflite")
    with pytest.raises(UsageError, match="which is not a file"):
        content.read_content(tmp_path)


def test_a_file_that_is_far_too_large_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_OF_A_MODEL", 1 << 10)
    path = tmp_path / "endless.tflite"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse file
    with pytest.raises(ModelError, match=r"must be a readable file\. Received: .*endless\.tflite"):
        content.read_content(path)

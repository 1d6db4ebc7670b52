"""What tests of data sets share: empty files, and the types of the fixtures that make data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quietcam.image import Image

MakePicture = Callable[..., Image]
Save = Callable[[Path, Image], Path]
MakeDataset = Callable[..., Path]


def touch(root: Path, *names: str) -> Path:
    """Empty files of these names, and the folders that they lie in."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root

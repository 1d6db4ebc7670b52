from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quietcam.data.pictures.files import write_picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pairs of two scenes, 64x96; brightness rises from left to right, so a box's position gives its rank."""
    folder = tmp_path / "pairs"
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 96)[None, :, None]
    for index, scene in enumerate(("001", "001", "001", "001", "002", "002")):
        name = f"{index:04d}_{scene}_S6_00{index + 1}00_00060_3200_N.png"
        clean = np.broadcast_to(ramp, (64, 96, 3)).astype(np.uint8)
        noisy = np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
        write_picture(folder / "clean" / name, clean)
        write_picture(folder / "noisy" / name, noisy)
    return folder

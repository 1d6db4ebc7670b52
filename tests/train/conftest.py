"""Small crops of generated scenes, and the smallest network of the family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quietcam.app.cli import run
from quietcam.architecture import Architecture
from quietcam.data.clips.make import write_clips
from quietcam.data.crops import Crops, cut_crops
from quietcam.data.generated import write_pairs
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.evaluation import Evaluation, Validation, write_evaluation
from quietcam.files.atomic import write_text
from train.config import RunConfig, TrainingConfig, dump_config

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder, count=8, size=64, band=(20.0, 24.0))
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, count=6, frames=6, size=64)
    return folder


@pytest.fixture(scope="session")
def crops(pair_folder: Path) -> Crops:
    return cut_crops(find_pairs(pair_folder).pairs, 64)


@pytest.fixture
def dataset_of_instances(tmp_path: Path) -> list[Path]:
    """Two data sets of two pairs each, named as SIDD names them, that share a scene instance."""
    rng = np.random.default_rng(0)
    folders = []
    for name, instances in (("one", (1, 2)), ("two", (2, 3))):
        for number in instances:
            for side in ("noisy", "clean"):
                path = tmp_path / name / side / f"{number:04d}_001_S6_00100_00060_3200_L.png"
                write_picture(path, rng.integers(0, 256, (64, 64, 3), np.uint8))
        folders.append(tmp_path / name)
    return folders


@pytest.fixture(scope="session")
def tiny() -> Architecture:
    return Architecture(stem=2, widths=(8, 16), depths=(1, 1))


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run directory of a network that adds ``shift`` to every value and clips: no training, and known by hand."""

    def make(name: str = "run", architecture: Architecture | None = None, shift: float = 0.0, **training: Any) -> Path:
        from train.model import build

        architecture = architecture or Architecture(stem=2, widths=(8, 16), depths=(1, 1))
        config = RunConfig(architecture, TrainingConfig(**({"patch": 32, "crop": 64, "batch": 4} | training)))
        model = build(architecture)
        bias = model.get_layer("residual").bias
        bias.assign([shift] * bias.shape[0])
        folder = tmp_path / name
        write_text(folder / "config.toml", dump_config(config))
        model.save(folder / "model.keras")
        gmacs = round(architecture.gmacs(), 4)
        data = {"sources": ["elsewhere"]}
        write_evaluation(
            folder, Evaluation(architecture, gmacs, architecture.parameters, 0.0, Validation(30.0, 20.0, 4), data)
        )
        return folder

    return make


@pytest.fixture
def quietcam(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command line: gives the exit code, and the text of both streams."""

    def main(*words: object) -> tuple[int, str]:
        code = run(list(map(str, words)))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return main

"""Which models are judged, and by which targets."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.network.quality.candidates import find_candidates, find_twin, names_that_ship, size_of
from edge.models import resolve_model
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import UsageError


@pytest.fixture(scope="module")
def nano() -> ModelFile:
    return load_model(resolve_model("nano_256x256_int8"))


def test_all_that_ship_are_judged_the_smallest_first() -> None:
    found = find_candidates([])
    names = [each.name for each in found]
    assert names == names_that_ship()
    assert "demo" not in names
    sizes = [each.size for each in found]
    assert sizes == sorted(sizes, key=["nano", "small", "base"].index)
    for each in found:
        assert each.size is not None
        assert each.name.startswith(each.size)
        assert each.file.path.name == f"{each.name}_256x256_int8.tflite"
        assert each.twin is not None
        assert each.twin.path.name == f"{each.name}_256x256_float32.tflite"


def test_the_size_comes_from_the_name_in_the_manifest(nano: ModelFile) -> None:
    assert nano.manifest is not None
    assert size_of(replace(nano, manifest=replace(nano.manifest, name="base-wide"))) == "base"


@pytest.mark.parametrize(("ships", "size"), [("nano", "nano"), ("small", "small"), ("base", "base")])
def test_without_a_name_the_size_comes_from_the_work(ships: str, size: str) -> None:
    file = load_model(resolve_model(f"{ships}_256x256_int8"))
    assert file.manifest is not None
    assert size_of(replace(file, manifest=replace(file.manifest, name="run-17"))) == size
    assert size_of(replace(file, manifest=None)) == size


def test_a_twin_is_found_by_what_is_in_the_files(nano: ModelFile, tmp_path: Path) -> None:
    for name in ("nano", "small"):
        path = resolve_model(f"{name}_256x256_float32")
        shutil.copy(path, tmp_path / f"a-{name}-float.tflite")
        shutil.copy(path.with_suffix(".json"), tmp_path / f"a-{name}-float.json")
    (tmp_path / "damaged.tflite").write_bytes(b"nothing")
    twin = find_twin(replace(nano, path=tmp_path / "mine.tflite"))
    assert twin is not None
    assert twin.path == tmp_path / "a-nano-float.tflite"
    assert find_twin(twin) is None


def test_only_color_frames_of_256_are_judged(models: Path) -> None:
    with pytest.raises(UsageError, match="which takes 32x32 with 3 channels"):
        find_candidates([str(models / "small_32x32_int8.tflite")])


def test_two_models_of_one_name_are_refused(nano: ModelFile, tmp_path: Path) -> None:
    shutil.copy(nano.path, tmp_path / "nano.tflite")
    with pytest.raises(UsageError, match="nano more than once"):
        find_candidates(["nano", str(tmp_path / "nano.tflite")])

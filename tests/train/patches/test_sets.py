"""The data that a run trains and validates on: opened by name, weighted, kept apart."""

import hashlib
import shutil

import numpy as np
import pytest

from quietcam.data.packed.pack import pack
from quietcam.data.packed.reader import open_shards
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError, UsageError
from quietcam.sensor.scenes import generate_scene
from train.config import RunConfig, TrainingConfig
from train.patches.dataset import training_patches
from train.patches.sets import load_training_data
from train.runs.train import train_run


@pytest.fixture(scope="module")
def shards(tmp_path_factory, pair_folder):
    folder = tmp_path_factory.mktemp("packed") / "set"
    pack(pair_folder, folder, patch=32)
    return open_shards(folder)


@pytest.fixture
def config(tiny):
    return RunConfig(tiny, TrainingConfig(patch=16, crop=32, batch=4, steps=3, minutes=1.0))


def test_one_data_set_needs_no_list(pair_folder, config):
    several = load_training_data([pair_folder], config)
    assert load_training_data(pair_folder, config).origin == several.origin
    assert load_training_data(str(pair_folder), config).origin == several.origin
    with pytest.raises(DataError, match="must not be trained on"):
        load_training_data(pair_folder, config, str(pair_folder))


def test_training_on_a_packed_set(shards, tiny, tmp_path):
    config = RunConfig(tiny, TrainingConfig(patch=16, batch=4, steps=3, minutes=1.0))
    data = load_training_data([shards.folder], config)
    train_run(config, data, tmp_path)
    assert (tmp_path / "model.keras").is_file()
    assert data.origin["sha256"] == hashlib.sha256(shards.digest.encode()).hexdigest()
    (crops,) = data.validation.values()
    validation = {shards.entry(int(number)).source for number in shards.of_side("validation")}
    assert {name for name, _ in crops.source} == validation
    assert data.origin["training_crops"] == len(shards.of_side("train"))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"patch": 64}, "patch=64, packed 32"),
        ({"split": "seed=9"}, "must be used with the split that it was packed with"),
    ],
)
def test_a_packed_set_that_does_not_fit_the_config(shards, tiny, settings, rule):
    config = RunConfig(tiny, TrainingConfig(**({"patch": 16} | settings)))
    with pytest.raises(UsageError, match=rule):
        load_training_data([shards.folder], config)


def test_a_packed_set_without_the_sides_or_the_end(pair_folder, tiny, tmp_path):
    config = RunConfig(tiny, TrainingConfig(patch=16))
    pack(pair_folder, tmp_path / "side", patch=32, split="train")
    with pytest.raises(DataError, match=r"0 validation, 0 test\. Remedy"):
        load_training_data([tmp_path / "side"], config)
    (tmp_path / "side" / "complete.json").unlink()
    with pytest.raises(DataError, match="must be complete"):
        load_training_data([tmp_path / "side"], config)


def test_sources_are_weighted_and_validation_sides_kept_by_name(shards, pair_folder, config, tmp_path):
    shutil.copytree(pair_folder, tmp_path / "other")
    data = load_training_data([f"{shards.folder}@3", tmp_path / "other"], config)
    assert data.origin["shares"] == {
        f"{shards.folder.parent.name}/set": 0.75,
        f"{tmp_path.name}/other": 0.25,
    }
    assert set(data.validation) == set(data.origin["shares"])
    assert data.origin["validation_crops"] == sum(len(crops) for crops in data.validation.values())


def test_with_a_validation_set_everything_is_trained_on(pair_folder, config, tmp_path):
    halves = [tmp_path / name for name in ("one", "two")]
    for index, path in enumerate(sorted((pair_folder / "noisy").glob("*.png"))):
        for side in ("noisy", "clean"):
            folder = halves[index % 2] / side
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(pair_folder / side / path.name, folder)
    data = load_training_data([halves[0]], config, [halves[1]])
    assert {name for name, _ in data.training.sources[0].source} == {
        path.stem for path in (halves[0] / "noisy").glob("*.png")
    }
    (crops,) = data.validation.values()
    assert len(crops) == len(list((halves[1] / "noisy").glob("*.png")))


def test_a_scene_instance_on_both_sides_is_refused(dataset_of_instances, config):
    one, two = dataset_of_instances
    with pytest.raises(DataError, match=r"must not be trained on\. Received: 0002_001"):
        load_training_data([one], config, [two])


def test_a_folder_on_both_sides_is_refused(pair_folder, config):
    for validation in (pair_folder, pair_folder / "noisy", pair_folder / ".." / pair_folder.name):
        with pytest.raises(DataError, match=r"must not be trained on\. Received: .* Remedy: "):
            load_training_data([pair_folder, "scenes"], config, [validation])


def test_scenes_made_on_the_fly(config):
    with load_training_data(["scenes:band=20:30@2"], config) as data:
        (name,) = data.validation
        assert name == "scenes"
        noisy, clean = next(iter(training_patches(data.training, patch=16, batch=4, seed=0)))
        assert noisy.shape == clean.shape == (4, 16, 16, 3)
        assert not np.array_equal(noisy, clean)
        assert "generated" in data.origin["licence"]


def test_scenes_of_ones_own_pictures_do_without_those_that_cannot_be_used(config, tmp_path, said):
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", generate_scene(64, 64, number))
    write_picture(tmp_path / "thumb.png", np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "1.png").read_bytes()[:999])
    with load_training_data([f"scenes:clean={tmp_path}"], config) as data:
        noisy, _ = next(iter(training_patches(data.training, patch=16, batch=4, seed=0)))
    assert noisy.shape == (4, 16, 16, 3)
    assert "thumb.png (20x20)" in "\n".join(said)
    assert "cut.png: A picture must be whole" in "\n".join(said)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("scenes:color=1", "options band, clean. Received: color=1"),
        ("scenes:band=dark", "LOW:HIGH"),
        ("nowhere", "nowhere"),
        ("scenes@0", "must be a number from"),
    ],
)
def test_data_that_is_named_wrongly(config, text, rule):
    with pytest.raises(UsageError, match=rule):
        load_training_data([text], config)


def test_no_data(config):
    with pytest.raises(UsageError, match="needs data"):
        load_training_data([], config)

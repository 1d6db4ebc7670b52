"""Which files load, what is known about them, and which are refused with a remedy."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from convert.sources.float_twin import float_twin
from convert.sources.keras_model import load_keras
from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import MagnitudePruning, Treatments, read_evaluation, write_evaluation
from tests.tiny_network import TINY, build_tiny
from train.model import build, copy_convolutions


def test_a_run_directory_tells_what_it_is(run_folder):
    loaded = load_keras(run_folder)
    assert loaded.name == "tiny"
    assert loaded.architecture == TINY
    assert loaded.evaluation["validation"]["psnr"] == 31.5
    assert loaded.channels == 3
    assert not loaded.carries_ranges
    assert load_keras(run_folder / "model.keras").architecture == TINY


def test_a_bare_file_is_a_model_of_unknown_architecture(run_folder, tmp_path):
    path = tmp_path / "other.keras"
    path.write_bytes((run_folder / "model.keras").read_bytes())
    loaded = load_keras(path)
    assert loaded.name == "other"
    assert loaded.architecture is None
    assert loaded.evaluation == {}
    picture = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(loaded.model(picture), build_tiny()(picture))


def test_pruning_wrappers_are_stripped(tmp_path):
    prune = tfmot.sparsity.keras.prune_low_magnitude
    pruned = build(TINY, lambda layer: prune(layer) if isinstance(layer, keras.layers.Conv2D) else layer)
    copy_convolutions(build_tiny(), pruned)
    pruned.save(tmp_path / "pruned.keras")
    loaded = load_keras(tmp_path / "pruned.keras")
    assert not any("prune" in type(layer).__name__.lower() for layer in loaded.model.layers)
    picture = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    np.testing.assert_allclose(loaded.model(picture), pruned(picture), atol=1e-6)


def test_ranges_of_quantization_aware_training_are_found(qat_file):
    assert load_keras(qat_file).carries_ranges


def test_tfmots_wrappers_load_from_h5_and_are_named_where_they_do_not(tmp_path):
    annotate = tfmot.quantization.keras.quantize_annotate_layer
    kinds = (keras.layers.Conv2D, keras.layers.Add)
    model = tfmot.quantization.keras.quantize_apply(
        build_tiny(lambda layer: annotate(layer) if isinstance(layer, kinds) else layer)
    )
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(tmp_path / "wrapped.h5")
    loaded = load_keras(tmp_path / "wrapped.h5")
    assert loaded.carries_ranges
    picture = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(loaded.model(picture), model(picture))
    with pytest.raises(UsageError, match=r"tfmot's wrappers. Remedy: convert the run that QAT started from"):
        float_twin(loaded)
    model.save(tmp_path / "wrapped.keras")
    with pytest.raises(ModelError, match=r"wrapped by tfmot.*Remedy: save it as \.h5"):
        load_keras(tmp_path / "wrapped.keras")


_QUANT = tf.quantization


@pytest.mark.parametrize(
    "rounded",
    [
        lambda x: _QUANT.fake_quant_with_min_max_args(x, 0.0, 1.0),
        lambda x: _QUANT.fake_quant_with_min_max_args(x, min=0.0, max=1.0),
        lambda x: _QUANT.fake_quant_with_min_max_vars(x, 0.0, 1.0),
        lambda x: _QUANT.fake_quant_with_min_max_vars_per_channel(x, [0.0] * 3, [1.0] * 3),
    ],
)
def test_a_float_twin_is_clipped_at_its_end_alone(tmp_path, rounded):
    """An inner range of [0, 1] is a matter of rounding; the last one is what a pixel can be."""
    first, second = keras.layers.Conv2D(3, 1, kernel_initializer="ones"), keras.layers.Conv2D(3, 1)
    noisy = keras.Input((None, None, 3))
    keras.Model(noisy, rounded(second(rounded(first(rounded(noisy)))))).save(tmp_path / "m.keras")
    twin = float_twin(load_keras(tmp_path / "m.keras"))
    assert not twin.carries_ranges
    picture = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    assert np.max(first(picture)) > 1
    np.testing.assert_allclose(twin.model(picture), np.clip(second(first(picture)), 0, 1), atol=1e-6)


def test_where_the_last_range_is_no_pixels_nothing_is_clipped(tmp_path):
    last = keras.layers.Conv2D(3, 1)
    noisy = keras.Input((None, None, 3))
    x = _QUANT.fake_quant_with_min_max_args(last(_QUANT.fake_quant_with_min_max_args(noisy, 0.0, 1.0)), -1.0, 1.0)
    keras.Model(noisy, keras.layers.Add()([x, noisy])).save(tmp_path / "m.keras")
    picture = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    found = float_twin(load_keras(tmp_path / "m.keras")).model(picture)
    np.testing.assert_allclose(found, last(picture) + picture, atol=1e-6)


def test_which_layers_were_pruned_is_told_with_what_the_network_was_trained_on(run_folder, tmp_path):
    told = read_evaluation(run_folder)
    run = tmp_path / "pruned"
    shutil.copytree(run_folder, run)
    pruning = MagnitudePruning(0.5, {"down0_0": {"0.3": 30.9}}, {"down0_0": 0.0, "down1_0": 0.75})
    write_evaluation(run, replace(told, treatments=Treatments(magnitude_pruning=pruning)))
    training, _ = load_keras(run).trained_on
    pruned = {"asked": 0.5, "shares": {"down0_0": 0.0, "down1_0": 0.75}}
    assert training["treatments"] == {"magnitude_pruning": pruned}
    assert "treatments" not in load_keras(run_folder).trained_on[0]


def _members(run_folder):
    with zipfile.ZipFile(run_folder / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("length", [0, 10, 1000, -100])
def test_a_file_that_is_cut_short_is_refused(run_folder, tmp_path, length):
    path = tmp_path / "cut.keras"
    path.write_bytes((run_folder / "model.keras").read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.keras.*Remedy"):
        load_keras(path)


def test_a_flipped_bit_is_noticed(run_folder, tmp_path):
    path = tmp_path / "flipped.keras"
    content = bytearray((run_folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"flipped\.keras.*Remedy"):
        load_keras(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    _write(tmp_path / "other.keras", {"readme.txt": "hello"})
    with pytest.raises(ModelError, match=r"without config\.json"):
        load_keras(tmp_path / "other.keras")


@pytest.mark.parametrize(("member", "size", "said"), [("x", 5 << 30, "4 GiB"), ("config.json", 65 << 20, "64 MiB")])
def test_a_file_that_unpacks_to_more_than_memory_holds_is_refused_by_its_list(tmp_path, member, size, said):
    """What a member will take is what the list of members claims: nothing has been unpacked by then."""
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name in {"config.json", "metadata.json", "model.weights.h5", member}:
            archive.writestr(name, b"{}")
        archive.getinfo(member).file_size = size
    with pytest.raises(ModelError, match=rf"bomb\.keras: .* more than {said}"):
        load_keras(path)


def test_a_file_of_an_unknown_keras_is_refused(run_folder, tmp_path):
    members = _members(run_folder) | {"metadata.json": json.dumps({"keras_version": "4.0.0"}).encode()}
    _write(tmp_path / "new.keras", members)
    with pytest.raises(ModelError, match=r"Keras, version 4\.0\.0.*Remedy: save it with Keras 2 or 3"):
        load_keras(tmp_path / "new.keras")


def test_an_unknown_layer_is_refused(run_folder, tmp_path):
    members = _members(run_folder)
    members["config.json"] = members["config.json"].replace(b'"Conv2D"', b'"Conv9D"')
    _write(tmp_path / "custom.keras", members)
    with pytest.raises(ModelError, match=r"custom\.keras.*Remedy"):
        load_keras(tmp_path / "custom.keras")


@pytest.mark.parametrize(
    ("shape", "layer"),
    [((8,), keras.layers.Dense(3)), ((16, 16, 5), keras.layers.Conv2D(5, 1)), ((16, 16, 3), keras.layers.Conv2D(7, 1))],
)
def test_other_ends_are_refused(tmp_path, shape, layer):
    noisy = keras.Input(shape)
    keras.Model(noisy, layer(noisy)).save(tmp_path / "ends.keras")
    with pytest.raises(ModelError, match="one input and one output of shape"):
        load_keras(tmp_path / "ends.keras")


def test_a_run_directory_with_a_damaged_evaluation_is_refused(run_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.keras").write_bytes((run_folder / "model.keras").read_bytes())
    (run / "evaluation.json").write_text('{"architecture": {"wid')
    with pytest.raises(ModelError, match=r"evaluation\.json"):
        load_keras(run)


def test_nothing_there_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_keras(tmp_path / "absent.keras")
    with pytest.raises(UsageError, match=r"without model\.keras"):
        load_keras(tmp_path)

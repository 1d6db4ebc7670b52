"""Float twins of quantized models: found by what conversion wrote, named by the user, or not known."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from compare.comparison import compare_pairs
from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import get_recipe
from convert.sources.keras_model import load_keras
from edge.models import shipped_models
from quietcam.data.sets.pairs import find_pairs
from quietcam.errors import UsageError
from quietcam.tflite.manifest import read_manifest, strip_manifest
from quietcam.tflite.twins import Origin, are_twins
from tests.tiny_network import SIZE, build_tiny


@pytest.fixture(scope="module")
def pairs(pair_folder):
    return find_pairs(pair_folder).pairs


def scores_of(*arguments, **options):
    """Without blame, which has tests of its own."""
    return compare_pairs(*arguments, **{"with_blame": False, **options}).scores


@pytest.fixture(scope="module")
def other_files(representative, tmp_path_factory):
    """Another network of the same architecture: ``float32`` and ``int8``."""
    folder = tmp_path_factory.mktemp("other")
    model = build_tiny()
    model.set_weights([each * 0.5 for each in model.get_weights()])
    model.save(folder / "other.keras")
    loaded = load_keras(folder / "other.keras")
    found = {}
    for recipe in ("float32", "int8"):
        made = convert_model(loaded, get_recipe(recipe), width=SIZE, height=SIZE, representative=representative)
        found[recipe] = write_model(folder, made.content, describe(made, loaded, "other", representative))
    return found


@pytest.fixture(scope="module")
def bare(other_files):
    """Its int8 model without a manifest: nothing records what it was made from."""
    path = other_files["int8"].with_name("bare.tflite")
    path.write_bytes(strip_manifest(other_files["int8"].read_bytes()))
    return path


def test_a_second_float_model_is_a_peer_and_not_gated(model_files, pairs, tmp_path):
    peer = tmp_path / "peer.tflite"
    peer.write_bytes(strip_manifest(model_files["float32"].read_bytes()))
    comparison = scores_of([*model_files.values(), peer], pairs[:1], max_drop=1.0)
    assert comparison.row("peer").drop is None
    assert comparison.row("peer").difference.largest == 0
    assert comparison.subject.name == "tiny_64x64_int8"
    assert {check.model for check in comparison.gate} == {"tiny_64x64_int8"}


def test_no_drop_is_told_of_a_model_whose_twin_is_not_known(model_files, other_files, pairs):
    """Two networks of one name and one architecture, from two runs: the float one of the other is no twin."""
    found = compare_pairs([model_files["int8"], other_files["float32"]], pairs[:2]).scores
    row = found.row(found.about)
    assert (row.reference, row.drop, found.reference, found.blame, found.gate) == (None, None, None, [], [])
    assert "gets no drop: no float model here is known to have the same weights" in found.notes[0]
    assert "`twins`" in found.notes[0]
    with pytest.raises(UsageError, match=r"none is known to be the float twin of .*Remedy: .*`twins="):
        scores_of([model_files["int8"], other_files["float32"]], pairs[:1], max_drop=1.0)
    files = [*other_files.values(), *model_files.values()]
    both = scores_of(files, pairs[:1])
    assert len({row.name for row in both.models}) == 4
    expected = {}
    for floating, quantized in (files[:2], files[2:]):
        expected[str(quantized)] = str(floating)
    paths = {row.name: row.path for row in both.models}
    assert {row.path: paths[row.reference] for row in both.models if row.is_quantized} == expected


def test_a_twin_that_is_named_counts_and_is_added(model_files, other_files, bare, pairs):
    found = scores_of([bare], pairs[:1], twins={bare: other_files["float32"]}, max_drop=50.0)
    assert [row.name for row in found.models] == ["bare", "other_64x64_float32"]
    assert (found.reference, found.subject.reference) == ("other_64x64_float32",) * 2
    assert [check.model for check in found.gate] == ["bare"]
    with pytest.raises(UsageError, match="is a float model"):
        scores_of([model_files["float32"]], pairs[:1], twins={model_files["float32"]: other_files["float32"]})
    with pytest.raises(UsageError, match="is quantized"):
        scores_of([bare], pairs[:1], twins={bare: model_files["int8"]})


def test_what_is_recorded_of_the_weights_makes_twins_and_names_do_not(model_files, loaded):
    floating, quantized = (read_manifest(model_files[each]) for each in ("float32", "int8"))
    # By hand: every weight's shape and float32 bytes, in Keras's order.
    digest = hashlib.sha256()
    for each in loaded.model.get_weights():
        digest.update(str(each.shape).encode() + each.astype("<f4").tobytes())
    assert floating.weights_sha256 == quantized.weights_sha256 == digest.hexdigest()

    def twins(one, other):
        return are_twins(Origin.of_manifest(one), Origin.of_manifest(other))

    renamed = dataclasses.replace(quantized, name="else", architecture=None)
    assert twins(renamed, floating)
    assert not twins(dataclasses.replace(quantized, weights_sha256="0" * 64), floating)
    old = [dataclasses.replace(each, weights_sha256=None) for each in (quantized, floating)]
    assert not twins(*old)  # no hash of the data: the run is not told
    told = [dataclasses.replace(each, training=each.training | {"sha256": "1" * 64}) for each in old]
    assert twins(*told)
    assert not twins(told[0], dataclasses.replace(told[1], metrics=told[1].metrics | {"psnr": 30.0}))
    assert not twins(told[0], dataclasses.replace(told[1], architecture={"stem": 4}))


def test_every_model_that_ships_has_its_own_float_twin():
    models = {path.name: Origin.of_manifest(read_manifest(path)) for path in shipped_models()}
    floats = {name for name in models if "float32" in name}
    assert floats
    for name, origin in models.items():
        if "int8" in name:
            wanted = {each for each in floats if each.split("_")[0] == name.split("_")[0]}
            assert {each for each in floats if are_twins(origin, models[each])} == wanted, name


@pytest.mark.parametrize(
    ("recipe", "words"), [("int8", "none is known to be the float twin"), ("float32", "no quantized model")]
)
def test_a_gate_needs_a_float_and_a_quantized_model(model_files, pairs, recipe, words):
    with pytest.raises(UsageError, match=rf"{words}.*Remedy"):
        compare_pairs([model_files[recipe]], pairs, max_drop=0.1)

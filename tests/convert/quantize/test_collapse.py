"""The collapse: one channel times k, its readers by 1/k. Float stays the same, int8 is ruined; found, named, mended."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tf_keras as keras

from convert.converter import convert_model, prepare
from convert.quantize.loss import Estimated
from convert.quantize.rescue import rescue
from convert.quantize.scheme import Scheme
from convert.recipes import get_recipe
from convert.sources.keras_model import load_keras
from edge.network.modelfile import load_model
from quietcam.app.cli import run
from quietcam.image import to_float
from quietcam.quality.gate import QualityGate
from quietcam.representative.set import save_set
from tests.tiny_network import noisy_pictures, set_of

STRETCH = {"sound": 1.0, "tight": 8.0, "stretched": 300.0}


def plain_network(k):
    """Two 3x3 convolutions with plain ReLU and a last one, near the identity, the noise averaged a little.

    Channel 5 of ``second`` is multiplied by k and read with 1/k.
    """
    rng = np.random.default_rng(1)

    def kernel(inputs, outputs):
        values = rng.normal(0, 0.02, (3, 3, inputs, outputs))
        for channel in range(outputs):
            values[1, 1, channel % inputs, channel] += min(1.0, inputs / outputs * 0.9 if inputs > outputs else 0.9)
        if inputs > outputs:
            values[1, 1] = np.array([[0.22 if i % outputs == o else 0 for o in range(outputs)] for i in range(inputs)])
        return values

    first, second, last = kernel(3, 12), kernel(12, 12), kernel(12, 3)
    bias = rng.uniform(0, 0.05, 12)
    second[..., 5] *= k
    bias[5] *= k
    last[:, :, 5] /= k
    noisy = keras.Input((None, None, 3))
    layers = keras.layers
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="first")(noisy)
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="second")(x)
    x = layers.Conv2D(3, 3, padding="same", name="last")(x)
    model = keras.Model(noisy, layers.ReLU(1.0, name="clip")(x), name="plain")
    model.set_weights([first, np.zeros(12), second, bias, last, np.zeros(3)])
    return model


@pytest.fixture(scope="module")
def pictures():
    return set_of(noisy_pictures(16, 32, seed=5)[0])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    for name, k in STRETCH.items():
        plain_network(k).save(folder / f"{name}.keras")
    return folder


@pytest.fixture(scope="module")
def stretched(files, pictures):
    return prepare(load_keras(files / "stretched.keras"), pictures)


@pytest.fixture(scope="module")
def sound(files, pictures):
    return prepare(load_keras(files / "sound.keras"), pictures)


def test_the_float_function_is_the_same():
    noisy = to_float(noisy_pictures(1, 32)[0])
    np.testing.assert_allclose(plain_network(300.0)(noisy), plain_network(1.0)(noisy), atol=1e-5)


def test_the_layer_and_the_channel_are_named_before_anything_is_quantized(stretched, sound):
    assert sound.collapsed() == []
    ((found, span),) = stretched.collapsed()
    assert (found.layer, found.widest_channel) == ("second", 5)
    assert found.levels(span) > 50  # taken over all values it looks sound: one channel in twelve is 8 % of them
    assert "channel 5 reaches" in found.cause(span)


def test_int8_collapses_and_equalized_channels_bring_it_back(stretched, sound):
    before, after = Estimated(stretched), Estimated(sound).loss(Scheme(rounding=False)).drop
    ruined = before.loss(Scheme(rounding=False)).drop
    assert ruined > 10 * after
    assert before.loss(Scheme(rounding=False, equalize=True)).drop < 1.2 * after
    assert before.loss(Scheme(equalize=True)).drop < 1.2 * after


def test_equalized_channels_leave_the_float_network_as_it_is(stretched):
    judge = Estimated(stretched)
    equalized = judge._run(stretched.float_content(Scheme(equalize=True)))
    assert max(np.abs(a - b).max() for a, b in zip(equalized, judge._expected, strict=True)) <= 1 / 254


def test_the_rescue_stops_at_the_first_kind_of_step_that_is_enough(stretched):
    found = rescue(stretched, Estimated(stretched), gate=QualityGate(0.5, 1.0))
    assert found.holds
    assert found.scheme.equalize
    assert not found.scheme.excluded
    titles = [step.title for step in found.steps]
    assert titles[-1] == "channels equalized"
    assert titles[0].startswith("the default")
    assert [step.kept for step in found.steps][-1]


def test_the_layer_in_float_is_the_last_resort_and_no_int8_model(files, pictures, stretched, monkeypatch):
    monkeypatch.setattr(type(stretched), "can_equalize", property(lambda _: False))
    found = rescue(stretched, Estimated(stretched), gate=QualityGate(0.5, 1.0))
    assert found.holds
    assert any("second" in each for each in found.scheme.excluded)
    conversion = convert_model(
        load_keras(files / "stretched.keras"),
        get_recipe("int8"),
        width=64,
        height=64,
        representative=pictures,
        prepared=stretched,
        scheme=found.scheme,
    )
    assert conversion.recipe_name == "int8_mixed"
    assert 0 < conversion.graph.int8_share < 1
    assert conversion.graph.inputs[0].dtype == conversion.graph.outputs[0].dtype == "int8"


def test_convert_warns_says_what_to_try_and_does_it(files, pictures, tmp_path, capsys):
    save_set(tmp_path / "rep.npz", pictures)
    arguments = ["convert", str(files / "stretched.keras"), "--recipe", "int8", "--tile", "64"]
    arguments += ["--representative", str(tmp_path / "rep.npz"), "--out", str(tmp_path)]
    assert run([*arguments, "--max-drop", "0.5"]) == 3
    said = capsys.readouterr().err
    assert "Int8 will collapse in layer second" in said
    assert "--rescue" in said.splitlines()[-1]
    assert (
        "train it with fake quantization in the program that built it" in said.splitlines()[-1]
    )  # we train our own family alone
    assert "quietcam train" not in said

    assert run([*arguments, "--max-drop", "0.5", "--rescue", "--json", str(tmp_path / "r.json")]) == 0
    assert "what each step brought" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["collapsed"][0]["layer"] == "second"
    assert report["rescue"]["holds"]
    assert report["models"][0]["int8_share"] == 1.0
    manifest = load_model(tmp_path / "stretched_64x64_int8.tflite").manifest
    assert manifest is not None
    assert "channels equalized" in manifest.training["ranges"]["scheme"]
    assert manifest.metrics["int8"]["measured"] is False


def test_short_of_a_collapse_the_layer_with_the_fewest_levels_is_named(files, pictures, tmp_path, capsys):
    save_set(tmp_path / "rep.npz", pictures)
    arguments = ["convert", str(files / "tight.keras"), "--recipe", "int8", "--tile", "64", "--max-drop", "0.001"]
    assert run([*arguments, "--representative", str(tmp_path / "rep.npz"), "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "collapse" not in said
    assert "Int8 has the fewest levels in layer second" in said
    assert "channel 5 reaches" in said

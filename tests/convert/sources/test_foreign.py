"""Other people's networks: what their Keras files hold comes out of the device's code, or one line says why not."""

from __future__ import annotations

import json
import warnings

import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from compare.contenders import open_contender
from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import get_recipe
from convert.sources.keras_model import load_keras
from edge.network.interpreter import Interpreter
from quietcam.app.cli import run
from quietcam.errors import ModelError, UsageError
from quietcam.image import to_float
from quietcam.representative.set import save_set
from quietcam.tflite.tensorflow_errors import explain
from tests.tiny_network import noisy_pictures, set_of

HEIGHT, WIDTH = 24, 40


def network(library, shape=(None, None, 3), last="sigmoid"):
    """Sharpens a little in front of its last function: y = f(6 * conv(x) - 3), every weight known."""
    layers = library.layers
    noisy = layers.Input(shape)
    convolution = layers.Conv2D(3, 3, padding="same", name="inner")
    x = layers.Activation(last, name="last")(layers.Rescaling(6.0, -3.0)(convolution(noisy)))
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1], kernel[0, 1] = 1.1 * np.eye(3), -0.1 * np.eye(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3's own, of numpy 2
        convolution.set_weights([kernel, np.zeros(3, np.float32)])
    return library.Model(noisy, x)


def by_hand(noisy):
    """What ``network`` computes, float64 in 0 to 255."""
    x = noisy.astype(np.float64) / 255
    above = np.pad(x, ((1, 0), (0, 0), (0, 0)))[:-1]
    return 255 / (1 + np.exp(-(6 * (1.1 * x - 0.1 * above) - 3)))


@pytest.fixture(scope="module")
def representative():
    return set_of(noisy_pictures(8, 32)[0])


def files(folder):
    """The same network as everybody saves it."""
    for name, library in (("two", keras), ("three", keras_3)):
        model = network(library, (HEIGHT, WIDTH, 3))
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
        if library is keras:
            model.save(folder / "folder_two", save_format="tf")
        else:
            model.export(folder / "folder_three", verbose=False)
    return [folder / name for name in ("two.keras", "two.h5", "folder_two", "three.keras", "three.h5", "folder_three")]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both Keras say that .h5 is legacy
        return {path.name: path for path in files(tmp_path_factory.mktemp("saved"))}


@pytest.mark.parametrize("name", ["two.keras", "two.h5", "folder_two", "three.keras", "three.h5", "folder_three"])
def test_every_form_of_a_file_gives_the_same_pixels(saved, representative, tmp_path, name):
    """Sigmoid at the end, whose int8 kernel gives 1/256 whatever is asked for; and a size of its own."""
    loaded = load_keras(saved[name])
    assert loaded.fixed == loaded.fit(256, 256) == (WIDTH, HEIGHT)
    noisy = noisy_pictures(1, 64, seed=4)[0][0][:HEIGHT, :WIDTH]
    for recipe, most in (("float32", 0.51), ("int8", 4.0)):
        made = convert_model(loaded, get_recipe(recipe), width=WIDTH, height=HEIGHT, representative=representative)
        path = write_model(tmp_path, made.content, describe(made, loaded, "m", representative))
        denoised = np.empty_like(noisy)
        with Interpreter(path) as interpreter:
            interpreter.run(noisy, denoised)
        assert np.abs(denoised - by_hand(noisy)).max() <= most
    end = made.graph.outputs[0]
    assert (np.float32(end.scales[0]), end.zero_points) == (np.float32(1 / 255), (-128,))


def test_a_saved_model_is_as_large_as_its_files(saved):
    folder = saved["folder_two"]
    assert open_contender(folder).costs()["bytes"] == sum(each.stat().st_size for each in folder.rglob("*.*"))
    assert open_contender(saved["two.keras"]).costs()["bytes"] == saved["two.keras"].stat().st_size


def test_another_size_than_its_own_is_wrong_usage(saved, representative):
    loaded = load_keras(saved["three.keras"])
    with pytest.raises(UsageError, match=rf"fixed input size.*built for {WIDTH}x{HEIGHT}.*`size={WIDTH}x{HEIGHT}`"):
        convert_model(loaded, get_recipe("float32"), width=64, height=64, representative=representative)


@pytest.mark.parametrize(("library", "name"), [(keras, "mixed_float16"), (keras_3, "mixed_bfloat16")])
def test_mixed_precision_becomes_the_same_weights_in_float32(tmp_path, library, name):
    library.mixed_precision.set_global_policy(name)
    try:
        model = network(library)
    finally:
        library.mixed_precision.set_global_policy("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3's own, of numpy 2
        model.save(tmp_path / "mixed.keras")
    loaded = load_keras(tmp_path / "mixed.keras")
    made = convert_model(loaded, get_recipe("float32"), width=32, height=32)
    assert {each.dtype for op in made.graph.ops for each in op.activations} == {"float32"}
    noisy = noisy_pictures(1, 32)[0][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3's own, of numpy 2
        found = loaded.model(to_float(noisy)[None]).numpy()[0]
    np.testing.assert_allclose(255 * found, by_hand(noisy), atol=0.01)


def test_keras_and_both_conversions_are_compared_at_the_size_of_the_file(saved, representative, tmp_path, pair_folder):
    loaded = load_keras(saved["three.keras"])
    paths = [saved["three.keras"]]
    for recipe in ("float32", "int8"):
        made = convert_model(loaded, get_recipe(recipe), width=WIDTH, height=HEIGHT, representative=representative)
        paths.append(write_model(tmp_path, made.content, describe(made, loaded, "m", representative)))
    report = tmp_path / "c.json"
    words = ["compare", *map(str, paths), "--data", str(pair_folder), "--limit", "1", "--json", str(report)]
    assert run([*words, "--max-drop", "50"]) == 0
    rows = {row["name"]: row for row in json.loads(report.read_text())["rows"]}
    assert rows[f"m_{WIDTH}x{HEIGHT}_int8"]["reference"] == "three"  # the same weights, though nobody named them
    assert rows[f"m_{WIDTH}x{HEIGHT}_float32"]["difference"]["largest"] <= 1


def _unknown_operator():
    noisy = keras.Input((32, 32, 3))
    return keras.Model(noisy, tf.math.erf(keras.layers.Conv2D(3, 3, padding="same")(noisy)))


def _lambda():
    noisy = keras.Input((32, 32, 3))
    return keras.Model(noisy, keras.layers.Lambda(lambda x: x * 0.5)(noisy))


def _two_outputs():
    noisy = keras.Input((32, 32, 3))
    return keras.Model(noisy, [keras.layers.Conv2D(3, 3, padding="same")(noisy), noisy])


def _valid_padding():
    noisy = keras.Input((32, 32, 3))
    return keras.Model(noisy, keras.layers.Conv2D(3, 3)(noisy))


def _meets_itself_late():
    """Takes only sides that are multiples of 8, although its input declares any size."""
    noisy = keras.Input((None, None, 3))
    x = keras.layers.UpSampling2D(8)(keras.layers.MaxPooling2D(8)(noisy))
    return keras.Model(noisy, keras.layers.Add(name="meeting")([x, noisy]))


@pytest.mark.parametrize(
    ("build", "options", "words"),
    [
        (_unknown_operator, [], "TFLite has no operator for Erf"),
        (_lambda, [], "replace Lambda by Keras layers"),
        (_two_outputs, [], "1 input of shape (None, 32, 32, 3) and 2 outputs"),
        (_valid_padding, [], "one output of shape [1, 32, 32, 3]"),
        (_meets_itself_late, ["--size", "36x36"], "meeting"),
    ],
)
def test_what_cannot_be_converted_is_one_line_of_ours(tmp_path, representative, capfd, build, options, words):
    build().save(tmp_path / "m.keras")
    save_set(tmp_path / "r.npz", representative)
    options = [*options, "--representative", str(tmp_path / "r.npz")]
    capfd.readouterr()
    assert run(["convert", str(tmp_path / "m.keras"), "--out", str(tmp_path / "out"), *options]) == 1
    *before, line = capfd.readouterr().err.splitlines()
    assert line.startswith("quietcam: ")
    told = [each for each in before if "Remedy: " not in each]  # no findings about the set and the network
    # Only of this one is the loss estimated before it fails.
    assert [each.partition(" about ")[0] for each in told] == ["Int8 loses"] * (build is _valid_padding)
    assert words in line
    assert "Remedy: " in line
    for never in ("unexpected", "in user code", "Traceback", "loc(", "tf_keras/src"):
        assert never not in line


@pytest.mark.parametrize("library", [keras, keras_3])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_python_code_in_a_file_is_not_run(library, suffix, tmp_path, monkeypatch):
    """tf_keras, for one, runs what an .h5 holds when it loads it."""
    ran = []
    monkeypatch.setattr(np, "ran", ran, raising=False)
    noisy = library.layers.Input((32, 32, 3))
    model = library.Model(noisy, library.layers.Lambda(lambda x: (np.ran.append(1), x)[1])(noisy))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .h5 is legacy
        model.save(tmp_path / f"m{suffix}")
    ran.clear()
    with pytest.raises(ModelError, match="a Lambda layer with Python code, which is not run"):
        load_keras(tmp_path / f"m{suffix}")
    assert ran == []


def test_weights_alone_are_named(tmp_path):
    network(keras).save_weights(tmp_path / "w.h5")
    with pytest.raises(ModelError, match=r"only weights, without the network. Remedy: build the network"):
        load_keras(tmp_path / "w.h5")


def test_ranges_of_qat_in_a_saved_model_are_refused(qat_file, tmp_path, capsys):
    """Its float model would be a quantized one under another name."""
    keras.models.load_model(qat_file, compile=False).save(tmp_path / "folder", save_format="tf")
    assert run(["convert", str(tmp_path / "folder"), "--recipe", "float32", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "a SavedModel with fake quantization" in said
    assert "Remedy: give the .keras or .h5 file of the same network." in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'in user code:\n\n    File "/a/b.py", line 3, in call  *\n        return f(x)\n\n    ValueError: '
            'Input 0 of layer "up" is incompatible with the layer: found shape=(1, 9, 9, 3)\n',
            'Input 0 of layer "up" is incompatible with the layer: found shape=(1, 9, 9, 3)',
        ),
        (
            "Exception encountered when calling layer 'meet' (type Add).\n\n{{function_node __wrapped}} Incompatible "
            "shapes: [1,8] vs. [1,9] [Op:AddV2] name: \n\nCall arguments received",
            "layer meet: Incompatible shapes: [1,8] vs. [1,9]",
        ),
        (
            'Could not translate MLIR to FlatBuffer.<unknown>:0: error: loc(fused["Erf:", "model/act/Erf@x"]): '
            "'tf.Erf' op is neither a custom op nor a flex op\nSome ops are not supported by the native TFLite runtime"
            '\nFlex ops: Erf\nDetails:\n\ttf.Erf(tensor<1x8xf32>) -> (tensor<1x8xf32>) : {device = ""}\n',
            "TFLite has no operator for Erf",
        ),
        ("", "RuntimeError"),
    ],
)
def test_what_tensorflow_says_becomes_one_short_line(text, words):
    said = explain(RuntimeError(text))
    assert said.startswith(words)
    assert "\n" not in said
    assert len(said) < 260
    assert "in user code" not in said


def test_float_ends_do_not_make_a_float_model(tmp_path):
    """Without a manifest the weights decide: a model with rounded weights is not a float twin."""
    loaded = _loaded(tmp_path, network(keras, (32, 32, 3)))
    for recipe, is_quantized in (("float32", False), ("float16", True)):
        path = tmp_path / f"{recipe}.tflite"
        path.write_bytes(convert_model(loaded, get_recipe(recipe), width=32, height=32).content)
        assert open_contender(path).is_quantized is is_quantized


def _loaded(folder, model):
    model.save(folder / "m.keras")
    return load_keras(folder / "m.keras")

"""What is said of a float network before int8 is measured against it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from convert.quantize.soundness import find_fault, some_frames
from quietcam.app.cli import run
from quietcam.image import to_float
from quietcam.representative.set import save_set
from quietcam.tflite.manifest import read_manifest
from tests.tiny_network import noisy_pictures, set_of

SIDE = 32
FRAMES = [to_float(each)[None] for each in noisy_pictures(4, SIDE)[0]]


def content(function):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


def smooth(x):
    return tf.nn.avg_pool2d(x, 3, 1, "SAME")


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (smooth, None, ""),
        (lambda x: x + 0.0, None, ""),
        (lambda x: 0.85 * smooth(x) + 0.05, None, ""),  # less contrast is no fault of int8's making
        (lambda x: smooth(x) + 5.0, "constant", "255 of 255 whatever the picture is, white all over"),
        (lambda x: smooth(x) * 0.0 + 0.5, "constant", "128 of 255 whatever the picture is"),
        (lambda x: (smooth(x) - 0.4) * 1000, "saturated", "black or white"),
        (lambda x: 1 - smooth(x), "far", "far from its input: squares of 8 pixels are off by"),
        (lambda x: tf.math.log(smooth(x) - 2.0), "not finite", "100 % of the float network's output is not a number"),
        # as r, g, b of 0 to 255: what is 1 there is black here
        (lambda x: tf.nn.relu(tf.tanh(smooth(x) / 127.5 - 1) * 127.5 + 127.5), "constant", "pixels of 0 to 255"),
    ],
)
def test_faults_by_kind(function, kind, words):
    found = find_fault(content(function), FRAMES)
    assert (found.kind if found else None) == kind
    assert words in str(found or "")
    assert found is None or "Remedy: " in str(found)


@pytest.mark.parametrize("low", [0.0, 12.0])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: tf.nn.relu(smooth(x) - 0.05),  # black all over
        lambda x: smooth(x) * 0.0 + 0.05,
        smooth,
    ],
)
def test_what_is_dark_and_flat_may_become_black_or_one_value(function, low):
    """A closed lens, and night: nothing is there that a network could have lost."""
    rng = np.random.default_rng(0)
    frames = [np.clip(rng.normal(low, 4, (1, SIDE, SIDE, 3)).round(), 0, 255).astype(np.float32) / 255] * 4
    assert find_fault(content(function), frames) is None


def test_generated_frames_have_the_models_shape():
    for height, width, channels in ((28, 28, 1), (64, 40, 3)):
        assert {each.shape for each in some_frames(height, width, channels)} == {(1, height, width, channels)}


@pytest.fixture
def white(tmp_path):
    """A network for 0 to 255, as tutorials make them, saved; and a representative set."""
    noisy = keras.Input((None, None, 3))
    smoothed = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=keras.initializers.Constant(1 / 9))
    x = smoothed(keras.layers.Rescaling(1 / 127.5, -1.0)(noisy))
    x = keras.layers.Rescaling(127.5, 127.5)(keras.layers.Activation("tanh")(x))
    keras.Model(noisy, keras.layers.ReLU(255.0)(x)).save(tmp_path / "white.keras")
    save_set(tmp_path / "r.npz", set_of(noisy_pictures(4, SIDE)[0]))
    return tmp_path


def test_convert_tells_no_loss_of_a_network_that_gives_no_pictures(white, capsys):
    words = ["convert", str(white / "white.keras"), "--out", str(white), "--size", "32x32"]
    words += ["--representative", str(white / "r.npz"), "--json", str(white / "c.json")]
    assert run(words) == 0
    shown = capsys.readouterr()
    assert "The float network's output is 255 of 255 whatever the picture is" in shown.err
    assert "built for pixels of 0 to 255" in shown.err
    assert "int8 loses 0" not in shown.out + shown.err
    assert "int8 loses about" not in shown.out + shown.err
    assert "The loss of int8 is not reported" in shown.out
    assert "Run it" not in shown.out  # nobody is asked to run what gives no pictures
    report = json.loads((white / "c.json").read_text())
    assert report["loss"] is None
    manifest = read_manifest(white / "white_32x32_int8.tflite")
    assert manifest.metrics["findings"] == report["findings"]
    assert "white all over" in report["findings"][0]
    assert run([*words, "--max-drop", "1"]) == 3
    assert "--max-drop compares int8 with a float network, which must give pictures" in capsys.readouterr().err


def test_convert_says_that_a_run_is_worse_than_the_noisy_picture(run_folder, tmp_path, capsys):
    worse = tmp_path / "worse"
    worse.mkdir()
    (worse / "model.keras").write_bytes((run_folder / "model.keras").read_bytes())
    told = json.loads((run_folder / "evaluation.json").read_text())
    told["validation"] = {"psnr": 24.13, "noisy_psnr": 25.0, "crops": 4}
    (worse / "evaluation.json").write_text(json.dumps(told))
    words = ["--out", str(tmp_path), "--size", "64x64", "--recipe", "float32", "--json", str(tmp_path / "c.json")]
    assert run(["convert", str(worse), *words]) == 0
    sentence = "the network is 0.87 dB worse than the noisy picture on its validation crops: 24.13 dB denoised"
    assert f"T{sentence[1:]}" in capsys.readouterr().err
    assert json.loads((tmp_path / "c.json").read_text())["harms"][0].startswith(sentence)


def too_bright(folder, offset):
    """A network that adds ``offset`` and does nothing else, saved."""
    noisy = keras.Input((64, 64, 3))
    x = keras.layers.Rescaling(1.0, offset)(noisy)
    keras.Model(noisy, keras.layers.ReLU(1.0)(x)).save(folder / "m.keras")
    return folder / "m.keras"


@pytest.mark.parametrize(("offset", "harm"), [(0.1, True), (0.0, False)])
def test_the_float_network_is_held_against_the_noisy_pairs(pair_folder, tmp_path, capsys, offset, harm):
    """25 steps of 255 too bright, or the input itself; int8 loses next to nothing to either."""
    save_set(tmp_path / "r.npz", set_of(noisy_pictures(4, 64)[0]))
    words = ["--recipe", "int8", "--representative", str(tmp_path / "r.npz"), "--data", str(pair_folder)]
    assert run(["convert", str(too_bright(tmp_path, offset)), *words, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "measured on the pairs" in shown.out
    assert ("dB worse than the noisy picture on the given pairs" in shown.err) is harm


@pytest.mark.parametrize(("offset", "harm"), [(0.1, True), (0.0, False)])
def test_pairs_are_looked_at_though_int8_takes_no_ranges(pair_folder, tmp_path, capsys, offset, harm):
    """A float recipe, and a finished file that is converted again: 25 steps of 255 too bright, or the input itself."""
    model = too_bright(tmp_path, offset)
    words = ["--recipe", "float32", "--data", str(pair_folder), "--out"]
    for source, out in ((model, "one"), (tmp_path / "one/m_64x64_float32.tflite", "two")):
        assert run(["convert", str(source), *words, str(tmp_path / out), "--json", str(tmp_path / "c.json")]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert "On the given pairs m_64x64_float32.tflite reaches" in said
        assert ("dB worse than the noisy picture on the given pairs" in said) is harm
        assert bool(json.loads((tmp_path / "c.json").read_text())["harms"]) is harm

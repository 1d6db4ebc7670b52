"""Video networks of other people: which ends they have, however they were saved."""

from __future__ import annotations

import warnings

import keras as keras_3
import numpy as np
import pytest
import tf_keras as keras

from convert.converter import convert_model
from convert.recipes import get_recipe
from convert.sources.keras_model import load_keras
from quietcam.errors import ModelError
from quietcam.image import to_float
from quietcam.tflite.measurement import tensor_runner
from tests.tiny_network import noisy_pictures, with_history

SIDE = 16


def network(library, names=("noisy", "history"), *, form="list", remembers=True, shapes=((None, None, 3),) * 2):
    """``denoised = 3/4 noisy + 1/4 history`` and, to remember, ``1/2 noisy``: each end has a share of its own."""
    layers = library.layers
    first, second = (library.Input(shape, name=name) for shape, name in zip(shapes, names, strict=True))
    noisy, history = (first, second) if names[0] != "history" else (second, first)
    denoised = layers.Add()([layers.Rescaling(0.75)(noisy), layers.Rescaling(0.25)(history)])
    kept = layers.Rescaling(0.5, name="kept")(noisy)
    inputs = [first, second]
    outputs = [denoised, kept] if remembers else denoised
    if form == "names":
        outputs = [layers.Rescaling(1.0, name="history_out")(kept), layers.Rescaling(1.0, name="denoised")(denoised)]
    if form == "dict":
        inputs, outputs = {"noisy": noisy, "history": history}, {"history": kept, "denoised": denoised}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.Model(inputs, outputs)


def converted(path, outputs):
    """The outputs of the converted network for two random frames."""
    made = convert_model(load_keras(path), get_recipe("float32"), width=SIDE, height=SIDE)
    assert [each.name for each in made.graph.inputs] == ["noisy", "history"]
    frame = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    run = tensor_runner(made.content, [each.index for each in made.graph.outputs])
    found = [values.reshape(SIDE, SIDE, 3) for _, values in run(frame)]
    assert len(found) == outputs
    np.testing.assert_allclose(found[0], 0.75 * frame[0] + 0.25 * frame[1], atol=1e-6)
    for kept in found[1:]:
        np.testing.assert_allclose(kept, 0.5 * frame[0], atol=1e-6)


@pytest.mark.parametrize("library", [keras, keras_3])
@pytest.mark.parametrize("form", ["list", "names", "dict"])
@pytest.mark.parametrize("names", [("noisy", "history"), ("history", "noisy")])
def test_names_decide_in_either_keras(tmp_path, library, form, names):
    network(library, names, form=form).save(tmp_path / "model.keras")
    converted(tmp_path / "model.keras", 2)


@pytest.mark.parametrize("library", [keras, keras_3])
@pytest.mark.parametrize("names", [("noisy", "history"), ("history", "noisy")])
def test_the_recipe_that_tensorflow_calibrates_is_given_frames_with_their_history(tmp_path, library, names):
    network(library, names).save(tmp_path / "model.keras")
    dark, bright = noisy_pictures(8, SIDE)[0] // 4, 255 - noisy_pictures(8, SIDE)[0] // 4
    dark[0, 0], bright[0, 0] = 60, 200
    made = convert_model(
        load_keras(tmp_path / "model.keras"),
        get_recipe("int8x16"),
        width=SIDE,
        height=SIDE,
        representative=with_history(dark, bright),
    )
    run = tensor_runner(made.content, [each.index for each in made.graph.outputs])
    frame = to_float(np.stack([dark[3], bright[3]]))
    denoised, kept = (values.reshape(SIDE, SIDE, 3) for _, values in run(frame))
    np.testing.assert_allclose(denoised, 0.75 * frame[0] + 0.25 * frame[1], atol=2e-3)
    np.testing.assert_allclose(kept, 0.5 * frame[0], atol=2e-3)


@pytest.mark.parametrize("library", [keras, keras_3])
def test_a_network_that_remembers_its_own_picture_has_one_output(tmp_path, library):
    network(library, remembers=False).save(tmp_path / "model.keras")
    assert load_keras(tmp_path / "model.keras").outputs == ("denoised",)
    converted(tmp_path / "model.keras", 1)


@pytest.mark.parametrize("form", ["list", "dict"])
def test_a_saved_model_of_keras_3_keeps_the_order_or_the_names(tmp_path, form):
    network(keras_3, ("history", "noisy"), form=form).export(tmp_path / "saved", verbose=False)
    converted(tmp_path / "saved", 2)


def test_a_saved_model_of_keras_2_needs_names_because_it_sorts_its_outputs(tmp_path):
    network(keras, form="names").save(tmp_path / "named")
    converted(tmp_path / "named", 2)
    network(keras).save(tmp_path / "unnamed")
    with pytest.raises(ModelError, match=r"2 outputs named add\w* and kept. Remedy: call the outputs .* history_out"):
        load_keras(tmp_path / "unnamed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": ("image", "previous")}, r"2 inputs named image and previous. Remedy: name the inputs of a video"),
        (
            {"shapes": ((32, 32, 3), (None, None, 3))},
            r"inputs of shape .* and .* give noisy and history the same shape",
        ),
    ],
)
def test_two_inputs_that_are_no_frame_and_its_history_are_refused(tmp_path, changes, said):
    network(keras, **changes).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=said):
        load_keras(tmp_path / "model.keras")


def test_a_still_network_has_one_output(tmp_path):
    noisy = keras.Input((None, None, 3))
    keras.Model(noisy, [keras.layers.ReLU()(noisy), keras.layers.ReLU(6.0)(noisy)]).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"1 input .* and 2 outputs .*keep the picture"):
        load_keras(tmp_path / "model.keras")


def test_what_is_remembered_is_an_output_of_its_own(tmp_path):
    noisy, history = keras.Input((None, None, 3), name="noisy"), keras.Input((None, None, 3), name="history")
    picture = keras.layers.Add()([noisy, history])
    keras.Model([noisy, history], [picture, picture]).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"a tensor of its own.*Remedy: output the picture alone"):
        convert_model(load_keras(tmp_path / "model.keras"), get_recipe("float32"), width=SIDE, height=SIDE)

"""Conversion: its results, that they are reproducible, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter as LiteRt

from convert.contract import check_contract
from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import RECIPES, get_recipe
from convert.sources.keras_model import load_keras
from edge.network.interpreter import Interpreter
from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.image import to_float, to_uint8
from quietcam.metrics import psnr
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import attach_manifest, read_manifest
from quietcam.tflite.receptive_field import receptive_field
from tests.tiny_network import SIZE, build_tiny, noisy_pictures, set_of


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_the_same_inputs_give_the_same_bytes(loaded, representative, conversions, recipe):
    again = convert_model(loaded, get_recipe(recipe), width=SIZE, height=SIZE, representative=representative)
    assert again.content == conversions[recipe].content


def test_the_float_model_computes_what_keras_does(loaded, model_files):
    noisy = noisy_pictures(1, SIZE, seed=9)[0][0]
    expected = to_uint8(loaded.model(to_float(noisy)[None]).numpy()[0])
    denoised = np.empty_like(noisy)
    with Interpreter(model_files["float32"]) as interpreter:
        interpreter.run(noisy, denoised)
    assert np.abs(denoised.astype(int) - expected).max() <= 1


def test_the_int8_model_stays_close_to_the_float_one(model_files):
    noisy = noisy_pictures(1, SIZE, seed=9)[0][0]
    denoised = {}
    for recipe, path in model_files.items():
        denoised[recipe] = np.empty_like(noisy)
        with Interpreter(path) as interpreter:
            interpreter.run(noisy, denoised[recipe])
    assert psnr(denoised["float32"], denoised["int8"]) > 30
    assert denoised["int8"].std() > 10


def test_sizes_other_than_the_patches_and_other_than_square_work(loaded, representative):
    conversion = convert_model(loaded, get_recipe("int8"), width=80, height=48, representative=representative)
    assert conversion.graph.inputs[0].shape == (1, 48, 80, 3)
    assert conversion.graph.outputs[0].shape == (1, 48, 80, 3)
    assert conversion.graph.int8_share == 1.0


def test_the_ends_are_the_pixels_even_if_the_pictures_are_gray(loaded):
    """Both ends are planted; without them the input's scale would follow the darkest and the brightest pixel."""
    dull = set_of(noisy_pictures(4, 32)[0] // 2 + 50)
    conversion = convert_model(loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=dull)
    assert conversion.graph.inputs[0].scales == (float(np.float32(1 / 255)),)


def test_an_output_without_bounds_is_given_those_of_pixels(tmp_path, representative):
    model = _save_and_load(tmp_path, lambda x: keras.layers.Conv2D(3, 3, padding="same")(x))
    conversion = convert_model(model, get_recipe("int8"), width=SIZE, height=SIZE, representative=representative)
    assert conversion.graph.outputs[0].scales == (float(np.float32(1 / 255)),)
    assert conversion.graph.outputs[0].zero_points == (-128,)


def test_fake_quantization_needs_no_representative_set(qat_file):
    conversion = convert_model(load_keras(qat_file), get_recipe("int8"), width=32, height=32)
    assert conversion.graph.int8_share == 1.0
    manifest = describe(conversion, load_keras(qat_file), "qat", None)
    assert manifest.training["ranges"] == {"from": "fake quantization (QAT)"}


def test_the_float_twin_of_fake_quantization_has_its_weights(qat_file):
    """It computes what the network does with rounding and bounds taken out by hand."""
    loaded = load_keras(qat_file)
    conversion = convert_model(loaded, get_recipe("float32"), width=32, height=32)
    interpreter = LiteRt(model_content=conversion.content)
    interpreter.allocate_tensors()
    noisy = to_float(noisy_pictures(1, 32)[0][0])[None]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], noisy)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    plain = build_tiny()
    plain.set_weights(loaded.model.get_weights())
    np.testing.assert_allclose(found, plain(noisy), atol=1e-5)
    assert not any("QUANT" in op.kind for op in conversion.graph.ops)


def test_int8_without_anything_to_take_ranges_from_is_wrong_usage(loaded):
    with pytest.raises(UsageError, match=r"`representative`.*quietcam calibrate"):
        convert_model(loaded, get_recipe("int8"), width=SIZE, height=SIZE)


def test_a_size_that_does_not_divide_is_wrong_usage_with_a_size_that_does(loaded, representative):
    with pytest.raises(UsageError, match=r"multiples of .* 4\. Received: 65x62\. Remedy: `size=64x6[04]`"):
        convert_model(loaded, get_recipe("int8"), width=65, height=62, representative=representative)


def test_a_set_of_other_channels_is_wrong_usage(loaded, representative):
    gray = set_of(representative.patches[..., :1])
    with pytest.raises(UsageError, match="3 channels"):
        convert_model(loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=gray)


@pytest.mark.parametrize("recipe", ["float16", "dynamic_int8", "int8x16"])
def test_each_recipe_stores_and_computes_what_it_says(conversions, recipe):
    graph = conversions[recipe].graph
    convolutions = [op for op in graph.ops if op.weights is not None]
    assert len(convolutions) == len([op for op in conversions["float32"].graph.ops if op.weights is not None])
    assert {op.weights.dtype for op in convolutions} - {"float32"} == {get_recipe(recipe).weights}
    assert {each.dtype for op in convolutions for each in op.activations} == {get_recipe(recipe).activations}
    assert graph.inputs[0].dtype == graph.outputs[0].dtype == "float32"
    assert graph.gmacs == conversions["float32"].graph.gmacs
    assert graph.parameters == conversions["float32"].graph.parameters
    assert graph.stride == conversions["float32"].graph.stride


@pytest.mark.parametrize("recipe", ["float16", "dynamic_int8", "int8x16"])
def test_each_recipe_runs_on_the_device_and_stays_close_to_float(
    conversions, model_files, loaded, representative, tmp_path, recipe
):
    noisy = noisy_pictures(1, SIZE, seed=9)[0][0]
    path = write_model(
        tmp_path, conversions[recipe].content, describe(conversions[recipe], loaded, "tiny", representative)
    )
    assert path.name == f"tiny_64x64_{recipe}.tflite"
    denoised = {}
    for name, file in (("float32", model_files["float32"]), (recipe, path)):
        denoised[name] = np.empty_like(noisy)
        with Interpreter(file) as interpreter:
            interpreter.run(noisy, denoised[name])
    assert psnr(denoised["float32"], denoised[recipe]) > 40


def test_weights_have_a_scale_for_each_channel(conversions):
    for op in conversions["int8"].graph.ops:
        if op.weights is not None:
            assert len(op.weights.scales) == op.weights.shape[0] > 1


def test_a_coral_graph_gives_the_whole_ones_pixels_one_operator_earlier(loaded, representative, conversions, tmp_path):
    coral = convert_model(
        loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=representative, is_coral=True
    )
    whole = conversions["int8"]
    assert [op.kind for op in coral.graph.ops] == [op.kind for op in whole.graph.ops][:-1]
    assert whole.graph.ops[-1].kind == "DEPTH_TO_SPACE"
    assert coral.graph.outputs[0].shape == (1, SIZE // 2, SIZE // 2, 12)
    assert coral.graph.int8_share == 1.0
    assert receptive_field(coral.graph) == receptive_field(whole.graph)
    manifest = describe(coral, loaded, "tiny", representative)
    assert (manifest.tail, manifest.block) == ("depth_to_space", 2)
    noisy = noisy_pictures(1, SIZE, seed=9)[0][0]
    codes = (noisy.astype(np.int16) - 128).astype(np.int8)[None]
    out = {}
    for name, each in (("coral", coral), ("whole", whole)):
        interpreter = LiteRt(model_content=each.content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
        interpreter.invoke()
        out[name] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(tf.nn.depth_to_space(out["coral"], 2).numpy(), out["whole"])
    path = write_model(tmp_path, coral.content, manifest)
    denoised = np.empty_like(noisy)
    with Interpreter(path) as interpreter:
        interpreter.run(noisy, denoised)
    np.testing.assert_array_equal(denoised, (out["whole"][0].astype(np.int16) + 128).astype(np.uint8))


def test_an_unknown_recipe_is_wrong_usage():
    with pytest.raises(UsageError, match="float32, float16"):
        get_recipe("int4")


def _save_and_load(tmp_path, build):
    noisy = keras.Input((None, None, 3))
    keras.Model(noisy, build(noisy)).save(tmp_path / "model.keras")
    return load_keras(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        # no int8 kernel: TensorFlow refuses, or leaves it float
        (lambda x: keras.layers.ReLU(1.0)(tf.math.erf(x)), "must convert with recipe"),
        # another size comes out
        (lambda x: keras.layers.ReLU(1.0)(keras.layers.MaxPooling2D(2)(x)), "one input of shape"),
    ],
)
def test_what_breaks_the_contract_is_refused_with_a_remedy(tmp_path, representative, build, rule):
    model = _save_and_load(tmp_path, build)
    with pytest.raises(ModelError, match=rf"(?s)({rule}).*Received.*Remedy"):
        convert_model(model, get_recipe("int8"), width=SIZE, height=SIZE, representative=representative)


def test_uint8_or_float_ends_are_no_int8_model(conversions):
    with pytest.raises(ModelError, match="int8 in every operator"):
        check_contract(conversions["float32"].graph, get_recipe("int8"), (1, SIZE, SIZE, 3))
    with pytest.raises(ModelError, match="float32 ends"):
        check_contract(conversions["int8"].graph, get_recipe("float32"), (1, SIZE, SIZE, 3))


def test_a_dynamic_batch_is_refused(loaded):
    converter = tf.lite.TFLiteConverter.from_keras_model(loaded.model)
    graph = read_graph(converter.convert())
    with pytest.raises(ModelError, match="shape"):
        check_contract(graph, get_recipe("float32"), (1, SIZE, SIZE, 3))


def test_the_file_holds_its_manifest_and_runs_with_it(model_files, conversions, loaded, representative):
    path = model_files["int8"]
    assert path.name == "tiny_64x64_int8.tflite"
    content, bare = path.read_bytes(), conversions["int8"].content
    manifest = read_manifest(path)
    assert manifest is not None
    assert content == attach_manifest(bare, manifest)
    assert manifest.sha256 == hashlib.sha256(bare).hexdigest()
    described = describe(conversions["int8"], loaded, "tiny", representative)
    assert dataclasses.replace(manifest, golden=None) == described
    for source in ({"model_content": content}, {"model_path": str(path)}):
        interpreter = LiteRt(**source)
        interpreter.allocate_tensors()
        interpreter.invoke()


def test_the_manifest_says_what_the_model_is_and_what_made_it(model_files):
    manifest = read_manifest(model_files["int8"])
    assert manifest is not None
    assert (manifest.width, manifest.height, manifest.channels, manifest.stride) == (64, 64, 3, 4)
    assert manifest.recipe == "int8"
    assert manifest.input == manifest.output
    assert manifest.input is not None
    assert manifest.input.zero_point == -128
    assert manifest.architecture == Architecture(3, 2, (8, 16), (1, 1)).to_dict()
    assert manifest.training["data"] == "pairs"
    assert manifest.training["licence"] == "MIT (SIDD)"
    assert manifest.training["ranges"]["patches"] == 16
    assert manifest.metrics["psnr"] == 31.5
    assert set(manifest.tools) == {"quietcam", "tensorflow", "tf_keras"}


def test_a_network_is_traced_once(loaded):
    """TensorFlow traces each function of a Keras model again where it is given the model: four times the time."""
    calls = []

    class Counted(keras.layers.Conv2D):
        def call(self, x):
            calls.append(self.name)
            return super().call(x)

    noisy = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(noisy, Counted(3, 3, padding="same", name="once")(noisy))
    calls.clear()
    convert_model(dataclasses.replace(loaded, model=model), get_recipe("float32"), width=SIZE, height=SIZE)
    assert calls == ["once"]

"""The Keras model against its description."""

from dataclasses import replace

import numpy as np
import pytest

from quietcam.architecture import Architecture

tf = pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import tf_keras as keras  # noqa: E402

from train.config import load_config  # noqa: E402
from train.model import FUSION, build, convolutions, copy_convolutions, freeze_body, unclipped  # noqa: E402

NETWORKS = [
    Architecture(stem=2, widths=(8, 16), depths=(1, 2)),
    Architecture(stem=4, widths=(16, 16), depths=(2, 1)),
    Architecture(channels=1, stem=2, widths=(8, 8, 8), depths=(1, 1, 2)),
    Architecture(stem=2, widths=(8, 8, 8, 8), depths=(1, 2, 2, 2)),  # what ships, but for its widths
    Architecture(stem=2, widths=(8, 8, 8, 8), depths=(1, 1, 1, 2), last_kernel=1),  # and nano
    Architecture(stem=2, widths=(8, 8, 8, 8), depths=(1, 2, 2, 2), border=4),
    Architecture(stem=4, widths=(8, 8, 8), depths=(1, 1, 1), border=4),
]
SHIPPED = [load_config(name).model for name in ("demo", "nano", "small", "base", "sidd_full")]


@pytest.mark.parametrize("network", [*NETWORKS, *SHIPPED], ids=str)
def test_parameters_match_the_description(network):
    assert build(network).count_params() == network.parameters


@pytest.mark.parametrize("network", [*NETWORKS, *SHIPPED], ids=str)
def test_macs_match_the_shapes_in_the_real_graph(network):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = build(network)
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec([1, 64, 96, network.channels])
    )
    convolved = [op for op in convert_variables_to_constants_v2(concrete).graph.get_operations() if op.type == "Conv2D"]
    macs = sum(np.prod(op.inputs[1].shape) * np.prod(op.outputs[0].shape[1:3]) for op in convolved)
    assert len(convolved) == len(network.convolutions())
    assert network.gmacs(64, 96) == pytest.approx(macs / 1e9)


@pytest.mark.parametrize(
    ("stem", "levels", "border"), [(2, 4, 8), (2, 4, 16), (2, 3, 4), (2, 2, 2), (4, 2, 4), (4, 3, 16)]
)
def test_a_border_is_the_network_on_a_frame_with_its_edges_repeated(stem, levels, border):
    """Borders here are multiples of half the stride; with others, the grids of the coarse levels end elsewhere."""
    plain = Architecture(stem=stem, widths=(8,) * levels, depths=(1,) * levels)
    model, bordered = build(plain), build(replace(plain, border=border))
    rng = np.random.default_rng(1)
    for layer in convolutions(model).values():
        layer.kernel.assign(rng.normal(0, 0.3, layer.kernel.shape))
        layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    copy_convolutions(model, bordered)
    frame = rng.random((1, 64, 96, 3)).astype(np.float32)
    wide = np.concatenate([frame[:, :border], frame, frame[:, -border:]], 1)
    wide = np.concatenate([wide[:, :, :border], wide, wide[:, :, -border:]], 2)
    inside = model(wide).numpy()[:, border:-border, border:-border]
    np.testing.assert_allclose(bordered(frame).numpy(), inside, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_receptive_field_holds_every_influence(network):
    """Change one pixel at a time: no output pixel further away than the receptive field may move, and some do come
    near it."""
    keras.utils.set_random_seed(3)
    model = build(network)
    for layer in convolutions(model).values():
        fan_in = np.prod(layer.kernel.shape[:3])
        layer.kernel.assign(tf.random.uniform(layer.kernel.shape, 0.5, 1.5) / fan_in)
    side = 2 * network.stride * (network.receptive_field // network.stride + 1)
    picture = np.full((1, side, side, network.channels), 0.2, np.float32)
    at = side // 2
    farthest = 0
    for offset in range(network.stride):
        with tf.GradientTape() as tape:
            x = tf.constant(picture)
            tape.watch(x)
            value = model.get_layer("denoise").output
            probe = keras.Model(model.input, value)
            summed = tf.reduce_sum(probe(x)[0, (at + offset) // network.stem, at // network.stem])
        touched = np.argwhere(np.abs(tape.gradient(summed, x).numpy()[0]).sum(axis=(1, 2)) > 0)[:, 0]
        block = (at + offset) // network.stem * network.stem
        farthest = max(farthest, block - touched.min(), touched.max() - (block + network.stem - 1))
    assert 2 * farthest + network.stem <= network.receptive_field
    assert 2 * farthest + network.stem >= network.receptive_field - 2 * network.stride


def test_values_fill_the_range_of_a_relu6_from_the_start():
    """On a picture of uniform noise the first convolution gives values up to 6, other levels a share of that."""
    keras.utils.set_random_seed(1)
    model = build(Architecture())
    picture = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    outputs = keras.Model(model.input, [layer.output for layer in model.layers if layer.name.endswith("_relu")])(
        picture
    )
    assert 3.0 < np.quantile(outputs[0], 0.999) <= 6.0
    assert all(0.5 < np.quantile(output, 0.999) <= 6.0 for output in outputs)


def test_an_untrained_network_passes_its_input_through():
    picture = np.random.default_rng(0).random((2, 32, 48, 3), np.float32)
    np.testing.assert_allclose(build(NETWORKS[0])(picture).numpy(), picture, atol=1e-6)


def test_saved_file_loads_without_custom_objects(tmp_path):
    keras.utils.set_random_seed(0)
    model = build(NETWORKS[0])
    model.get_layer("residual").kernel.assign(tf.random.normal(model.get_layer("residual").kernel.shape, stddev=0.1))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    picture = np.random.default_rng(1).random((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(model(picture).numpy(), again(picture).numpy())
    copied = build(NETWORKS[0])
    copy_convolutions(again, copied)
    np.testing.assert_array_equal(model(picture).numpy(), copied(picture).numpy())


def test_output_and_activations_stay_in_their_ranges():
    keras.utils.set_random_seed(0)
    model = build(NETWORKS[0])
    for layer in convolutions(model).values():
        layer.kernel.assign(tf.random.normal(layer.kernel.shape, stddev=5.0))
    probe = keras.Model(model.input, [model.get_layer("down1_0_relu").output, model.output])
    inside, out = probe(np.random.default_rng(2).random((1, 32, 32, 3), np.float32))
    assert inside.numpy().max() == 6.0
    assert inside.numpy().min() == 0.0
    assert out.numpy().max() <= 1.0
    assert out.numpy().min() >= 0.0


def test_a_network_learns_behind_its_last_clip(tiny):
    """A value above white has a gradient only where nothing clips it."""
    keras.utils.set_random_seed(0)
    model = build(tiny)
    bias = model.get_layer("residual").bias
    bias.assign(np.full(bias.shape, 0.5, np.float32))
    noisy = np.ones((1, 16, 16, 3), np.float32)

    def slope(network):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(network(noisy) - 0.2))
        return float(tf.reduce_sum(tape.gradient(loss, bias)))

    assert slope(model) == 0.0
    assert slope(unclipped(model)) == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_array_equal(np.clip(unclipped(model)(noisy), 0, 1), model(noisy))


@pytest.mark.parametrize("wanted", [6.5, -0.5])  # so the gradient raises or lowers the values
@pytest.mark.parametrize(("value", "place"), [(-2.0, "below"), (3.0, "inside"), (8.0, "above")])
def test_a_clipped_channel_gets_the_gradients_that_lead_back(tiny, value, place, wanted):
    model = build(tiny)
    layer, clip = model.get_layer("down0_0"), model.get_layer("down0_0_relu")
    layer.kernel.assign(tf.zeros_like(layer.kernel))
    layer.bias.assign(tf.fill(layer.bias.shape, value))
    noisy = np.full((1, 16, 16, 3), 0.5, np.float32)

    def slope():
        inner = keras.Model(model.inputs, clip.output)
        with tf.GradientTape() as tape:
            values = inner(noisy)
            loss = tf.reduce_mean(tf.abs(values - wanted))
        np.testing.assert_array_equal(values, np.full(values.shape, np.clip(value, 0, 6)))
        return float(tf.reduce_sum(tape.gradient(loss, layer.bias)))

    full = 1.0 if place == "inside" else 0.0
    raises = wanted > 6
    assert slope() == pytest.approx(-full if raises else full)
    unclipped(model)
    back = 0.05 if (raises and place == "below") or (not raises and place == "above") else full
    assert slope() == pytest.approx(-back if raises else back, rel=1e-5)


def test_a_dead_channel_comes_back(tiny):
    """All channels of a level are dead; a step is enough to see which way they go."""
    keras.utils.set_random_seed(3)
    model = build(tiny)
    for name in ("down0_0", "residual"):
        kernel = model.get_layer(name).kernel
        kernel.assign(tf.random.stateless_normal(kernel.shape, (1, 2)) * 0.1)
    bias = model.get_layer("down0_0").bias
    bias.assign(tf.fill(bias.shape, -3.0))
    noisy = np.random.default_rng(1).random((2, 16, 16, 3), np.float32)

    def moves(network):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(noisy) - noisy - 0.3))
        found = tape.gradient(loss, bias)
        return 0 if found is None else np.count_nonzero(found)

    assert not moves(model)
    assert moves(unclipped(model))


def test_rounded_networks_learn_with_kernels_and_values_of_8_bits():
    keras.utils.set_random_seed(4)
    model = build(Architecture(stem=2, widths=(8, 8), depths=(1, 1)))
    noisy = np.random.default_rng(1).random((2, 16, 16, 3), np.float32)
    first = model.get_layer("down0_0")
    blocks, kernel = tf.nn.space_to_depth(noisy, 2), first.kernel.numpy()

    def slope():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(keras.Model(model.inputs, first.output)(noisy)))
        return tape.gradient(loss, first.kernel).numpy()

    plain = slope()
    unclipped(model, rounded=True)
    inner = keras.Model(model.inputs, [model.get_layer(name).output for name in ("down0_0", "down0_0_relu", "join0")])
    convolved, *values = (each.numpy() for each in inner(noisy))
    step = np.abs(kernel).max((0, 1, 2)) / 127
    np.testing.assert_allclose(
        convolved, tf.nn.conv2d(blocks, np.round(kernel / step) * step, 1, "SAME") + first.bias, atol=1e-4
    )
    for each in values:
        step = (each.max() - min(each.min(), 0)) / 255
        np.testing.assert_allclose(each / step, np.round(each / step), atol=0.02)
        assert len(np.unique(each)) <= 257
    # Rounding passes gradients: they differ from those without it only by the place where they are taken.
    found = slope()
    assert np.sum(found * plain) / np.linalg.norm(found) / np.linalg.norm(plain) > 0.99


def _video(channels=3, stem=2):
    """A video network with weights that have an effect everywhere."""
    keras.utils.set_random_seed(5)
    model = build(Architecture(channels=channels, stem=stem, widths=(8, 8), depths=(1, 1), history=1))
    convolutions(model)["residual"].kernel.assign(
        tf.random.normal(convolutions(model)["residual"].kernel.shape, stddev=0.05)
    )
    share = convolutions(model)["share"]
    share.kernel.assign(tf.random.normal(share.kernel.shape, stddev=0.3))
    return model


def _frames(count, side, channels=3):
    return np.random.default_rng(0).uniform(0, 1, (count, 1, side, side, channels)).astype(np.float32)


@pytest.mark.parametrize(("channels", "stem"), [(3, 2), (1, 4)])
def test_a_video_network_that_remembers_the_frame_itself_computes_what_its_still_network_does(channels, stem):
    model = _video(channels, stem)
    still = build(Architecture(channels=channels, stem=stem, widths=(8, 8), depths=(1, 1)))
    theirs = convolutions(model)
    for name, layer in convolutions(still).items():
        layer.kernel.assign(theirs[name].kernel)
        layer.bias.assign(theirs[name].bias)
    (noisy,) = _frames(1, 32, channels)
    denoised, history = model([noisy, noisy])
    np.testing.assert_array_equal(history, noisy)
    np.testing.assert_array_equal(denoised, still(noisy))


def test_the_fused_frame_is_the_mean_of_frame_and_history_by_a_share_for_each_value():
    """Worked out in numpy, cell by cell, from the kernels."""
    model = _video()
    noisy, history = _frames(2, 24)
    weights = {name: (layer.kernel.numpy(), layer.bias.numpy()) for name, layer in convolutions(model).items()}
    difference = (history - noisy)[0]
    cells = difference.reshape(3, 8, 3, 8, 3).transpose(0, 2, 1, 3, 4).reshape(3, 3, 192)
    kernel, bias = weights["differ"]
    seen = np.pad(np.clip(cells @ kernel[0, 0] + bias, 0, 6), ((1, 1), (1, 1), (0, 0)))
    kernel, bias = weights["weigh"]
    moved = sum(seen[y : y + 3, x : x + 3] @ kernel[y, x] for y in range(3) for x in range(3))
    kernel, bias = weights["share"][0], weights["share"][1]
    share = np.clip(np.clip(moved + weights["weigh"][1], 0, 6) @ kernel[0, 0] + bias, 0, 1)
    share = share.reshape(3, 3, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(24, 24, 3)
    assert 0 < share.mean() < 1
    assert share.std() > 0.1
    _, fused = model([noisy, history])
    np.testing.assert_allclose(fused[0], noisy[0] + share * difference, atol=1e-5)


def test_unclipped_video_networks_keep_both_outputs():
    model = _video()
    noisy, history = _frames(2, 16)
    outputs = unclipped(model)([noisy, history])
    np.testing.assert_array_equal(outputs[1], model([noisy, history])[1])
    np.testing.assert_array_equal(np.clip(outputs[0], 0, 1), model([noisy, history])[0])


def test_only_the_fusion_of_a_frozen_body_learns():
    model = _video()
    freeze_body(model)
    assert {each.name.split("/")[0] for each in model.trainable_variables} == set(FUSION)
    assert {each.name.split("/")[0] for each in unclipped(model).trainable_variables} == set(FUSION)

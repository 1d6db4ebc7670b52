"""Quantization-aware training of a video network: its loop, rounded, is the loop of the int8 model."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from quietcam.architecture import Architecture
from quietcam.data.clips.clip import load_clips
from train.config import VideoConfig
from train.model import build, convolutions
from train.patches.clips import ClipCropSource, cut_clips
from train.qat import export, fit_ranges, measure_peaks, measure_ranges, quantizable, scale_channels, trained_weights
from train.schedule import Budget
from train.trainer import Loop
from train.unrolled import Unrolled

SIDE = 32
VIDEO = Architecture(widths=(8, 16), depths=(1, 1), history=1)


def clips(count, frames, seed=0, sigma=12.0):
    """Noisy clips, uint8 ``(count, frames, 32, 32, 3)``: a still ramp, and a square that moves by a pixel a frame."""
    rng = np.random.default_rng(seed)
    clean = np.empty((count, frames, SIDE, SIDE, 3))
    clean[:] = np.linspace(60, 180, SIDE)[:, None]
    for index in range(count):
        color, top = rng.uniform(0, 255, 3), rng.integers(0, SIDE - 8)
        for t in range(frames):
            left = (3 * index + t) % (SIDE - 8)
            clean[index, t, top : top + 8, left : left + 8] = color
    return np.clip(np.rint(clean + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)


def scrambled(architecture, seed=3):
    """A network with an effect everywhere: the share of the history is 0.8 where nothing moves, less elsewhere."""
    keras.utils.set_random_seed(seed)
    model = build(architecture)
    residual, share = convolutions(model)["residual"], convolutions(model)["share"]
    residual.kernel.assign(tf.random.normal(residual.kernel.shape, stddev=0.003))
    share.kernel.assign(-tf.abs(tf.random.normal(share.kernel.shape, stddev=0.02)))
    # All alike, TensorFlow's converter would give them one whole number, though each channel has its own scale.
    share.bias.assign(tf.random.uniform(share.bias.shape, 0.85, 0.95))
    return model


@pytest.fixture(scope="module")
def model():
    return scrambled(VIDEO)


def remember(model, frames):
    """The last frame of each clip, and what the network remembers there, worked out frame by frame; uint8."""
    history = frames[:, 0]
    for noisy in frames.swapaxes(0, 1)[:-1]:
        _, fused = model([noisy.astype(np.float32) / 255, history.astype(np.float32) / 255])
        history = np.rint(fused.numpy() * 255).astype(np.uint8)
    return frames[:, -1], history


@pytest.fixture(scope="module")
def live(model):
    return remember(model, clips(8, 4))


@pytest.fixture(scope="module")
def fit(model, live):
    return fit_ranges(VIDEO, model, *live)


@pytest.fixture(scope="module")
def quantized(fit):
    network = quantizable(VIDEO, *fit)
    nothing = tf.zeros((1, SIDE, SIDE, 3))
    network([nothing, nothing], training=True)  # tfmot measures its kernels in training
    return network


@pytest.fixture(scope="module")
def plain(quantized, fit):
    return export(VIDEO, quantized, fit[1])


@pytest.fixture(scope="module")
def loops(quantized, plain):
    """The same 100 frames through the network that is trained, and through the int8 model."""
    (frames,) = clips(1, 100, seed=9)
    return loop(quantized, frames), int8_loop(int8_model(plain), frames)


def loop(network, frames):
    """What a Keras network gives for each frame, ``(denoised, fused)`` in steps of 255, when it remembers."""
    run = tf.function(lambda noisy, history: network([noisy, history], training=False))
    history, found = None, []
    for frame in frames.astype(np.float32)[:, None] / 255:
        noisy = tf.constant(frame)
        denoised, history = run(noisy, noisy if history is None else history)
        found.append((denoised.numpy()[0] * 255, history.numpy()[0] * 255))
    return found


def int8_model(plain):
    """The interpreter of a network with ranges, converted to int8. Its signature names the ends."""
    run = tf.function(
        lambda noisy, history: dict(zip(("denoised", "history"), plain([noisy, history], training=False), strict=True))
    )
    ends = [tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name) for name in ("noisy", "history")]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function(*ends)], plain)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return Interpreter(model_content=converter.convert())


def int8_loop(interpreter, frames):
    """As ``loop``, of the int8 model: the bytes of its output ``history`` are those of its next input ``history``."""
    run = interpreter.get_signature_runner()
    history, found = None, []
    for frame in (frames ^ 0x80).view(np.int8)[:, None]:
        outputs = run(noisy=frame, history=frame if history is None else history)
        history = outputs["history"]
        found.append(tuple(outputs[name][0].astype(np.float64) + 128 for name in ("denoised", "history")))
    return found


def test_the_fusion_has_ranges_by_design(fit):
    whole_steps = (-128 / 255, 127 / 255)
    assert {name: fit[1][name] for name in ("difference", "share", "change", "fuse", "residual", "denoise")} == {
        "difference": whole_steps,
        "share": (0.0, 1.0),
        "change": whole_steps,
        "fuse": (0.0, 1.0),
        "residual": whole_steps,
        "denoise": (0.0, 1.0),
    }


def test_a_peak_holds_frames_with_a_history_and_first_frames(model, live):
    """By hand: the quantile of each. Where the history is the frame itself, nothing is learned of the fusion."""
    noisy, history = live
    names = ("weigh", "down1_0")
    inner = keras.Model(model.inputs, [model.get_layer(f"{name}_relu").output for name in names])
    sides = [side.astype(np.float32) / 255 for side in (noisy, history)]
    with_history, without = (inner(ends) for ends in (sides, [sides[0]] * 2))
    twice = [np.concatenate([each, each]) for each in without]
    peaks = measure_peaks(VIDEO, model, np.repeat(noisy, 2, 0), np.stack([noisy, history], 1).reshape(-1, 32, 32, 3))
    for index, name in enumerate(names):
        highest = np.max([np.quantile(each[index], 0.9995, axis=(0, 1, 2)) for each in (with_history, twice)], 0)
        np.testing.assert_allclose(peaks[name], highest, rtol=1e-5)
    assert np.max(peaks["weigh"]) > 1.2 * np.quantile(without[0], 0.9995)


def test_without_any_history_the_fusion_keeps_its_whole_relu6(model, live):
    """Its input is 0 everywhere then: a range of that would cut off all that a clip shows."""
    noisy, _ = live
    still, again = (measure_peaks(VIDEO, model, noisy, history) for history in (None, noisy))
    for name in ("differ", "weigh"):
        np.testing.assert_array_equal(still[name], 6.0)
    body = measure_peaks(Architecture(widths=(8, 16), depths=(1, 1)), _body(model), noisy)
    for name, peaks in body.items():
        np.testing.assert_array_equal(still[name], peaks)
        np.testing.assert_array_equal(again[name], peaks)


def _body(model):
    body = build(Architecture(widths=(8, 16), depths=(1, 1)))
    for name, layer in convolutions(body).items():
        layer.kernel.assign(convolutions(model)[name].kernel)
        layer.bias.assign(convolutions(model)[name].bias)
    return body


def test_a_scaled_network_fuses_the_same_within_its_ranges(model, live):
    """By hand: the network as it was, every ReLU of its fusion cut off at its peak."""
    peaks = measure_peaks(VIDEO, model, *live)
    peaks |= {"differ": np.full(32, 1.5), "weigh": np.full(32, 2.5)}  # narrow, so that they matter
    scaled = scale_channels(VIDEO, model, peaks)
    fit = measure_ranges(VIDEO, scaled, *live)
    assert fit["differ_relu"] == fit["weigh_relu"] == (0.0, 6.0)
    assert fit["share"] == (0.0, 1.0)

    def cut(layer):
        high = {"differ_relu": 1.5, "weigh_relu": 2.5}.get(layer.name)
        return layer if high is None else lambda x: tf.minimum(tf.nn.relu(x), high)

    by_hand = build(VIDEO, cut)
    for name, layer in convolutions(by_hand).items():
        layer.kernel.assign(convolutions(model)[name].kernel)
        layer.bias.assign(convolutions(model)[name].bias)
    noisy, history = (clips(1, 2)[0][:, None].astype(np.float32) / 255)[:2]
    np.testing.assert_allclose(scaled([noisy, history])[1], by_hand([noisy, history])[1], atol=1e-5)
    assert np.abs(scaled([noisy, history])[1] - model([noisy, history])[1]).max() > 1e-3


def test_what_is_remembered_has_whole_steps(loops):
    fused = np.array([fused for _, fused in loops[0]])
    np.testing.assert_allclose(fused, np.rint(fused), atol=1e-3)


def test_the_int8_model_agrees_with_the_network_that_was_trained(loops):
    """Each feeds back its own fused frame, 20 times. The body reads it, and may round what lies between two levels its
    own way: that adds a step to a pixel, rarely."""
    for (denoised, fused), (denoised_int8, fused_int8) in zip(loops[0][:20], loops[1], strict=False):
        assert np.mean(np.abs(denoised - denoised_int8) > 1.01) < 3e-3
        assert np.abs(denoised - denoised_int8).max() < 2.01
        assert np.abs(fused - fused_int8).max() < 1.01
        assert np.mean(np.rint(fused) != fused_int8) < 0.05


def test_a_loop_of_the_int8_model_does_not_drift(loops):
    denoised, fused = (np.array([now[i] for now in loops[0]]) - [now[i] for now in loops[1]] for i in (0, 1))
    assert abs(fused[50:].mean()) < 0.05
    assert abs(denoised[50:].mean()) < 0.05
    assert np.mean(np.abs(fused[50:]) > 0.5) < 0.05


def test_the_int8_model_has_exact_ends_and_no_clip(plain):
    interpreter = int8_model(plain)
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert [end["quantization"] for end in ends] == [(pytest.approx(1 / 255, rel=1e-6), -128)] * 4
    assert {str(np.dtype(each["dtype"])) for each in interpreter.get_tensor_details()} <= {"int8", "int32"}
    kinds = [op["op_name"] for op in interpreter._get_ops_details()]
    assert not {"RELU", "MINIMUM", "MAXIMUM", "RELU_0_TO_1", "QUANTIZE", "DEQUANTIZE"} & set(kinds)


def test_export_computes_what_was_trained(quantized, fit, tmp_path):
    """Rounded kernels by hand; a value between two levels may go either way, and what reads it with it."""
    again = export(VIDEO, quantized, fit[1])
    for layer in convolutions(again).values():
        kernel = layer.kernel.numpy()
        scale = np.maximum(np.abs(kernel).max((0, 1, 2)) / 127, 1e-12)
        layer.kernel.assign(np.rint(kernel / scale) * scale)
    noisy, history = clips(1, 2)[0][:, None].astype(np.float32) / 255
    for one, other in zip(again([noisy, history]), quantized([noisy, history]), strict=True):
        apart = np.abs(one - other)
        assert apart.max() < 1.5 / 255
        assert np.mean(apart > 0.5 / 255) < 0.1
    again.save(tmp_path / "m.keras", save_format="keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    for one, other in zip(loaded([noisy, history]), again([noisy, history]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_moves_the_fusion_and_keeps_the_rest_of_its_rules(model, live, clip_folder):
    """Zeros stay zero, the share learns through its clip, and what is trained is what int8 computes."""
    sparse = build(VIDEO)
    for name, layer in convolutions(sparse).items():
        kernel = convolutions(model)[name].kernel.numpy()
        layer.kernel.assign(np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0, kernel))
        layer.bias.assign(convolutions(model)[name].bias)
    scaled, ranges = fit_ranges(VIDEO, sparse, *live)
    network = quantizable(VIDEO, scaled, ranges)
    crops = cut_clips(load_clips(clip_folder).clips, 32, frames=6, limit=36)
    loop_ = Loop(
        "qat",
        network,
        Budget(12, 99),
        1e-3,
        average=0.9,
        video=VideoConfig(unroll=3, lead=2),
        optimizer=keras.optimizers.Adam,
    )
    loop_.fit(ClipCropSource(crops), {"own": crops}, patch=32, batch=4)
    for name, layer in convolutions(scaled).items():
        before, after = layer.kernel.numpy(), trained_weights(network, name)[0].numpy()
        np.testing.assert_array_equal(after[before == 0], 0)
        assert np.any(after != before), name
    (frames,) = clips(1, 20, seed=11)
    network([tf.zeros((1, SIDE, SIDE, 3))] * 2, training=True)  # the averaged weights, whose steps differ
    for (_, fused), (_, fused_int8) in zip(
        loop(network, frames), int8_loop(int8_model(export(VIDEO, network, ranges)), frames), strict=True
    ):
        assert np.abs(fused - fused_int8).max() < 1.01
        assert np.mean(np.rint(fused) != fused_int8) < 0.05


def test_a_share_that_is_cut_off_learns_through_its_clip(fit):
    """Every share is 1 here. Where the history is worse, the loss asks for less, and the clip lets that through."""
    network = quantizable(VIDEO, *fit)
    share = convolutions(network)["share"]
    share.bias.assign(tf.fill(share.bias.shape, 9.0))
    learner = Unrolled(network, window=1)
    frames = clips(2, 2).astype(np.float32) / 255
    frames[:, 0] = 1.0 - frames[:, 0]
    with tf.GradientTape() as tape:
        _, fused = learner(tf.constant(frames), tf.constant([True, True]))
        loss = tf.reduce_mean(tf.square(fused[:, 0] - frames[:, 1]))
    assert loss > 0.01
    assert np.all(tape.gradient(loss, share.bias).numpy() > 0)

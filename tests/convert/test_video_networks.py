"""Converting a video network: its ends, its fusion and its loop, against Keras and integer arithmetic."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter as LiteRt
from ai_edge_litert.interpreter import OpResolverType

from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import RECIPES, get_recipe
from convert.sources.finished import load_finished
from convert.sources.keras_model import load_keras
from edge.network.interpreter import Interpreter
from quietcam.app.cli import run
from quietcam.errors import UsageError
from quietcam.image import to_float, to_uint8
from quietcam.metrics import psnr
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import read_manifest, strip_manifest
from quietcam.tflite.measurement import tensor_runner
from quietcam.tflite.packing import pack, unpack
from tests.tiny_network import SIZE, VIDEO, clip_of, noisy_pictures, with_history

FUSION_KINDS = ["SUB", "SPACE_TO_DEPTH", "CONV_2D", "CONV_2D", "CONV_2D", "DEPTH_TO_SPACE", "MUL", "ADD"]


class Loop:
    """A model on LiteRT alone: each frame is given with what the last run remembered."""

    def __init__(self, content):
        self._lite = LiteRt(model_content=content)
        self._lite.allocate_tensors()
        graph = read_graph(content)
        self._noisy, self._history, self._out = graph.noisy.index, graph.history.index, graph.denoised.index
        self._remembered = graph.remembered.index
        self._past = None

    def __call__(self, noisy):
        """``(denoised, history)`` of the codes ``(1, H, W, C)``."""
        self._lite.set_tensor(self._noisy, noisy)
        self._lite.set_tensor(self._history, noisy if self._past is None else self._past)
        self._lite.invoke()
        self._past = self._lite.get_tensor(self._remembered)
        if self._past.dtype == np.float32:  # the device remembers whole pixels
            self._past = np.rint(self._past * 255).astype(np.float32) / np.float32(255)
        return self._lite.get_tensor(self._out), self._past


def codes(frames):
    return (frames.astype(np.int16) - 128).astype(np.int8)


@pytest.fixture(scope="module")
def files(video_conversions, video_loaded, video_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    return {
        name: write_model(folder, each.content, describe(each, video_loaded, "video", video_set))
        for name, each in ((name, video_conversions[name]) for name in ("float32", "int8"))
    }


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_every_recipe_has_two_named_ends_on_either_side(video_conversions, recipe):
    graph = video_conversions[recipe].graph
    assert [each.name for each in graph.inputs] == ["noisy", "history"]
    assert [each.name for each in graph.outputs] == ["denoised", "history_out"]
    assert {each.shape for each in (*graph.inputs, *graph.outputs)} == {(1, SIZE, SIZE, 3)}


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8"])
def test_the_same_inputs_give_the_same_bytes(video_loaded, video_set, video_conversions, recipe):
    again = convert_model(video_loaded, get_recipe(recipe), width=SIZE, height=SIZE, representative=video_set)
    assert again.content == video_conversions[recipe].content


def test_the_float_model_computes_what_keras_does(video_loaded, video_conversions):
    noisy, history = (to_float(each)[None] for each in clip_of(2, SIZE))
    expected = video_loaded.model([noisy, history])
    graph = video_conversions["float32"].graph
    run_frame = tensor_runner(video_conversions["float32"].content, [each.index for each in graph.outputs])
    found = [values for _, values in run_frame(np.concatenate([noisy, history]))]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, np.reshape(theirs, ours.shape), atol=1e-5)


def test_all_four_ends_are_the_pixel_identity_and_the_fusion_is_in_whole_steps(video_conversions):
    graph = video_conversions["int8"].graph
    assert [op.kind for op in graph.ops][: len(FUSION_KINDS)] == FUSION_KINDS
    assert graph.int8_share == 1.0
    assert not {"RELU", "MINIMUM", "QUANTIZE"} & {op.kind for op in graph.ops}
    step = float(np.float32(1 / 255))
    difference, _, _, _, share, _, change, fused = (op.outputs[0] for op in graph.ops[: len(FUSION_KINDS)])
    for each in (*graph.inputs, *graph.outputs, share, fused):
        assert (each.scales, each.zero_points) == ((step,), (-128,))
    for each in (difference, change):
        assert (each.scales, each.zero_points) == ((step,), (0,))


def test_what_int8_remembers_is_the_fusion_in_integers(video_conversions):
    """From the share that the interpreter itself used, by integer arithmetic on codes, for frames of random pixels.

    LiteRT's own kernels, without XNNPACK, round a product twice: they miss by a step where it is almost half a step.
    """
    content, graph = video_conversions["int8"].content, video_conversions["int8"].graph
    product = next(op for op in graph.ops if op.kind == "MUL")
    share = next(each.index for each in product.inputs if each.zero_points == (-128,))
    model = unpack(content)
    model.subgraphs[0].outputs = np.append(model.subgraphs[0].outputs, share).astype(np.int32)
    rng = np.random.default_rng(5)
    for resolver, missed in ((OpResolverType.AUTO, 0), (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, 0.005)):
        lite = LiteRt(model_content=pack(model), experimental_op_resolver_type=resolver)
        lite.allocate_tensors()
        for _ in range(4):
            noisy, history = rng.integers(0, 256, (2, 1, SIZE, SIZE, 3))
            lite.set_tensor(graph.noisy.index, codes(noisy))
            lite.set_tensor(graph.history.index, codes(history))
            lite.invoke()
            shares = lite.get_tensor(share).astype(int) + 128
            assert len(set(shares.ravel().tolist())) > 100
            doubled = 2 * shares * np.clip(history - noisy, -128, 127)
            change = (doubled + 255) // 510  # rounds share / 255 * difference, which is never half a step
            apart = np.abs(lite.get_tensor(graph.remembered.index).astype(int) + 128 - (noisy + change))
            assert apart.max() <= (missed > 0)
            assert apart.mean() <= missed


def test_history_equal_to_the_noisy_frame_changes_nothing(video_conversions):
    """Then the fused frame is the noisy frame, whatever the share."""
    noisy = codes(noisy_pictures(1, SIZE)[0])
    _, fused = Loop(video_conversions["int8"].content)(noisy)
    np.testing.assert_array_equal(fused, noisy)


def test_int8_follows_float_through_a_closed_loop_of_fifty_frames(video_conversions):
    """Each remembers its own frames: they stay close, and the last frames are no farther apart than the first."""
    floats, rounded = (Loop(video_conversions[name].content) for name in ("float32", "int8"))
    fused_apart, denoised_apart = [], []
    for noisy in clip_of(50, SIZE):
        expected, fused = floats(to_float(noisy)[None])
        found, kept = rounded(codes(noisy)[None])
        fused_apart.append(np.abs(kept + 128.0 - 255 * fused).mean())
        denoised_apart.append(psnr(to_uint8(expected[0]), (found[0] + 128.0).astype(np.uint8)))
    print(
        np.mean(fused_apart),
        np.mean(fused_apart[5:15]),
        np.mean(fused_apart[-10:]),
        min(denoised_apart),
        np.mean(denoised_apart[5:20]),
        np.mean(denoised_apart[-15:]),
    )
    assert np.mean(fused_apart) < 0.25
    assert np.mean(fused_apart[-10:]) < 1.2 * np.mean(fused_apart[5:15])
    assert min(denoised_apart) > 30
    assert np.mean(denoised_apart[-15:]) > np.mean(denoised_apart[5:20]) - 2


def test_the_device_runs_both_files_and_their_golden_frames(files):
    noisy = noisy_pictures(1, SIZE, seed=4)[0][0]
    denoised = {name: np.empty_like(noisy) for name in files}
    for name, path in files.items():
        manifest = read_manifest(path)
        assert (manifest.inputs, manifest.outputs) == (("noisy", "history"), ("denoised", "history"))
        assert manifest.network == VIDEO
        with Interpreter(path) as interpreter:
            interpreter.run(noisy, denoised[name])
    assert psnr(denoised["float32"], denoised["int8"]) > 30


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_other_sizes_come_from_the_files_alone(files, recipe, video_loaded, video_set):
    """The same graph as converted from Keras at that size, and for int8 the very scales of the file."""
    finished = load_finished(files[recipe])
    assert finished.remembers
    resized = convert_model(finished, get_recipe(recipe), width=96, height=48)
    direct = convert_model(video_loaded, get_recipe(recipe), width=96, height=48, representative=video_set)
    assert [str(each) for each in resized.graph.inputs] == [str(each) for each in direct.graph.inputs]
    assert [(op.kind, op.outputs[0].scales) for op in resized.graph.ops] == [
        (op.kind, op.outputs[0].scales) for op in direct.graph.ops
    ]
    frame = to_float(np.stack([each[:48] for each in clip_of(2, 96)]))
    outputs = [
        [values for _, values in tensor_runner(each.content, [end.index for end in each.graph.outputs])(frame)]
        for each in (resized, direct)
    ]
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    manifest = describe(resized, finished, "video", None)
    assert (manifest.inputs, manifest.outputs) == (("noisy", "history"), ("denoised", "history"))


@pytest.mark.parametrize("recipe", ["float16", "dynamic_int8", "int8x16"])
def test_the_float_twin_gives_the_other_recipes(files, recipe, video_set):
    """From the graph replayed, without Keras."""
    made = convert_model(
        load_finished(files["float32"]), get_recipe(recipe), width=SIZE, height=SIZE, representative=video_set
    )
    exact = convert_model(load_finished(files["float32"]), get_recipe("float32"), width=SIZE, height=SIZE)
    frame = to_float(clip_of(2, SIZE))
    for end, twin in zip(made.graph.outputs, exact.graph.outputs, strict=True):
        ((_, found),) = tensor_runner(made.content, [end.index])(frame)
        ((_, expected),) = tensor_runner(exact.content, [twin.index])(frame)
        assert np.abs(found - expected).max() < 0.02


def test_a_finished_int8_file_is_widened_where_a_set_exceeds_its_ranges(files, tmp_path, capsys):
    """Also where the float network gives no picture; the fusion keeps its ranges by design."""
    noisy, history = noisy_pictures(8, 32, seed=3, sigma=90.0)
    save_set(tmp_path / "wild.npz", with_history(noisy, history))
    arguments = ["convert", str(files["float32"]), "--representative", str(tmp_path / "wild.npz")]
    assert run([*arguments, "--recipe", "int8", "--name", "wild", "--out", str(tmp_path)]) == 0
    assert "of the model's ranges, which are widened" in " ".join(capsys.readouterr().err.split())
    before, after = (
        {op.outputs[0].name: op.outputs[0] for op in read_graph(strip_manifest(path.read_bytes())).ops}
        for path in (files["int8"], tmp_path / f"wild_{SIZE}x{SIZE}_int8.tflite")
    )
    assert before.keys() == after.keys()
    wider = {name for name, each in after.items() if each.scales[0] > before[name].scales[0] * 1.001}
    assert wider
    step = np.float32(1 / 255)
    designed = {name for name, each in before.items() if each.scales == (pytest.approx(step, rel=1e-5),)}
    assert len(designed) > len(FUSION_KINDS)
    assert not designed & wider
    manifest = read_manifest(tmp_path / f"wild_{SIZE}x{SIZE}_int8.tflite")
    assert "widened" in manifest.training["ranges"]["scheme"]


def test_a_set_without_history_is_wrong_usage_with_the_command_that_makes_one(video_loaded, representative):
    with pytest.raises(UsageError, match=r"without history.*quietcam calibrate --data CLIPS --model \S*video --out"):
        convert_model(video_loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=representative)


def test_a_set_with_history_serves_a_still_network_too(loaded, video_set, conversions):
    """Its patches alone count; they are those of the other set."""
    made = convert_model(loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=video_set)
    assert made.content == conversions["int8"].content


def test_the_loss_is_estimated_in_a_closed_loop_and_the_command_and_the_manifest_say_so(tmp_path, capsys):
    from train.model import build

    build(VIDEO).save(tmp_path / "video.keras")
    save_set(tmp_path / "set.npz", with_history(*noisy_pictures(8, 64)))
    arguments = ["convert", str(tmp_path / "video.keras"), "--recipe", "int8"]
    arguments += ["--representative", str(tmp_path / "set.npz")]
    assert run([*arguments, "--size", "64x64", "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "estimated on the representative set over 8 frames in a row, of which each network remembers its own" in said
    manifest = read_manifest(tmp_path / "video_64x64_int8.tflite")
    assert manifest.metrics["int8"]["frames"] == 8


def test_the_gray_network_converts(tmp_path):
    from train.model import build

    gray = dataclasses.replace(VIDEO, channels=1)
    build(gray).save(tmp_path / "gray.keras")
    loaded = load_keras(tmp_path / "gray.keras")
    made = convert_model(loaded, get_recipe("float32"), width=32, height=32)
    assert {each.shape for each in (*made.graph.inputs, *made.graph.outputs)} == {(1, 32, 32, 1)}
    assert strip_manifest(made.content) == made.content


@pytest.fixture(scope="module")
def trained_for_int8(tmp_path_factory):
    """The tiny video network as `quietcam train --qat` exports it, and its float weights in the plain network."""
    from tests.tiny_network import build_video
    from train.model import convolutions
    from train.qat import export, fit_ranges, quantizable, trained_weights

    noisy, history = np.stack([clip_of(2, 32, seed=seed) for seed in range(8)]).swapaxes(0, 1)
    model, ranges = fit_ranges(VIDEO, build_video(), noisy, history)
    quantized = quantizable(VIDEO, model, ranges)
    path = tmp_path_factory.mktemp("qat") / "qat.keras"
    export(VIDEO, quantized, ranges).save(path)
    plain = build_video()
    for name, layer in convolutions(plain).items():
        kernel, bias = trained_weights(quantized, name)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return path, plain


def test_a_network_trained_for_int8_keeps_its_own_ranges(trained_for_int8):
    made = convert_model(load_keras(trained_for_int8[0]), get_recipe("int8"), width=SIZE, height=SIZE)
    assert [op.kind for op in made.graph.ops][: len(FUSION_KINDS)] == FUSION_KINDS
    assert made.graph.int8_share == 1.0
    step = float(np.float32(1 / 255))
    fusion = [made.graph.ops[place].outputs[0] for place in (0, 4, 6, 7)]
    assert [each.zero_points for each in fusion] == [(0,), (-128,), (0,), (-128,)]
    for each in (*fusion, *made.graph.inputs, *made.graph.outputs):
        assert each.scales == (pytest.approx(step, rel=5e-6),)
    assert [each.name for each in made.graph.outputs] == ["denoised", "history_out"]


def test_its_float_twin_clips_the_share_and_the_picture(trained_for_int8):
    path, plain = trained_for_int8
    made = convert_model(load_keras(path), get_recipe("float32"), width=SIZE, height=SIZE)
    frame = to_float(clip_of(2, SIZE))
    expected = plain([frame[:1], frame[1:]])
    run_frame = tensor_runner(made.content, [each.index for each in made.graph.outputs])
    for (_, found), theirs in zip(run_frame(frame), expected, strict=True):
        np.testing.assert_allclose(found, np.reshape(theirs, found.shape), atol=1e-5)

"""Video networks for the Edge TPU: on the CPU they give every bit of the whole graph, and the preflight knows them."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.converter import convert_model, describe
from convert.coral.check import check_content, check_model
from convert.coral.compile import adopt_model, compile_model
from convert.coral.compiler import require_compiler
from convert.coral.memory import measure
from convert.coral.rules import Verdict
from convert.coral.tile import activation_bytes, coral_tile
from convert.files import write_model
from convert.recipes import get_recipe
from convert.sources.finished import load_finished
from edge.network.denoiser import Denoiser
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from quietcam.app.cli import run
from quietcam.errors import ModelError
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import attach_manifest, model_sha256, read_manifest, strip_manifest
from quietcam.tflite.packing import pack, unpack
from tests.tiny_network import SIZE, VIDEO, clip_of

from .graphs import compiled, edited

STAND_IN = Path(__file__).with_name("stand_in.py")
KINDS = ["SUB", "SPACE_TO_DEPTH", *["CONV_2D"] * 3, "SPLIT", "CONCATENATION", "RESHAPE", "MUL", "ADD", "SPACE_TO_DEPTH"]


def written(conversion, loaded, chosen, folder):
    return write_model(folder, conversion.content, describe(conversion, loaded, "video", chosen))


@pytest.fixture(scope="module")
def whole_file(video_conversions, video_loaded, video_set, tmp_path_factory):
    return written(video_conversions["int8"], video_loaded, video_set, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def coral_file(video_loaded, video_set, tmp_path_factory):
    made = convert_model(
        video_loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=video_set, is_coral=True
    )
    return written(made, video_loaded, video_set, tmp_path_factory.mktemp("coral"))


def swapped(content, side):
    """The model with its two inputs, or its two outputs, in the other order."""

    def swap(model, kinds):
        del kinds
        subgraph = model.subgraphs[0]
        setattr(subgraph, side, np.array(getattr(subgraph, side)[::-1], np.int32))

    return edited(content, swap)


def follow(one, other, clip):
    """Both models in a closed loop: each remembers its own, and every picture and history is the same.

    Returns the last picture and history.
    """
    past: list[np.ndarray | None] = [None, None]
    pictures = np.empty((2, *clip[0].shape), np.uint8)
    with Interpreter(one, threads=1) as first, Interpreter(other, threads=1) as second:
        for noisy in clip:
            for place, each in enumerate((first, second)):
                each.put(noisy, past[place])
                each.invoke()
                each.get(pictures[place])
                past[place] = each.remembered().copy()
            np.testing.assert_array_equal(*pictures)
            np.testing.assert_array_equal(*past)
    return pictures[0], past[0]


def test_the_loop_of_twenty_frames_gives_the_pictures_and_the_history_of_the_whole_graph(whole_file, coral_file):
    picture, kept = follow(whole_file, coral_file, clip_of(20, SIZE))
    assert np.any(picture != kept.astype(int) + 128)


@pytest.mark.parametrize("size", [(64, 64), (100, 90), (50, 37)])
def test_the_denoiser_gives_the_same_clip_from_both_whole_frames_and_tiles(whole_file, coral_file, size):
    height, width = size
    clip = clip_of(6, 100)[:, :height, :width]
    outputs = []
    for path in (whole_file, coral_file):
        with Denoiser(path, threads=1, stream=True) as denoiser:
            outputs.append(np.stack([denoiser.denoise(frame) for frame in clip]))
    np.testing.assert_array_equal(*outputs)
    with Denoiser(coral_file, threads=1, stream=True, history=False) as still:
        assert np.any(still.denoise(clip[-1]) != outputs[1][-1]), "the loop remembers nothing"


def test_the_graph_has_the_operators_of_the_chip_only_and_the_manifest_names_its_ends(coral_file, whole_file):
    graph, manifest = read_graph(strip_manifest(coral_file.read_bytes())), read_manifest(coral_file)
    assert [op.kind for op in graph.ops][: len(KINDS)] == KINDS
    assert "DEPTH_TO_SPACE" not in {op.kind for op in graph.ops}
    assert graph.int8_share == 1.0
    assert (manifest.inputs, manifest.outputs) == (("noisy", "history"), ("denoised", "history"))
    assert (manifest.tail, manifest.block) == ("depth_to_space", 2)
    assert [each.shape for each in graph.outputs] == [(1, 32, 32, 12), (1, 64, 64, 3)]
    whole = read_manifest(whole_file)
    same = ("receptive_field", "stride", "gmacs", "architecture", "training", "weights_sha256")
    assert [getattr(manifest, each) for each in same] == [getattr(whole, each) for each in same]


@pytest.mark.parametrize("size", [(SIZE, SIZE), (96, 48)])
def test_a_finished_file_becomes_the_same_graph(whole_file, video_loaded, video_set, tmp_path, size):
    width, height = size
    finished = load_finished(whole_file)
    made = convert_model(finished, get_recipe("int8"), width=width, height=height, is_coral=True)
    direct = convert_model(
        video_loaded, get_recipe("int8"), width=width, height=height, representative=video_set, is_coral=True
    )
    assert [(op.kind, op.version) for op in made.graph.ops] == [(op.kind, op.version) for op in direct.graph.ops]
    (tmp_path / "other").mkdir()
    path = written(made, finished, None, tmp_path)
    follow(path, written(direct, video_loaded, video_set, tmp_path / "other"), clip_of(3, 96)[:, :height, :width])
    manifest = read_manifest(path)
    assert (manifest.inputs, manifest.outputs) == (("noisy", "history"), ("denoised", "history"))
    assert (manifest.tail, manifest.block, manifest.made_from["model"]) == ("depth_to_space", 2, whole_file.stem)


def test_a_float_file_with_a_set_becomes_one_too(video_conversions, video_loaded, video_set, tmp_path):
    floats = load_finished(written(video_conversions["float32"], video_loaded, video_set, tmp_path))
    made = convert_model(floats, get_recipe("int8"), width=SIZE, height=SIZE, representative=video_set, is_coral=True)
    assert [op.kind for op in made.graph.ops][: len(KINDS)] == KINDS


def test_a_network_of_unknown_design_keeps_its_receptive_field(video_loaded, video_set, tmp_path):
    """The field is read from the graph before depth-to-space is replaced: through a RESHAPE it cannot be followed."""
    from convert.sources.keras_model import load_keras

    path = tmp_path / "plain.keras"
    video_loaded.model.save(path)
    plain = load_keras(path)
    assert plain.architecture is None
    fields = []
    for is_coral in (False, True):
        made = convert_model(
            plain, get_recipe("int8"), width=SIZE, height=SIZE, representative=video_set, is_coral=is_coral
        )
        fields.append(describe(made, plain, "plain", video_set).receptive_field)
    assert fields[0] == fields[1] is not None


def test_a_network_that_remembers_its_picture_ends_in_blocks_and_remembers_pixels(whole_file, coral_file, tmp_path):
    """One output: the host puts the blocks in order before it feeds the picture back."""

    def alone(path, folder):
        model = unpack(strip_manifest(path.read_bytes()))
        model.subgraphs[0].outputs = model.subgraphs[0].outputs[:1]
        model.signatureDefs = []
        content = pack(model)
        told = replace(read_manifest(path), outputs=("denoised",), sha256=model_sha256(content))
        folder.mkdir()
        (folder / path.name).write_bytes(attach_manifest(content, told))
        return folder / path.name

    one, other = alone(whole_file, tmp_path / "whole"), alone(coral_file, tmp_path / "coral")
    made = convert_model(load_finished(one), get_recipe("int8"), width=SIZE, height=SIZE, is_coral=True)
    assert [each.shape for each in made.graph.outputs] == [(1, 32, 32, 12)]
    picture, kept = follow(one, other, clip_of(6, SIZE))
    np.testing.assert_array_equal(picture, kept.astype(int) + 128)


def test_the_preflight_says_which_operators_map_and_that_one_is_not_certain(coral_file, whole_file):
    report = check_model(coral_file)
    assert report.holds
    assert "expected to run on the Edge TPU; for 1 this is not certain" in report.verdict
    (open_op,) = [op for op in report.ops if op.verdict is Verdict.OPEN]
    assert open_op.kind == "RESHAPE"
    assert "large reshapes" in open_op.open[0].text
    assert "#512" in open_op.open[0].source
    assert {op.kind for op in report.ops if op.verdict is Verdict.TPU} >= {"SUB", "MUL", "SPLIT", "SPACE_TO_DEPTH"}
    assert report.memory.activations == activation_bytes(VIDEO) * SIZE * SIZE
    assert next(frame.tiles for frame in report.frames) > 1
    sent = 3 * SIZE * SIZE * 3 + 32 * 32 * 12  # bytes: noisy, history and what is remembered, and the picture
    (usb,) = [each for each in report.estimates if each.bus == "USB 3"]
    assert usb.transfer == pytest.approx(0.7 + 1e3 * sent / 320e6)
    left = check_model(whole_file)
    assert not left.holds
    assert left.first_on_cpu.kind == "DEPTH_TO_SPACE"
    assert "SPLIT, CONCATENATION and RESHAPE" in left.first_on_cpu.broken[0].remedy
    assert "--target coral" in left.first_on_cpu.broken[0].remedy


def test_the_command_chooses_the_tile_and_the_check_holds(video_run, video_set, tmp_path, capsys):
    save_set(tmp_path / "set.npz", video_set)
    words = ["convert", str(video_run), "--target", "coral", "--representative", str(tmp_path / "set.npz")]
    assert run([*words, "--out", str(tmp_path)]) == 0
    (file,) = (tmp_path / "coral").glob("*.tflite")
    side = coral_tile(VIDEO)
    assert file.name == f"video_{side}x{side}_int8.tflite"
    assert "expected to run on the Edge TPU" in capsys.readouterr().out
    assert run(["coral", "check", str(file), "--json", str(tmp_path / "check.json")]) == 0
    told = json.loads((tmp_path / "check.json").read_text())
    assert told["on_cpu"] == 0
    memory = measure(read_graph(strip_manifest(file.read_bytes())).ops)
    assert memory.is_far_from_the_cliff
    assert memory.activations == activation_bytes(VIDEO) * side * side
    assert run(["convert", str(file), "--out", str(tmp_path)]) == 2
    assert "which was made for a Coral" in capsys.readouterr().err


@pytest.fixture
def model(coral_file, tmp_path):
    return Path(shutil.copy(coral_file, tmp_path))


def test_the_compiler_gets_the_graph_without_manifest_and_its_result_keeps_the_ends(model, tmp_path, monkeypatch):
    """The compiler is a stand-in."""
    report = check_model(model)
    (tmp_path / "result.bin").write_bytes(compiled(strip_manifest(model.read_bytes())))
    rows = "".join(f"{kind:<31}{count:<11}Mapped to Edge TPU\n" for kind, count in report.expected_log.items())
    monkeypatch.setenv("STAND_IN", "good")
    monkeypatch.setenv("STAND_IN_RESULT", str(tmp_path / "result.bin"))
    monkeypatch.setenv("STAND_IN_ROWS", rows)
    done = compile_model(model, tmp_path / "out", require_compiler(f"{sys.executable} {STAND_IN}"), report, 30.0)
    assert (done.holds, done.differences) == (True, ())
    read = load_model(done.path)
    assert (read.inputs, read.outputs) == (("noisy", "history"), ("denoised", "history"))
    assert (read.block, read.is_compiled, read.remembers) == (2, True, True)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_result_whose_ends_are_in_another_order_is_told_apart_by_name(model, tmp_path, side):
    result = tmp_path / "result.bin"
    result.write_bytes(swapped(compiled(strip_manifest(model.read_bytes())), side))
    read = load_model(adopt_model(model, tmp_path / "out", result, check_model(model)).path)
    expected = {"inputs": ("noisy", "history"), "outputs": ("denoised", "history")}
    expected[side] = expected[side][::-1]
    assert {"inputs": read.inputs, "outputs": read.outputs} == expected


def test_a_result_without_history_is_refused(model, tmp_path):
    def forget(network, kinds):
        del kinds
        network.subgraphs[0].outputs = network.subgraphs[0].outputs[:1]

    result = tmp_path / "result.bin"
    result.write_bytes(edited(compiled(strip_manifest(model.read_bytes())), forget))
    with pytest.raises(ModelError, match=r"inputs and outputs of its source.*has input history int8"):
        adopt_model(model, tmp_path / "out", result, check_model(model))


def test_the_verdict_holds_without_a_manifest_too(coral_file):
    assert check_content(strip_manifest(coral_file.read_bytes()), "video").holds

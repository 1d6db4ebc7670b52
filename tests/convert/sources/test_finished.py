"""What ships is converted by its name: other sizes with the same pixels, a Coral, other recipes, other ranges."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter as LiteRT

from convert.converter import convert_model
from convert.quantize.ranges import stored_ranges
from convert.recipes import RECIPES
from convert.resize import resize
from convert.sources.finished import find_source, load_finished
from convert.sources.replay import replay
from edge.models import resolve_model, shipped_models
from edge.network.denoiser import Denoiser
from edge.network.golden import check_golden
from edge.network.interpreter import Interpreter
from quietcam.app.cli import run
from quietcam.errors import ModelError, UsageError
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import attach_manifest, extract_manifest, read_manifest, strip_manifest
from tests.convert.coral.graphs import graph
from tests.tiny_network import noisy_pictures, set_of

SHIPS = ("nano", "small", "base", "demo", "nano-video", "small-video", "base-video")


def shipped(stem):
    return next(path for path in shipped_models() if path.stem == stem)


def denoised(path, noisy):
    with Denoiser(path, 1) as denoiser:
        return denoiser.denoise(noisy)


def weights(path):
    return [op.weights for op in read_graph(Path(path).read_bytes()).ops if op.weights is not None]


@pytest.mark.parametrize("name", SHIPS)
def test_by_its_name_at_the_other_size_that_ships_it_gives_that_ones_pixels(name, tmp_path):
    assert run(["convert", name, "--size", "640x480", "--out", str(tmp_path)]) == 0
    (made,) = tmp_path.glob("*.tflite")
    assert made.name == f"{name}_640x480_int8.tflite"
    twin, noisy = shipped(f"{name}_640x480_int8"), noisy_pictures(1, 640, seed=5)[0][0, :480]
    np.testing.assert_array_equal(denoised(made, noisy), denoised(twin, noisy))
    mine, theirs, source = (read_manifest(each) for each in (made, twin, shipped(f"{name}_256x256_int8")))
    assert mine.made_from == {"model": f"{name}_256x256_int8", "sha256": source.sha256, "tools": source.tools}
    assert mine.training == theirs.training
    assert mine.training["licence"]
    assert (mine.width, mine.height, mine.gmacs, mine.sparsity) == (640, 480, theirs.gmacs, theirs.sparsity)
    assert (mine.stride, mine.receptive_field) == (theirs.stride, theirs.receptive_field)
    assert mine.golden["denoised"] == theirs.golden["denoised"]
    with Interpreter(made) as interpreter:
        assert check_golden(interpreter)[0] == 0


def test_at_the_size_that_ships_it_is_that_very_model(tmp_path):
    assert run(["convert", "small", "--out", str(tmp_path), "--recipe", "int8", "--recipe", "float32"]) == 0
    for recipe in ("int8", "float32"):
        made = (tmp_path / f"small_256x256_{recipe}.tflite").read_bytes()
        assert strip_manifest(made) == strip_manifest(shipped(f"small_256x256_{recipe}").read_bytes())


def test_a_device_without_tensorflow_makes_its_own_size(tmp_path):
    script = (
        "import sys\n"
        "for name in ('tensorflow', 'tf_keras', 'h5py', 'jinja2'): sys.modules[name] = None\n"
        "from quietcam.app.cli import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "convert",
            "nano",
            "--size",
            "320x240",
            "--recipe",
            "int8",
            "--recipe",
            "float32",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "models").glob("*.tflite"))
    assert names == ["nano_320x240_float32.tflite", "nano_320x240_int8.tflite"]


def test_for_a_coral_it_gives_the_pixels_of_the_whole_one_and_passes_the_preflight(tmp_path, capsys):
    assert run(["convert", "nano", "--target", "coral", "--out", str(tmp_path)]) == 0
    (made,) = (tmp_path / "coral").glob("*.tflite")
    assert made.name == "nano_256x256_int8.tflite"
    noisy = noisy_pictures(1, 300, seed=6)[0][0]
    np.testing.assert_array_equal(denoised(made, noisy), denoised(shipped("nano_256x256_int8"), noisy))
    assert read_manifest(made).tail == "depth_to_space"
    assert run(["coral", "check", str(made)]) == 0
    assert "are expected to run on the Edge TPU" in capsys.readouterr().out


def recalibrated(name, pictures, folder):
    """The model of that name with ranges from ``pictures``, and the report."""
    save_set(folder / "mine.npz", set_of(pictures))
    words = ["convert", name, "--size", "64x64", "--name", "mine", "--out", str(folder)]
    assert run([*words, "--representative", str(folder / "mine.npz"), "--json", str(folder / "report.json")]) == 0
    return folder / "mine_64x64_int8.tflite", json.loads((folder / "report.json").read_text())


def ranges(path):
    return stored_ranges(strip_manifest(path.read_bytes()))


@pytest.mark.parametrize("name", ["nano", "demo"])
def test_ranges_are_widened_where_ones_own_pictures_go_beyond_them_and_the_weights_stay(name, tmp_path, capsys):
    rng = np.random.default_rng(3)
    wild = 255 * rng.integers(0, 2, (4, 64, 64, 3)).astype(np.uint8)
    made, report = recalibrated(name, wild, tmp_path)
    source, floating = (shipped(f"{name}_256x256_{recipe}") for recipe in ("int8", "float32"))
    for ours, theirs in zip(weights(made), weights(source), strict=True):
        np.testing.assert_array_equal(ours.data == 0, theirs.data == 0)
        assert np.mean(ours.data == theirs.data) > 0.999  # a tie may be rounded to the other side
    after = ranges(made)
    before = {each: span for each, span in ranges(source).items() if each in after}
    assert len(before) > 15
    assert all(after[each].high >= before[each].high * 0.9999 for each in before)
    assert any(after[each].high > before[each].high * 1.02 for each in before)
    manifest, origin = read_manifest(made), read_manifest(floating)
    assert manifest.training["ranges"]["sha256"] == set_of(wild).digest
    assert "widened" in manifest.training["ranges"]["scheme"]
    # what was trained for int8 brings biases of its own
    assert ("bias correction" in manifest.training["ranges"]["scheme"]) is (name == "demo")
    assert manifest.training["licence"] == origin.training["licence"]
    assert manifest.made_from["sha256"] == origin.sha256
    assert report["loss"]["drop"] >= 0
    assert report["kept"]["drop"] >= 0
    assert "exceed" in capsys.readouterr().err


def test_pictures_within_the_ranges_leave_the_model_as_it_is(tmp_path, capsys):
    """A set of little, too, narrows nothing: what it lacks would be clipped on the device."""
    tame = np.full((4, 64, 64, 3), 90, np.uint8) + np.random.default_rng(0).integers(0, 9, (4, 64, 64, 3), np.uint8)
    made, report = recalibrated("small", tame, tmp_path)
    content = strip_manifest(shipped("small_256x256_int8").read_bytes())
    assert strip_manifest(made.read_bytes()) == resize(content, 64, 64)
    assert report["kept"] is None
    assert "The ranges stay unchanged" in capsys.readouterr().err


def test_each_step_from_the_camera_to_a_model_that_runs_prints_the_next_one(tmp_path, monkeypatch, capsys):
    """The commands are typed as they are printed, but for how much of everything there is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge.cameras.discover.find_camera", lambda: "synthetic:size=288x256,fps=max,gain=8")
    assert run(["capture", "--out", "frames", "--count", "4"]) == 0
    for ahead, more in (("next: ", ["--count", "8"]), ("next: ", ["--size", "64x64"]), ("Run it: ", [])):
        shown = capsys.readouterr()
        (line,) = [each for each in (shown.out + shown.err).splitlines() if each.startswith(ahead)]
        command = [*shlex.split(line.removeprefix(ahead))[1:], *more]
        if command[0] == "run":
            command += ["--source", "frames", "--sink", "denoised"]
        assert run(command) == 0, command
    assert command[:3] == ["run", "--model", "models/mine_64x64_int8.tflite"]
    assert len(list(Path("denoised").glob("*.png"))) == 4


def test_the_step_after_a_graph_for_a_coral_is_its_compiler(tmp_path, capsys):
    assert run(["convert", "nano", "--target", "coral", "--size", "64x64", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"Compile it: quietcam coral compile {tmp_path}/coral/nano_64x64_int8.tflite" in shown
    assert "Run it" not in shown


@pytest.mark.parametrize("recipe", ["float16", "dynamic_int8"])
def test_other_recipes_are_made_of_the_float_twin_as_they_are_of_the_run(model_files, loaded, recipe, tmp_path):
    """Named by either file: the twin is found beside it."""
    asked = convert_model(loaded, RECIPES[recipe], width=96, height=64)
    noisy = noisy_pictures(1, 96, seed=2)[0][0, :64]
    for named in model_files.values():
        words = ["convert", str(named), "--recipe", recipe, "--size", "96x64", "--out", str(tmp_path)]
        assert run(words) == 0
        made = denoised(tmp_path / f"tiny_96x64_{recipe}.tflite", noisy)
        expected = tmp_path / "asked.tflite"
        expected.write_bytes(asked.content)
        assert np.abs(made.astype(int) - denoised(expected, noisy).astype(int)).max() <= 1


def test_int8_of_a_float_twin_alone_is_what_the_run_gives(model_files, loaded, representative, tmp_path):
    alone = load_finished(copied(model_files["float32"], tmp_path / "in"))
    assert set(alone.finished) == {"float32"}
    asked, made = (
        convert_model(each, RECIPES["int8"], width=96, height=64, representative=representative)
        for each in (loaded, alone)
    )
    for a, b in zip(read_graph(made.content).tensors, read_graph(asked.content).tensors, strict=True):
        assert (a.shape, a.scales, a.zero_points) == (b.shape, b.scales, b.zero_points)
        np.testing.assert_array_equal(a.data, b.data)


def test_a_replayed_graph_computes_what_litert_does(model_files):
    content = strip_manifest(model_files["float32"].read_bytes())
    noisy = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    lite = LiteRT(model_content=content)
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], noisy)
    lite.invoke()
    expected = lite.get_tensor(lite.get_output_details()[0]["index"])
    np.testing.assert_allclose(np.asarray(replay(content)(noisy)["denoised"]), expected, atol=1e-5)
    with pytest.raises(ModelError, match=r"Received: The model with LEAKY_RELU.*Remedy: convert the .keras"):
        replay(graph("leaky_relu"))


def copied(path, folder, **changes):
    """A model file in ``folder``, its manifest changed, or taken off where ``manifest=None``."""
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if changes.get("manifest", "") is None:
        target.write_bytes(strip_manifest(path.read_bytes()))
        return target
    manifest = replace(extract_manifest(path.read_bytes()), **changes)
    target.write_bytes(attach_manifest(path.read_bytes(), manifest))
    return target


def test_an_int8_file_alone_gives_other_sizes_and_asks_for_its_twin_for_the_rest(model_files, tmp_path, capsys):
    alone = copied(model_files["int8"], tmp_path / "in")
    assert run(["convert", str(alone), "--size", "32x32", "--out", str(tmp_path)]) == 0
    assert run(["convert", str(alone), "--recipe", "float32", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "made from the float twin" in said
    assert "Remedy: put it there" in said


def test_a_float_model_with_other_weights_is_no_twin(model_files, tmp_path):
    alone = copied(model_files["int8"], tmp_path / "in")
    other = copied(shipped("nano_256x256_float32"), tmp_path / "in", name="tiny")
    other.rename(other.with_name("tiny_256x256_float32.tflite"))
    assert set(load_finished(alone).finished) == {"int8"}
    shutil.copy(model_files["float32"], tmp_path / "in")
    assert set(load_finished(alone).finished) == {"int8", "float32"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifest": None}, "which has none.*Remedy: convert the .keras"),
        ({"recipe": "float16"}, "recipe float16.*float32.tflite"),
        ({"tail": "depth_to_space", "block": 2, "made_from": {"model": "the_whole"}}, "made for a Coral.*the_whole"),
    ],
)
def test_what_cannot_be_converted_again_says_what_can(model_files, tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        load_finished(copied(model_files["int8"], tmp_path, **changes))


def test_it_never_writes_over_what_it_is_made_of(model_files, tmp_path, capsys):
    alone = copied(model_files["int8"], tmp_path)
    before = alone.read_bytes()
    assert run(["convert", str(alone), "--out", str(tmp_path)]) == 2
    assert "Remedy: choose another folder with --out, or another name with --name" in capsys.readouterr().err
    assert alone.read_bytes() == before


def test_ones_own_run_or_file_goes_before_a_name_and_a_plain_folder_does_not(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small").mkdir()
    assert find_source(Path("small")) == resolve_model("small")
    assert find_source(Path("small_640x480_int8")) == shipped("small_640x480_int8")
    shutil.copy(run_folder / "model.keras", "small")
    assert find_source(Path("small")) == Path("small")
    with pytest.raises(UsageError, match=r"base, base-video, demo, nano, nano-video, small.*absent.*quietcam train"):
        find_source(Path("absent"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "small", "--size", "1920x1080"], "--size 1920x1088"),
        (["convert", "nano", "--tile", "100"], "--size 96x96"),
        (["convert", "small", "--max-drop", "0.1"], "already has its ranges"),
        (["convert", "small", "--recipe", "int8x16"], "--representative"),
    ],
)
def test_mistakes_name_what_works(arguments, words, tmp_path, capsys):
    assert run([*arguments, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("*"))

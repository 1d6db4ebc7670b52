"""A video network whose body has the int8 of a finished still network: without a past, the pictures are the same."""

from __future__ import annotations

import numpy as np
import pytest

from convert.converter import convert_model, describe, prepare
from convert.files import write_model
from convert.quantize.body import find_body
from convert.quantize.ranges import RangeRule
from convert.quantize.scheme import Scheme
from convert.recipes import get_recipe
from convert.sources.converted import float_content
from convert.sources.finished import load_finished
from quietcam.app.cli import run
from quietcam.errors import UsageError
from quietcam.image import to_float
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import read_manifest
from quietcam.tflite.measurement import tensor_runner
from tests.tiny_network import SIZE, TINY, build_tiny, clip_of, noisy_pictures, set_of

INT8 = get_recipe("int8")


@pytest.fixture(scope="module")
def still(video_run, tmp_path_factory):
    """The int8 file of the video network's body, with ranges of other pictures, corrected biases, and another size."""
    import tf_keras as keras

    from convert.sources.keras_model import load_keras
    from train.model import convolutions

    folder = tmp_path_factory.mktemp("still")
    body, video = build_tiny(architecture=TINY), convolutions(keras.models.load_model(video_run / "model.keras"))
    for name, layer in convolutions(body).items():
        layer.kernel.assign(video[name].kernel)
        layer.bias.assign(video[name].bias)
    body.save(folder / "still.keras")
    loaded, pictures = load_keras(folder / "still.keras"), set_of(noisy_pictures(8, 32, seed=5, sigma=60.0)[0])
    made = convert_model(loaded, INT8, width=96, height=SIZE, representative=pictures)
    return write_model(folder, made.content, describe(made, loaded, "still", pictures))


@pytest.fixture(scope="module")
def set_file(video_set, tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "set.npz"
    save_set(path, video_set)
    return path


def denoised(content, *frames):
    graph = read_graph(content)
    ((_, found),) = tensor_runner(content, [graph.denoised.index])(to_float(np.stack(frames)))
    return found


@pytest.mark.parametrize("rescue", [[], ["--rescue"]])
def test_without_a_past_the_pictures_are_those_of_the_finished_file(
    video_run, still, set_file, tmp_path, capsys, rescue
):
    arguments = ["convert", str(video_run), "--recipe", "int8", "--representative", str(set_file), *rescue]
    assert run([*arguments, "--body", str(still), "--size", f"96x{SIZE}", "--out", str(tmp_path)]) == 0
    path = tmp_path / f"video_96x{SIZE}_int8.tflite"
    for frame in noisy_pictures(3, 96, seed=9)[0][:, :SIZE]:
        shown = denoised(path.read_bytes(), frame, frame)
        np.testing.assert_array_equal(shown, denoised(still.read_bytes(), frame))
    manifest = read_manifest(path)
    finished = read_manifest(still)
    assert manifest.training["ranges"]["body"] == {"model": still.stem, "sha256": finished.sha256}
    assert "The body keeps the int8 of still_96x64_int8" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("scheme", [Scheme(rule=RangeRule(0.0)), Scheme(bias=False), Scheme(equalize=True)])
def test_no_remedy_changes_the_body(video_loaded, video_set, still, scheme):
    prepared = prepare(with_body(video_loaded, still), video_set)
    made = prepared.quantize(float_content(video_loaded, 96, SIZE), scheme)
    frame = clip_of(1, 96)[0, :SIZE]
    np.testing.assert_array_equal(denoised(made, frame, frame), denoised(still.read_bytes(), frame))
    assert not prepared.can_equalize


def test_the_biases_of_the_fusion_are_corrected_and_no_others(video_loaded, video_set, still):
    prepared = prepare(with_body(video_loaded, still), video_set)
    plain, corrected = (read_graph(prepared.quantize(prepared.content, Scheme(bias=each))) for each in (False, True))
    changed = [
        a.outputs[0].name
        for a, b in zip(plain.ops, corrected.ops, strict=True)
        if a.weights is not None and not np.array_equal(a.inputs[2].data, b.inputs[2].data)
    ]
    assert changed
    assert all(any(word in each for word in ("differ", "weigh", "share")) for each in changed)


def with_body(loaded, path):
    from dataclasses import replace

    return replace(loaded, body=load_finished(path).finished["int8"])


def test_another_network_is_not_its_body(video_loaded, conversions):
    content = float_content(video_loaded, SIZE, SIZE)
    with pytest.raises(UsageError, match=r"whose layer down0_0 has weights that the video network lacks. Remedy: give"):
        find_body(content, _other(conversions["int8"].content))


def _other(content):
    from quietcam.tflite.packing import pack, replace_data, unpack

    graph, model = read_graph(content), unpack(content)
    first = next(op for op in graph.ops if op.weights is not None)
    replace_data(model, first.weights.index, -np.asarray(first.weights.data))
    return pack(model)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no `representative`"),
        (["--representative", "SET", "--recipe", "float32"], "no `recipe=int8`"),
        (["--representative", "SET", "--body", "VIDEO"], "is an int8 .tflite"),
        (["--representative", "SET", "--body", "nano"], "whose layer down0_0"),
    ],
)
def test_mistakes_name_what_works(video_run, still, set_file, tmp_path, capsys, arguments, words):
    words = words.replace("`representative`", "--representative").replace("`recipe=int8`", "--recipe int8")
    given = [{"SET": str(set_file), "VIDEO": str(video_run)}.get(each, each) for each in arguments]
    given = ["convert", str(video_run), "--body", str(still), *given]
    assert run([*given, "--out", str(tmp_path)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if words in line]
    assert len(said) == 1
    assert "Remedy" in said[0]
    assert not list(tmp_path.glob("*.tflite"))


def test_a_still_network_has_no_body(run_folder, still, set_file, tmp_path, capsys):
    given = ["convert", str(run_folder), "--body", str(still), "--representative", str(set_file)]
    assert run([*given, "--out", str(tmp_path)]) == 2
    assert "Received: a still network" in capsys.readouterr().err

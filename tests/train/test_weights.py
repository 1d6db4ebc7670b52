"""Starting weights: those of a run or of a float32 model; what the new run records of them, and what it refuses."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from edge import models
from edge.network.interpreter import Interpreter
from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import StartingWeights, read_evaluation, write_evaluation
from quietcam.tflite.manifest import read_manifest, sidecar_path
from train.config import load_config
from train.model import FUSION, build, convolutions, copy_convolutions
from train.run_directory.read import read_run
from train.runs import train as runs
from train.stored import _load, find_network
from train.weights import read_starting_network

TWIN = Path(models.__file__).parent / "demo_256x256_float32.tflite"
NETWORK = (
    "[model]\nwidths = [8, 16]\ndepths = [1, 1]\n"
    "[training]\npatch = 32\ncrop = 64\nbatch = 4\nsteps = 1\nlearning_rate = 1e-9\n"
)


def test_a_float_twin_computes_in_keras_what_it_does_on_the_device():
    begun = read_starting_network(str(TWIN), load_config("demo").model)
    picture = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    ours = begun.model(picture[None].astype(np.float32) / 255).numpy()[0]
    theirs = np.empty_like(picture)
    with Interpreter(TWIN) as device:
        device.run(picture, theirs)
    assert np.abs(np.rint(ours * 255) - theirs).max() <= 1
    assert begun.weights == StartingWeights(str(TWIN), read_manifest(TWIN).sha256)
    assert begun.origin["licence"] == read_manifest(TWIN).training["licence"]


@pytest.mark.parametrize("name", ["demo", "demo_256x256_float32"])
def test_a_model_that_ships_is_meant_by_its_name_unless_a_path_has_that_name(name, tmp_path, monkeypatch, make_run):
    monkeypatch.chdir(tmp_path)
    assert find_network(name) == TWIN
    begun = read_starting_network(name, load_config("demo").model)
    assert begun.weights == StartingWeights(name, read_manifest(TWIN).sha256)
    make_run(name)
    assert find_network(name) == Path(name)


def test_every_model_that_ships_has_a_name_that_finds_its_float_file():
    for path in Path(models.__file__).parent.glob("*_float32.tflite"):
        assert find_network(path.stem.split("_")[0]) == path


def test_a_run_begins_with_them_and_tells(tmp_path, make_run, pair_folder, quietcam):
    source = make_run("source", shift=0.05)
    earlier = {"data": "my camera", "licence": "mine"}
    write_evaluation(source, replace(read_evaluation(source), data=earlier))
    (tmp_path / "c.toml").write_text(NETWORK)
    words = ("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "run", "--weights", source)
    code, shown = quietcam(*words)
    assert code == 0, shown
    # One step of next to no rate, and the bias that make_run gave is still there.
    bias = read_run(tmp_path / "run").load_model().get_layer("residual").bias.numpy()
    np.testing.assert_allclose(bias, 0.05, atol=1e-6)
    told = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    sha256 = hashlib.sha256((source / "model.keras").read_bytes()).hexdigest()
    assert told["weights"] == {"begun_with": str(source), "sha256": sha256, "before": told["validation"]["psnr"]}
    assert f"training begins with weights that give {told['validation']['psnr']:.2f} dB" in shown
    assert told["data"]["data"].endswith("; before that my camera")
    assert told["data"]["licence"].split("; ")[1:] == ["mine"]
    # And it goes on into what is made of the run.
    code, shown = quietcam("prune", tmp_path / "run", "--data", pair_folder, "--minutes", 0.05, "--no-scan")
    assert code == 0, shown
    pruned = json.loads((tmp_path / "run-pruned" / "evaluation.json").read_text())
    assert pruned["data"]["data"] == told["data"]["data"]
    assert pruned["data"]["licence"] == told["data"]["licence"]
    assert pruned["data"]["earlier"] == [earlier]
    assert pruned["weights"] == told["weights"]


def test_without_weights_a_run_begins_with_random_ones(tiny):
    assert read_starting_network("", tiny).model is None
    assert read_starting_network("", tiny).weights is None


def test_what_is_refused(tmp_path, make_run, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(NETWORK)
    (tmp_path / "bare.tflite").write_bytes(b"nothing")
    own = make_run("own")
    for weights, said in (
        (
            tmp_path / "nowhere",
            "neither. Remedy: give one of these, or the name of a model that ships (base, base-video, demo, ",
        ),
        (TWIN.with_name("demo_256x256_int8.tflite"), "recipe int8. Remedy: give the float32 model of the same network"),
        (tmp_path / "bare.tflite", "which has no manifest. Remedy: give a float32 model"),
        (TWIN, "the network in [model], widths=[8, 16], depths=[1, 1]. Received"),
        (
            make_run("gray", Architecture(channels=1, widths=(8, 16), depths=(1, 1))),
            "channels=1. Remedy: give the config",
        ),
        (own, "must not be written to a folder that it reads from"),
    ):
        words = ("train", tmp_path / "c.toml", "--data", pair_folder, "--out", own, "--overwrite")
        code, shown = quietcam(*words, "--weights", weights)
        assert code == 2, shown
        assert said in shown.rstrip().splitlines()[-1]
        assert (own / "model.keras").is_file()
    code, shown = quietcam("train", own, "--qat", "--data", pair_folder, "--weights", TWIN)
    assert code == 2
    assert "Received: --weights. Remedy: leave it out" in shown


def test_a_file_that_is_not_what_its_manifest_says(tmp_path):
    twin = tmp_path / TWIN.name
    twin.write_bytes(TWIN.read_bytes()[:-100])
    sidecar_path(twin).write_bytes(sidecar_path(TWIN).read_bytes())
    with pytest.raises(ModelError, match="Remedy"):
        read_starting_network(str(twin), load_config("demo").model)


def test_a_run_that_does_not_tell_its_data_is_refused(make_run, pair_folder, quietcam):
    run = make_run()
    (run / "evaluation.json").unlink()
    code, shown = quietcam("prune", run, "--data", pair_folder)
    assert code == 2
    assert "A run directory must contain evaluation.json. Received:" in shown


def test_nothing_is_trained_before_the_weights_are_read(tmp_path, pair_folder, quietcam, monkeypatch):
    (tmp_path / "c.toml").write_text(NETWORK)
    monkeypatch.setattr(runs, "Loop", None)
    words = ("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "r", "--weights", tmp_path)
    code, shown = quietcam(*words)
    assert code == 2, shown
    assert not (tmp_path / "r").exists()


def test_a_video_network_begins_with_the_still_network_of_its_body_and_not_the_other_way_round(make_run):
    still = Architecture(stem=2, widths=(8, 16), depths=(1, 1))
    video = replace(still, history=1)
    source = make_run("still", still, shift=0.05)
    begun = read_starting_network(str(source), video)
    model = build(video)
    fresh = {name: model.get_layer(name).kernel.numpy() for name in FUSION}
    copy_convolutions(begun.model, model)
    np.testing.assert_allclose(model.get_layer("residual").bias.numpy(), 0.05, atol=1e-6)
    for name, kernel in fresh.items():
        np.testing.assert_array_equal(model.get_layer(name).kernel.numpy(), kernel)
    with pytest.raises(UsageError, match=r"widths=\[8, 24\]"):
        read_starting_network(str(source), replace(video, widths=(8, 24)))
    with pytest.raises(UsageError, match="The weights of a video network are for networks that remember"):
        read_starting_network(str(make_run("video", video)), still)


def test_a_video_network_begins_with_one_networks_body_and_anothers_fusion(make_run):
    still = Architecture(stem=2, widths=(8, 16), depths=(1, 1))
    other = Architecture(stem=2, widths=(8, 8, 8), depths=(1, 1, 1), history=1)
    body, fusion = make_run("still", still, shift=0.05), make_run("video", other, shift=0.2)
    for run, data, terms in ((body, "pairs", "MIT"), (fusion, "clips", "mine")):
        told = {"data": data, "licence": terms, "sha256": f"of {data}", "sources": [data]}
        write_evaluation(run, replace(read_evaluation(run), data=told))
    begun = read_starting_network(str(body), replace(still, history=1), str(fusion))
    ours, theirs = convolutions(begun.model), convolutions(read_run(fusion).load_model())
    np.testing.assert_allclose(ours["residual"].bias.numpy(), 0.05, atol=1e-6)
    for name in FUSION:
        np.testing.assert_array_equal(ours[name].kernel.numpy(), theirs[name].kernel.numpy())
        np.testing.assert_array_equal(ours[name].bias.numpy(), theirs[name].bias.numpy())
    assert (begun.weights.begun_with, begun.weights.fusion) == (str(body), str(fusion))
    sha256 = hashlib.sha256((fusion / "model.keras").read_bytes()).hexdigest()
    assert begun.weights.fusion_sha256 == sha256
    assert (begun.origin["data"], begun.origin["licence"]) == ("pairs; before that clips", "MIT; mine")
    assert begun.fusion == {
        "name": fusion.name,
        "sha256": sha256,
        "data": "clips",
        "licence": "mine",
        "sources": ["clips"],
        "runs": [],
    }


def test_a_fusion_comes_from_a_video_network_of_the_same_channels(make_run):
    still = Architecture(stem=2, widths=(8, 16), depths=(1, 1))
    body = str(make_run("still", still))
    gray = str(make_run("gray", replace(still, history=1, channels=1)))
    for wrong in (body, gray):
        with pytest.raises(UsageError, match=r"A fusion must be that of a video network with channels=3. Received"):
            read_starting_network(body, replace(still, history=1), wrong)


def test_a_fusion_without_a_body_is_refused(tmp_path, pair_folder, quietcam):
    (tmp_path / "c.toml").write_text(
        NETWORK.replace("[model]", "[model]\nhistory = 1") + '\n[video]\nfusion = "small-video"\n'
    )
    code, shown = quietcam("train", tmp_path / "c.toml", "--data", pair_folder, "--out", tmp_path / "r")
    assert code == 2
    assert "needs a body to begin with, too. Received: no --weights" in " ".join(shown.split())


def test_a_video_network_begins_with_the_float_twin_of_its_body():
    body = load_config("demo").model
    begun = read_starting_network(str(TWIN), replace(body, history=1))
    plain = read_starting_network(str(TWIN), body)
    for one, other in zip(begun.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_video_network_begins_with_its_own_float_file(tmp_path):
    """Convolutions are found by their order: those of the fusion come first."""
    video = Architecture(stem=2, widths=(8, 16), depths=(1, 1), history=1)
    model = build(video)
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(0, 0.1, weight.shape) for weight in model.get_weights()])
    shapes = [tf.TensorSpec((1, 32, 32, 3), tf.float32)] * 2
    graph = tf.function(lambda noisy, history: model([noisy, history])).get_concrete_function(*shapes)
    path = tmp_path / "own.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([graph], model).convert())
    read = _load(path, video)
    for name, layer in convolutions(model).items():
        np.testing.assert_array_equal(convolutions(read)[name].kernel.numpy(), layer.kernel.numpy())
        np.testing.assert_array_equal(convolutions(read)[name].bias.numpy(), layer.bias.numpy())

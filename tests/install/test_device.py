"""What a device gets: the built wheel, installed into environments of their own, at work on real files."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from quietcam.data.generated import write_pairs
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.sensor.scenes import make_pair

pytestmark = [pytest.mark.install, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DESKTOP_ONLY = {"tensorflow", "tf-keras", "tf_keras", "keras", "tensorflow-model-optimization", "scipy"}
NO_NETWORK = ("Temporary failure in name resolution", "Network is unreachable", "Failed to establish a new connection")


def checked(*command, cwd):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "QUIETCAM", "TF_"))}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip("no package registry can be reached from here")
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    checked(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def noisy_folder(tmp_path_factory):
    """Two pictures: one of the shipped model's own size, one that has to be tiled."""
    folder = tmp_path_factory.mktemp("pictures") / "noisy"
    write_picture(folder / "square.png", make_pair(1, 256, band=(22, 24))[0])
    write_picture(folder / "wide.png", make_pair(2, 320, band=(22, 24))[0][:200, :301])
    return folder


def install(wheel, extra, folder):
    """Into a new environment; returns all that is installed there. The pip that runs the tests does it: a pip of the
    environment's own, and bytecode of what nobody imports, would take more time than the rest."""
    venv.create(folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python")
    checked(*pip, "install", "--quiet", "--no-compile", f"{wheel}[{extra}]", cwd=folder)
    listed = json.loads(checked(*pip, "list", "--format", "json", cwd=folder))
    return {entry["name"].lower() for entry in listed}


def denoise_there(folder, noisy_folder, *words):
    out = folder / "-".join(["denoised", *words])
    checked(folder / "bin/quietcam", "run", "--source", noisy_folder, "--sink", out, "--no-gate", *words, cwd=folder)
    return {path.stem: read_picture(path) for path in sorted(out.glob("*.png"))}


def denoise_here(noisy_folder, model=None):
    with Denoiser(resolve_model(model)) as denoiser:
        return {path.stem: denoiser.denoise(read_picture(path)) for path in sorted(noisy_folder.iterdir())}


def test_edge_brings_no_tensorflow_and_denoises(wheel, noisy_folder, tmp_path):
    installed = install(wheel, "edge", tmp_path / "env")
    assert not installed & DESKTOP_ONLY
    found, expected = denoise_there(tmp_path / "env", noisy_folder), denoise_here(noisy_folder)
    assert found.keys() == expected.keys()
    for name, picture in found.items():
        np.testing.assert_array_equal(picture, expected[name])
    # The Coral's preflight works there, too; the whole model ends in what the chip does not have.
    checked_model = subprocess.run(
        [tmp_path / "env/bin/quietcam", "coral", "check", "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked_model.returncode == 3, checked_model.stderr
    assert "DEPTH_TO_SPACE" in checked_model.stderr
    # Models are compared there, too, layers and report included.
    write_pairs(tmp_path / "pairs", count=2, size=64)
    models = ("demo_256x256_float32", "demo_256x256_int8")
    reports = ("--html", tmp_path / "c.html", "--json", tmp_path / "c.json")
    checked(tmp_path / "env/bin/quietcam", "compare", *models, "--data", tmp_path / "pairs", *reports, cwd=tmp_path)
    comparison = json.loads((tmp_path / "c.json").read_text())
    assert comparison["blame"][0]["layers"]
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")
    # A command of the desktop says what is missing, in one line.
    done = subprocess.run(
        [tmp_path / "env/bin/quietcam", "train", "demo", "--data", noisy_folder],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'quietcam[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
    shutil.rmtree(tmp_path / "env")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends at Python 3.11")
@pytest.mark.skipif(sys.platform != "linux", reason="tflite-runtime has wheels for Linux alone")
def test_edge_legacy_gives_nearly_the_same_pixels(wheel, noisy_folder, tmp_path):
    installed = install(wheel, "edge-legacy", tmp_path / "env")
    assert "tflite-runtime" in installed
    assert not installed & (DESKTOP_ONLY | {"ai-edge-litert"})
    # Its kernels round otherwise, and the more a network takes away the more that shows.
    for model, most, usual in (("demo", 3, 0.9999), ("small", 6, 0.99)):
        found = denoise_there(tmp_path / "env", noisy_folder, "--model", model)
        expected = denoise_here(noisy_folder, model)
        assert found.keys() == expected.keys()
        for name, picture in found.items():
            apart = np.abs(picture.astype(int) - expected[name])
            assert apart.max() <= most, (model, name)
            assert np.mean(apart <= 2) >= usual, (model, name)
    shutil.rmtree(tmp_path / "env")


def test_a_video_is_denoised_too(tmp_path):
    """On a real clip, with the installation that runs the tests."""
    clips = sorted((ROOT.parent / "shared" / "data" / "video").glob("*.mp4"))
    if not clips:
        pytest.skip("needs the clips of ../shared/data/video")
    checked(
        sys.executable, "-m", "quietcam", "run", "--source", clips[0], "--frames", 5,
        "--sink", tmp_path / "clip.webm", "--json", tmp_path / "report.json", cwd=ROOT,
    )  # fmt: skip
    assert (tmp_path / "clip.webm").stat().st_size > 1000
    assert json.loads((tmp_path / "report.json").read_text())

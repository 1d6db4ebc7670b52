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

from edge.denoiser import Denoiser
from edge.models import resolve_model
from quietcam.data.pictures import read_picture, write_picture
from quietcam.scenes import make_pair

pytestmark = [pytest.mark.install, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DESKTOP_ONLY = {"tensorflow", "tf-keras", "tf_keras", "keras", "tensorflow-model-optimization", "scipy", "jinja2"}
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
    venv.create(folder, with_pip=True)
    checked(folder / "bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]", cwd=folder)
    listed = json.loads(checked(folder / "bin/python", "-m", "pip", "list", "--format", "json", cwd=folder))
    return {entry["name"].lower() for entry in listed}


def denoise_there(folder, noisy_folder):
    out = folder / "denoised"
    checked(folder / "bin/quietcam", "run", "--source", noisy_folder, "--sink", out, "--no-gate", cwd=folder)
    return {path.stem: read_picture(path) for path in sorted(out.glob("*.png"))}


@pytest.fixture(scope="module")
def expected(noisy_folder):
    with Denoiser(resolve_model()) as denoiser:
        return {path.stem: denoiser.denoise(read_picture(path)) for path in sorted(noisy_folder.iterdir())}


def test_edge_brings_no_tensorflow_and_denoises(wheel, noisy_folder, expected, tmp_path):
    installed = install(wheel, "edge", tmp_path / "env")
    assert not installed & DESKTOP_ONLY
    found = denoise_there(tmp_path / "env", noisy_folder)
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
def test_edge_legacy_gives_the_same_pixels(wheel, noisy_folder, expected, tmp_path):
    installed = install(wheel, "edge-legacy", tmp_path / "env")
    assert "tflite-runtime" in installed
    assert not installed & (DESKTOP_ONLY | {"ai-edge-litert"})
    found = denoise_there(tmp_path / "env", noisy_folder)
    assert found.keys() == expected.keys()
    for name, picture in found.items():
        assert np.abs(picture.astype(int) - expected[name]).max() <= 2
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

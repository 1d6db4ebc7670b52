"""A bundle that a publisher makes: the same models give the same bytes, and golden frames hold on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.release.bundle import BundlePlan, make_bundle, make_frames
from edge.network.interpreter import Interpreter
from edge.update.archive import unpack
from edge.update.contents import Bounds
from edge.update.golden_frames import denoise_frames
from quietcam.errors import UpdateError, UsageError
from quietcam.metrics import finite_psnr
from tests.small_models import with_manifest

ANY = Bounds(most_noisy_db=100.0)  # the tests' models are no denoisers


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    return with_manifest(models, tmp_path, "small_32x32_int8", receptive_field=6, stride=2)


def test_the_same_models_give_the_same_bytes(model: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("strength = 0.8\n")
    plan = BundlePlan("yard", "3", [model], settings, ANY)
    for name in ("one", "two"):
        assert make_bundle(plan, tmp_path / f"{name}.tar").id == "yard-3"
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    bundle = unpack(tmp_path / "one.tar", tmp_path / "slot")
    assert bundle.settings == {"strength": 0.8}
    golden = bundle.golden_of(bundle.contents.models[0])
    assert [each.shape[0] for each in golden] == [1, 1, 8]
    with Interpreter(bundle.path_of(bundle.contents.models[0])) as interpreter:
        for each in golden:
            noisy, denoised = bundle.frames(each)
            assert np.array_equal(denoise_frames(interpreter, noisy), denoised)


def test_a_video_network_gets_a_clip_with_history(models: Path, tmp_path: Path) -> None:
    model = with_manifest(
        models, tmp_path, "video_64x64_int8", inputs=("noisy", "history"), outputs=("denoised", "history")
    )
    make_bundle(BundlePlan("yard", "1", [model], bounds=ANY), tmp_path / "video.tar")
    bundle = unpack(tmp_path / "video.tar", tmp_path / "slot")
    (clip,) = (each for each in bundle.contents.golden if each.is_clip)
    noisy, denoised = bundle.frames(clip)
    with Interpreter(model) as interpreter:
        assert not np.array_equal(denoise_frames(interpreter, noisy[1:2]), denoised[1:2])


def test_a_model_for_the_edge_tpu_is_expected_to_do_what_its_twin_does(
    model: Path, models: Path, tmp_path: Path
) -> None:
    compiled = with_manifest(models, tmp_path, "small_32x32_int8_edgetpu", receptive_field=6, stride=2)
    make_bundle(BundlePlan("yard", "1", [model, compiled], bounds=ANY), tmp_path / "both.tar")
    bundle = unpack(tmp_path / "both.tar", tmp_path / "slot")
    assert bundle.model("coral") == tmp_path / "slot/models/small_32x32_int8_edgetpu.tflite"
    cpu, coral = bundle.contents.models
    assert [each.denoised for each in bundle.golden_of(cpu)] == [each.denoised for each in bundle.golden_of(coral)]
    with pytest.raises(UsageError, match=r"small_32x32_int8_edgetpu\.tflite alone"):
        make_bundle(BundlePlan("yard", "1", [compiled], bounds=ANY), tmp_path / "alone.tar")


def test_golden_frames_are_noisy() -> None:
    for _, noisy in make_frames(96, 128, 3):
        assert noisy.shape[1:] == (96, 128, 3)
        assert noisy.dtype == np.uint8
    one, other = (make_frames(64, 64, 1)[2][1] for _ in range(2))
    assert np.array_equal(one, other)
    clip = one[:, :, :, 0]
    # The clip moves by 2 pixels a frame both ways: shifted back, frames differ by their noise alone.
    still = finite_psnr(clip[0][2:, 2:, np.newaxis], clip[1][:-2, :-2, np.newaxis])
    assert 14.0 < still < 20.0  # two noises of sigma 24: 10 log10(255^2 / (2 * 24^2)) = 17.5 dB, less where it clips


def test_what_cannot_be_a_bundle_is_refused(model: Path, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "bad.tar"
    settings = tmp_path / "settings.toml"
    settings.write_text('sink = "null"\n')
    with pytest.raises(UpdateError, match="the key 'sink'"):
        make_bundle(BundlePlan("yard", "1", [model], settings, ANY), out)
    with pytest.raises(UsageError, match="readable"):
        make_bundle(BundlePlan("yard", "1", [model], tmp_path / "none", ANY), out)
    with pytest.raises(UsageError, match="at least one model"):
        make_bundle(BundlePlan("yard", "1", []), out)
    with pytest.raises(UsageError, match="one twice"):
        make_bundle(BundlePlan("yard", "1", [model, model]), out)
    with pytest.raises(UsageError, match="a bundle's name"):
        make_bundle(BundlePlan("Yard", "1", [model], bounds=ANY), out)
    with pytest.raises(UsageError, match="which has none"):
        make_bundle(BundlePlan("yard", "1", [models / "gray_32x32_int8.tflite"]), out)
    with pytest.raises(UsageError, match="changes noisy frames"):
        make_bundle(BundlePlan("yard", "1", [model], bounds=Bounds(most_noisy_db=5.0)), out)
    assert not out.exists()

"""The command evaluate on clips: its figures by another library, and what it shows of a video network."""

import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from quietcam.architecture import Architecture
from quietcam.data.clips.mark import MARK
from quietcam.data.pictures.files import write_picture
from train.run_directory.read import read_run

FRAMES, HEIGHT, WIDTH = 5, 36, 44  # no multiples of the network's stride


@pytest.fixture
def clip(tmp_path):
    """A clip whose left half stands still. Returns its folder, its noisy and clean frames, and what moves."""
    rng = np.random.default_rng(5)
    clean = np.repeat(rng.integers(60, 180, (1, HEIGHT, WIDTH, 3), np.uint8), FRAMES, axis=0)
    clean[:, :, WIDTH // 2 :] = rng.integers(60, 180, (FRAMES, HEIGHT, WIDTH - WIDTH // 2, 3))
    noisy = np.clip(np.rint(clean + rng.normal(0, 12, clean.shape)), 0, 255).astype(np.uint8)
    moving = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    moving[0], moving[:, :, WIDTH // 2 :] = True, True
    folder = tmp_path / "filmed" / "clip"
    masks = np.repeat(moving[..., None], 3, axis=3) * np.uint8(255)
    for side, frames in (("noisy", noisy), ("clean", clean), ("moving", masks)):
        for index, frame in enumerate(frames):
            write_picture(folder / side / f"{index:04d}.png", frame)
    (folder / MARK).write_text("{}")
    return folder.parent, noisy, clean, moving


def test_figures_are_those_of_another_library(make_run, clip, quietcam, tmp_path):
    folder, noisy, clean, moving = clip
    run = make_run(architecture=Architecture(stem=2, widths=(8, 16), depths=(1, 1), history=1), patch=32)
    out = tmp_path / "shown"
    words = ("evaluate", run, "--data", folder, "--json", tmp_path / "e.json", "--pictures", 1, "--out", out)
    code, shown = quietcam(*words)
    assert code == 0, shown
    assert "by history" in shown
    told = json.loads((tmp_path / "e.json").read_text())["clips"]
    # The untrained body gives its input, so the denoised frame is the fused frame, and without history the noisy one.
    model = read_run(run).load_model()
    padded = np.pad(noisy, ((0, 0), (0, 4), (0, 4), (0, 0)), "edge").astype(np.float32) / 255
    history, denoised = padded[:1], []
    for frame in padded:
        _, fused = model([frame[None], history])
        history = np.rint(np.asarray(fused) * 255) / np.float32(255)
        denoised.append(np.rint(np.asarray(fused)[0, :HEIGHT, :WIDTH] * 255).astype(np.uint8))

    def decibels(frames, where):
        return peak_signal_noise_ratio(clean[where], np.stack(frames)[where], data_range=255)

    by_frame = [peak_signal_noise_ratio(*each, data_range=255) for each in zip(clean, denoised, strict=True)]
    (one,) = told["clips"]
    assert one["by_frame"] == pytest.approx(by_frame, abs=1e-2)
    assert one["denoised"]["psnr"] == pytest.approx(np.mean(by_frame), abs=1e-2)
    assert one["denoised"]["still"] == pytest.approx(decibels(denoised, ~moving), abs=1e-2)
    assert one["denoised"]["moving"] == pytest.approx(decibels(denoised, moving), abs=1e-2)
    assert one["without_history"] == pytest.approx(one["noisy"], abs=1e-4)
    assert one["noisy"]["still"] == pytest.approx(decibels(noisy, ~moving), abs=1e-4)
    assert one["denoised"]["still"] > one["noisy"]["still"] + 1
    assert told["sets"][next(iter(told["sets"]))]["frames"] == FRAMES
    page = (out / "index.html").read_text()
    assert "Clips: PSNR in dB" in page
    assert "Worst clip: noisy, without history, with history, clean" in page
    assert (out / "worst_clip_1.png").is_file()


def test_a_still_network_takes_frames_as_pictures(make_run, clip, quietcam, tmp_path):
    folder, *_ = clip
    code, shown = quietcam("evaluate", make_run(), "--data", folder, "--json", tmp_path / "e.json", "--pictures", 0)
    assert code == 0, shown
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["pictures"] == FRAMES
    assert "clips" not in told


def test_a_gain_that_falls_short_on_clips_is_a_gate_that_fails(make_run, clip, quietcam):
    run = make_run(architecture=Architecture(stem=2, widths=(8, 16), depths=(1, 1), history=1), patch=32)
    code, shown = quietcam("evaluate", run, "--data", clip[0], "--pictures", 0, "--min-gain", 50)
    assert code == 3
    assert "must gain at least 50 dB on every data set" in shown

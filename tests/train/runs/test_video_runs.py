"""A video network is narrowed, pruned and made ready for int8, one after the other, from the command line."""

import numpy as np
import pytest
import tf_keras as keras

from train.model import convolutions
from train.pruning.magnitude import shares
from train.run_directory.read import read_run


def test_a_video_network_is_narrowed_pruned_and_made_ready_for_int8(clip_folder, quietcam, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "[model]\nwidths = [16, 16]\ndepths = [1, 1]\nhistory = 1\n[training]\npatch = 32\ncrop = 64\nbatch = 4\n"
        "steps = 4\n[video]\nunroll = 2\nlead = 2\n[pruning]\nsteps = 12\nsparsity = 0.05\n[qat]\nsteps = 6\n"
    )
    for words in (
        ("train", config, "--out", tmp_path / "run"),
        ("prune", tmp_path / "run", "--channels", "0.2"),
        ("prune", tmp_path / "run-narrow", "--no-scan"),
        ("train", tmp_path / "run-narrow-pruned", "--qat"),
    ):
        code, shown = quietcam(*words, "--data", clip_folder)
        assert code == 0, shown
    narrow, ready = (read_run(tmp_path / name) for name in ("run-narrow", "run-narrow-pruned-qat"))
    assert sum(narrow.config.model.widths) < 32
    assert ready.config.model == narrow.config.model
    ranges = ready.evaluation.treatments.quantization_aware_training.ranges
    assert ranges["share"] == ranges["fuse"] == (0.0, 1.0)
    assert ranges["weigh_relu"] == (0.0, 6.0)  # scaled to it
    model = keras.models.load_model(ready.path / "model.keras", compile=False)
    pruned = read_run(tmp_path / "run-narrow-pruned")
    asked = pruned.evaluation.treatments.magnitude_pruning.shares
    assert asked == shares(narrow.config.model, 0.05)
    before, after = (
        {name: layer.kernel.numpy() == 0 for name, layer in convolutions(each).items()}
        for each in (pruned.load_model(), model)
    )
    for name, zeros in before.items():
        wanted = pytest.approx(asked.get(name, 0.0) * zeros.size, abs=0.51)
        assert zeros.sum() == wanted or name == "residual"  # which begins as zeros
        assert after[name][zeros].all(), "what pruning made stays; rounding to whole steps adds some"
    for run, found in ((pruned, before), (ready, after)):
        share = np.mean(np.concatenate([zeros.ravel() for zeros in found.values()]))
        assert run.evaluation.sparsity == pytest.approx(share, abs=5e-5)
    noisy, history = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32, 3)).astype(np.float32) / 255
    _, fused = model([noisy, history])
    np.testing.assert_allclose(fused * 255, np.rint(fused * 255), atol=1e-3)
    _, fused = model([noisy, noisy])
    np.testing.assert_allclose(fused, noisy, atol=1e-6)

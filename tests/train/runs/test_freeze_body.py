"""freeze_body: a video network on top of a trained still one, whose pictures stay what they were."""

import numpy as np

from tests.train.conftest import MakeRun
from train.model import FUSION, convolutions
from train.run_directory.read import read_run

CONFIG = """
[model]
stem = 2
widths = [8, 16]
depths = [1, 1]
history = 1
[training]
patch = 32
crop = 64
batch = 4
steps = 2
learning_rate = 1e-2
[video]
unroll = 2
lead = 2
without_history = 0.0
freeze_body = true
"""
WARNING = "freeze_body is set, so "


def test_the_body_stays_bit_for_bit_also_when_resumed(clip_folder, make_run: MakeRun, quietcam, tmp_path):
    still = read_run(make_run("still", shift=0.02)).load_model()
    (tmp_path / "c.toml").write_text(CONFIG)
    words = ("train", tmp_path / "c.toml", "--weights", tmp_path / "still", "--data", clip_folder)
    noisy = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32) / 255
    before = None
    for more in ((), ("--steps", "4", "--resume")):
        code, shown = quietcam(*words, "--out", tmp_path / "run", *more)
        assert code == 0, shown
        assert WARNING not in shown
        model = read_run(tmp_path / "run").load_model()
        for name, layer in convolutions(still).items():
            for ours, theirs in zip(convolutions(model)[name].get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(model([noisy, noisy])[0], still(noisy))
        fusion = [convolutions(model)[name].kernel.numpy() for name in FUSION]
        assert before is None or all(np.any(a != b) for a, b in zip(fusion, before, strict=True))
        before = fusion


def test_what_teaches_a_frozen_body_nothing_is_named(clip_folder, pair_folder, make_run: MakeRun, quietcam, tmp_path):
    make_run("still")
    (tmp_path / "c.toml").write_text(CONFIG.replace("without_history = 0.0", "without_history = 0.25"))
    words = ("train", tmp_path / "c.toml", "--weights", tmp_path / "still", "--data", clip_folder)
    code, shown = quietcam(*words, "--data", pair_folder, "--out", tmp_path / "run")
    assert code == 0, shown
    (line,) = (line for line in shown.splitlines() if WARNING in line)
    assert "pairs and sequences without history (without_history = 0.25) teach nothing" in line


def test_a_body_without_weights_cannot_be_kept(clip_folder, quietcam, tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    code, shown = quietcam("train", tmp_path / "c.toml", "--data", clip_folder, "--out", tmp_path / "run")
    assert code == 2
    assert "must be a trained one. Received: no --weights. Remedy: give those of a still network" in shown
    assert not (tmp_path / "run").exists()

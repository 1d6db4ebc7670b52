"""Training and pruning from Python: plain values in, a finished run out."""

import json

import pytest

from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from train.pruning.magnitude import shares
from train.runs.prune import prune
from train.runs.train import train

CONFIG = (
    "[model]\nwidths = [16, 16]\ndepths = [1, 1]\n[training]\npatch = 32\ncrop = 64\nbatch = 4\nsteps = 4\n"
    "[pruning]\nsteps = 10\n[qat]\nsteps = 4\n"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pair_folder):
    folder = tmp_path_factory.mktemp("face")
    (folder / "c.toml").write_text(CONFIG)
    return train(folder / "c.toml", data=[pair_folder], out=folder / "mine", steps=3, seed=5)


def test_a_finished_run_tells_its_scores_and_how_it_was_trained(trained):
    stored = json.loads((trained.path / "evaluation.json").read_text())
    assert (trained.psnr, trained.noisy_psnr) == (stored["validation"]["psnr"], stored["validation"]["noisy_psnr"])
    assert (trained.config.training.steps, trained.config.training.seed) == (3, 5)
    assert trained.load_model().count_params() == trained.config.model.parameters


def test_pruning_and_int8_begin_with_it_and_take_folders_beside_it(trained, pair_folder):
    sparse = prune(trained.path, [pair_folder], sparsity=0.4, scan=False)
    narrow = prune(trained.path, [pair_folder], channels=0.3, importance="l1")
    ready = train(trained.path, [pair_folder], qat=True)
    assert [run.path.name for run in (sparse, narrow, ready)] == ["mine-pruned", "mine-narrow", "mine-qat"]
    assert sparse.evaluation.sparsity == pytest.approx(0.4, abs=0.05)
    assert sparse.evaluation.treatments.magnitude_pruning.shares == shares(sparse.config.model, 0.4)
    assert sum(narrow.evaluation.architecture.widths) < 32
    ranges = ready.evaluation.treatments.quantization_aware_training.ranges
    assert ranges["denoise"] == (0.0, 1.0)
    with pytest.raises(
        UsageError, match=r"Remedy: `overwrite` deletes it; or choose another place with `out`|`resume`"
    ):
        prune(trained.path, [pair_folder], sparsity=0.4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"channels": 0.4, "sparsity": 0.5}, "Received: `channels` and `sparsity`"),
        ({"channels": 1.5}, r"`channels` must be in \(0, 1\)"),
        ({"channels": 0.4, "multiple": 9}, "must be 8 or 16"),
        ({"sparsity": 1.0}, "sparsity must be in"),
        ({"steps": 3}, "at least 10 steps"),
    ],
)
def test_values_that_cannot_be_are_refused_before_the_data_is_read(trained, values, said):
    with pytest.raises(UsageError, match=said):
        prune(trained.path, ["nowhere"], **values)


def test_training_for_int8_takes_weights_and_seed_of_the_run(trained):
    with pytest.raises(UsageError, match="Received: `weights`, `seed`"):
        train(trained.path, ["nowhere"], qat=True, weights="small", seed=1)


def test_more_zeros_than_a_video_network_can_have_are_refused_before_the_data_is_read(make_run):
    video = make_run("video", Architecture(stem=2, widths=(8, 16), depths=(1, 1), history=1))
    with pytest.raises(UsageError, match=r"`sparsity` must be less than 0\.14 here\. Received: 0\.5\."):
        prune(video, ["nowhere"])

"""The command evaluate: its figures against another library, groups, pictures, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from quietcam.architecture import Architecture
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.evaluation import Treatments, read_evaluation, write_evaluation
from quietcam.metrics import psnr
from train.config import RunConfig
from train.model import build
from train.run_directory.chain import Beginning
from train.runs.finish import finish_run

SHIFT = 16 / 255


@pytest.fixture
def sidd_pairs(tmp_path):
    """Pairs of several phones, ISOs and lights; one with odd sides, one larger than a megapixel."""
    rng = np.random.default_rng(0)
    pictures = {}
    for name, shape in (
        ("0001_001_S6_00100_00060_3200_L", (64, 64)),
        ("0002_001_S6_00800_00060_3200_N", (65, 63)),
        ("0003_002_GP_10000_00060_3200_N", (48, 80)),
        ("0004_003_IP_01600_00060_3200_H", (1030, 1040)),
    ):
        clean = np.repeat(rng.integers(40, 200, (*shape, 1), np.uint8), 3, axis=2)
        noise = rng.normal(-16, 12, clean.shape)
        noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
        for side, picture in (("noisy", noisy), ("clean", clean)):
            write_picture(tmp_path / "sidd" / "valid" / side / f"{name}.png", picture)
        pictures[name] = noisy, clean
    return tmp_path / "sidd" / "valid", pictures


def expected(noisy, clean):
    """PSNR and SSIM of a network that adds SHIFT: denoised, then noisy."""
    denoised = np.clip(noisy.astype(int) + 16, 0, 255).astype(np.uint8)
    return (
        peak_signal_noise_ratio(clean, denoised, data_range=255),
        peak_signal_noise_ratio(clean, noisy, data_range=255),
        structural_similarity(clean, denoised, channel_axis=2, data_range=255),
    )


def test_figures_are_those_of_another_library(make_run, sidd_pairs, quietcam, tmp_path):
    folder, pictures = sidd_pairs
    run = make_run(shift=SHIFT)
    code, shown = quietcam("evaluate", run, "--data", folder, "--json", tmp_path / "e.json", "--pictures", 1)
    assert code == 0, shown
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["sides"] == {"sidd/valid": "all"}
    pairs = {pair["name"]: pair for pair in told["pairs"]}
    for name, (noisy, clean) in pictures.items():
        crops = [key for key in pairs if key.startswith(name)]
        assert len(crops) == (4 if noisy.size > 3 << 20 else 1)
        for key in crops:
            at = np.s_[:, :]
            if "@" in key:
                x, y = map(int, key.partition("@")[2].split(","))
                at = np.s_[y : y + 512, x : x + 512]
            psnr, noisy_psnr, ssim = expected(noisy[at], clean[at])
            assert pairs[key]["psnr"] == pytest.approx(psnr, abs=1e-4)
            assert pairs[key]["noisy_psnr"] == pytest.approx(noisy_psnr, abs=1e-4)
            assert pairs[key]["ssim"] == pytest.approx(ssim, abs=1e-5)
    values = [pair["psnr"] for pair in told["pairs"]]
    assert told["psnr"] == pytest.approx(np.mean(values), abs=1e-5)
    groups = told["sets"]["sidd/valid"]["groups"]
    assert list(groups["iso"]) == ["up to 100", "401-1600", "above 6400"]
    assert groups["iso"]["401-1600"]["pictures"] == 5
    assert {name: each["pictures"] for name, each in groups["phone"].items()} == {
        "GP (Google Pixel)": 1,
        "IP (iPhone 7)": 4,
        "S6 (Galaxy S6 Edge)": 2,
    }
    s6 = [pairs[name]["psnr"] for name in pairs if "_S6_" in name]
    assert groups["phone"]["S6 (Galaxy S6 Edge)"]["psnr"] == pytest.approx(np.mean(s6), abs=1e-5)
    assert list(groups["brightness"]) == ["low light", "normal light", "high light"]
    assert "  ISO 401-1600" in shown


def test_pictures_are_the_worst_the_least_and_the_typical(make_run, sidd_pairs, quietcam):
    folder, pictures = sidd_pairs
    run = make_run(shift=SHIFT)
    assert quietcam("evaluate", run, "--data", folder, "--pictures", 1)[0] == 0
    made = sorted(path.name for path in (run / "evaluation").iterdir())
    assert made == ["index.html", "least_gain_1.png", "typical_1.png", "worst_1.png"]
    page = (run / "evaluation" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page.replace("http://www.w3.org", "")
    strip = cv2.imread(str(run / "evaluation" / "worst_1.png"))[..., ::-1]
    noisy, denoised, clean = np.split(strip, 3, axis=1)
    np.testing.assert_array_equal(denoised, np.clip(noisy.astype(int) + 16, 0, 255))
    small = [pair for pair in pictures.values() if pair[0].shape == noisy.shape]
    if small:
        np.testing.assert_array_equal(clean, small[0][1])


def test_the_side_is_the_one_that_the_run_never_saw(make_run, sidd_pairs, quietcam, tmp_path):
    folder = sidd_pairs[0]
    run = make_run()
    name = "sidd/valid"

    def trained_on(scenes):
        write_evaluation(run, replace(read_evaluation(run), data={"sources": [name], "scenes": scenes}))

    trained_on({"train": ["001", "002", "003"], "validation": [], "test": []})
    code, shown = quietcam("evaluate", run, "--data", folder)
    assert code == 2
    assert "all of which it was trained on. Remedy: name other data" in shown
    assert quietcam("evaluate", run, "--data", folder, "--split", "all", "--pictures", 0)[0] == 0
    trained_on({"train": ["001", "003"], "validation": [], "test": ["002"]})
    config = (run / "config.toml").read_text().replace('split = ""', 'split = "test=002,validation=0"')
    (run / "config.toml").write_text(config)
    assert quietcam("evaluate", run, "--data", folder, "--pictures", 0, "--json", tmp_path / "e.json")[0] == 0
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["sides"] == {name: "test:test=002,validation=0"}
    assert [pair["name"][:8] for pair in told["pairs"]] == ["0003_002"]


def test_what_is_refused(make_run, pair_folder, quietcam, tmp_path):
    run = make_run()
    code, shown = quietcam("evaluate", tmp_path / "nowhere", "--data", pair_folder)
    assert (code, "A run directory must contain config.toml and model.keras" in shown) == (2, True)
    code, shown = quietcam("evaluate", run, "--data", pair_folder, "--data", pair_folder)
    assert (code, "The last two parts of a path name a data set" in shown) == (2, True)
    code, shown = quietcam("evaluate", run, "--data", pair_folder, "--min-gain", 3, "--pictures", 0)
    assert (code, "The network must gain at least 3 dB on every data set. Received: 0.00 on" in shown) == (3, True)
    other = make_run("other", Architecture(stem=2, widths=(16, 16), depths=(1, 1)))
    (other / "model.keras").write_bytes((run / "model.keras").read_bytes())
    code, shown = quietcam("evaluate", other, "--data", pair_folder)
    assert (code, "must hold the network that its config.toml describes" in shown) == (1, True)
    deeper = make_run("deeper", Architecture(stem=2, widths=(8, 16), depths=(1, 2)))
    shallow = make_run("shallow")
    (shallow / "model.keras").write_bytes((deeper / "model.keras").read_bytes())
    code, shown = quietcam("evaluate", shallow, "--data", pair_folder)
    assert (code, "down1_1 beside them" in shown) == (1, True)
    assert "Traceback" not in shown


def test_a_network_that_is_worse_than_the_noisy_picture_is_said_to_be(make_run, pair_folder, quietcam):
    run = make_run(shift=0.2)  # 51 steps of 255 too bright: a PSNR of 14 at most
    code, shown = quietcam("evaluate", run, "--data", pair_folder, "--split", "all", "--pictures", 0)
    assert code == 0
    assert "dB worse than the noisy picture on" in shown
    assert "Remedy: train it longer" in " ".join(shown.split())
    _, shown = quietcam("evaluate", make_run("as-is"), "--data", pair_folder, "--split", "all", "--pictures", 0)
    assert "worse than the noisy picture" not in shown


def test_what_training_leaves_is_said_to_be_worse_where_it_is(tiny, crops, tmp_path, caplog):
    model = build(tiny)
    noisy = float(np.mean([psnr(a, b) for a, b in zip(crops.noisy, crops.clean, strict=True)]))
    told = {"noisy_validation_psnr": noisy, "validation_crops": len(crops.noisy), "noisy_by_set": {"own": noisy - 0.01}}
    data = SimpleNamespace(validation={"own": crops}, origin=told)
    bias = model.get_layer("residual").bias
    for shift, worse in ((0.0, False), (0.2, True)):  # nothing done; 51 steps of 255 too bright
        bias.assign([shift] * bias.shape[0])
        finish_run(tmp_path, model, data, RunConfig(tiny), Treatments(), Beginning("train", None, {}), [])
        assert ("dB worse than the noisy picture on own" in caplog.text) is worse


@pytest.mark.slow
def test_gray_all_the_way(pair_folder, quietcam, tmp_path):
    """One channel through train, both prunings, QAT and evaluate."""
    config = tmp_path / "gray.toml"
    config.write_text(
        "[model]\nchannels = 1\nwidths = [16, 16]\ndepths = [1, 1]\n[training]\npatch = 32\nbatch = 4\nsteps = 8\n"
        "crop = 64\n[pruning]\nsteps = 20\nminutes = 1.0\n[qat]\nsteps = 6\n"
    )
    data = ("--data", pair_folder)
    for words in (
        ("train", config, *data, "--out", tmp_path / "run"),
        ("prune", tmp_path / "run", *data, "--channels", "0.3", "--importance", "l1"),
        ("prune", tmp_path / "run-narrow", *data, "--sparsity", "0.5", "--no-scan"),
        ("train", tmp_path / "run-narrow-pruned", "--qat", *data),
        ("evaluate", tmp_path / "run-narrow-pruned-qat", *data, "--split", "all", "--json", tmp_path / "e.json"),
    ):
        code, shown = quietcam(*words)
        assert code == 0, shown
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["pictures"] == 8
    assert told["model"]["sparsity"] == pytest.approx(0.5, abs=0.02)
    pair = find_pairs(pair_folder).pairs[0]
    noisy, clean = (cv2.imread(str(Path(str(side))), cv2.IMREAD_GRAYSCALE) for side in (pair.noisy, pair.clean))
    by_hand = peak_signal_noise_ratio(clean, noisy, data_range=255)
    assert next(p for p in told["pairs"] if p["name"] == pair.name)["noisy_psnr"] == pytest.approx(by_hand, abs=0.02)
    strip = cv2.imread(str(tmp_path / "run-narrow-pruned-qat" / "evaluation" / "worst_1.png"), cv2.IMREAD_UNCHANGED)
    assert strip.shape == (64, 3 * 64)

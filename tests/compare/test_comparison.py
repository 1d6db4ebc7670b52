"""The comparison's numbers, computed once more from files, scikit-image and LiteRT."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections import Counter
from contextlib import ExitStack

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter as LiteRt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from compare.classic import FILTERS
from compare.comparison import compare_pairs
from compare.regions import REGIONS, classify
from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import get_recipe
from edge.network.denoiser import Denoiser
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.data.sets.sidd import Instance
from quietcam.errors import MissingExtraError, ModelError, UsageError
from quietcam.tflite.manifest import read_manifest, strip_manifest
from tests.tiny_network import noisy_pictures


@pytest.fixture(scope="module")
def pairs(pair_folder):
    return find_pairs(pair_folder).pairs


def scores_of(*arguments, **options):
    """Without blame, which has tests of its own."""
    return compare_pairs(*arguments, **{"with_blame": False, **options}).scores


@pytest.fixture(scope="module")
def compared(model_files, pairs):
    return compare_pairs(list(model_files.values()), pairs, data="blocks", classic=["blur"], max_drop=20.0)


@pytest.fixture(scope="module")
def comparison(compared):
    return compared.scores


def _denoised(path, pairs):
    interpreter = LiteRt(model_path=str(path))
    interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for pair in pairs:
        noisy, clean = pair.read()
        if entrance["dtype"] == np.int8:
            interpreter.set_tensor(entrance["index"], (noisy.astype(int) - 128).astype(np.int8)[None])
        else:
            interpreter.set_tensor(entrance["index"], (noisy / 255).astype(np.float32)[None])
        interpreter.invoke()
        out = interpreter.get_tensor(exit_["index"])[0]
        is_int8 = out.dtype == np.int8
        pixels = out.astype(int) + 128 if is_int8 else np.clip(np.round(out * 255), 0, 255)
        yield pixels.astype(np.uint8), clean


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_quality_is_that_of_scikit_image_on_what_litert_gives(comparison, model_files, pairs, recipe):
    row = comparison.row(f"tiny_64x64_{recipe}")
    results = list(_denoised(model_files[recipe], pairs))
    psnr = [peak_signal_noise_ratio(clean, denoised, data_range=255) for denoised, clean in results]
    ssim = [structural_similarity(clean, denoised, channel_axis=2, data_range=255) for denoised, clean in results]
    assert row.psnr == pytest.approx(np.mean(psnr), abs=1e-6)
    assert row.ssim == pytest.approx(np.mean(ssim), abs=1e-6)
    assert [pair.psnr[row.name] for pair in comparison.pairs] == pytest.approx(psnr, abs=1e-6)
    assert [pair.ssim[row.name] for pair in comparison.pairs] == pytest.approx(ssim, abs=1e-6)


def test_gain_and_drop_are_differences_of_means(comparison):
    noisy, _, floating, quantized = comparison.rows
    assert [row.kind for row in comparison.rows] == ["noisy", "classic", "model", "model"]
    assert comparison.reference == floating.name == "tiny_64x64_float32"
    assert floating.drop is None
    assert quantized.drop == pytest.approx(floating.psnr - quantized.psnr, abs=1e-3)
    assert quantized.gain == pytest.approx(quantized.psnr - noisy.psnr, abs=1e-3)
    assert noisy.gain == 0


def test_differences_of_pixels_are_counted(comparison, model_files, pairs):
    floats = np.stack([denoised for denoised, _ in _denoised(model_files["float32"], pairs)])
    codes = np.stack([denoised for denoised, _ in _denoised(model_files["int8"], pairs)])
    steps = np.abs(floats.astype(int) - codes)
    found = comparison.row("tiny_64x64_int8").difference
    assert found.largest == steps.max()
    assert found.equal == pytest.approx(np.mean(steps == 0), abs=1e-5)
    assert found.within_1 == pytest.approx(np.mean(steps <= 1), abs=1e-5)
    assert found.within_2 == pytest.approx(np.mean(steps <= 2), abs=1e-5)


def test_costs_are_those_of_the_file(comparison, model_files):
    row = comparison.row("tiny_64x64_int8")
    content = model_files["int8"].read_bytes()
    assert row.bytes == len(content)
    assert row.bytes_gzipped == len(gzip.compress(content, 9))
    assert row.int8_share == 1.0
    assert row.recipe == "int8"
    assert row.ms > 0
    assert row.manifest["sha256"]


def test_costs_come_from_the_manifest_where_the_schema_is_not_installed(model_files, pairs, monkeypatch):
    def missing(*_):
        raise MissingExtraError.of("edge", "ai_edge_litert")

    monkeypatch.setattr("compare.costs.read_graph", missing)
    row = scores_of([model_files["int8"]], pairs[:1]).models[0]
    manifest = read_manifest(model_files["int8"])
    assert (row.gmacs_256, row.sparsity) == (manifest.gmacs_256, manifest.sparsity)
    assert row.int8_share is None


def test_the_filter_has_its_best_strength_on_each_picture(comparison, pairs):
    blur = FILTERS["blur"]
    best = []
    for pair in pairs:
        noisy, clean = pair.read()
        sigmas = blur.axes["sigma"]
        tried = [peak_signal_noise_ratio(clean, blur.apply(noisy, sigma), data_range=255) for sigma in sigmas]
        best.append((max(tried), sigmas[int(np.argmax(tried))]))
    row = comparison.row("blur")
    assert row.psnr == pytest.approx(np.mean([value for value, _ in best]), abs=1e-6)
    counted = Counter(f"{strength:g}" for _, strength in best)
    assert row.strengths == dict(counted)


def test_a_filter_of_two_axes_tells_both(model_files, pairs):
    found = scores_of([model_files["int8"]], pairs, data="blocks", classic=["bilateral"], limit=2)
    row = found.row("bilateral")
    assert row.title == "Bilateral filter, best color and space each"
    settings = [tuple(map(float, each.split(", "))) for each in row.strengths]
    assert all(
        color in (axes := FILTERS["bilateral"].axes)["color"] and space in axes["space"] for color, space in settings
    )
    assert row.strength == min(color for color, _ in settings)  # the lower median of two
    assert sum(row.strengths.values()) == 2


def test_bias_regions_and_lights_are_sums_over_pixels(comparison, model_files, pairs):
    errors, regions, levels = [], [], []
    for (denoised, clean), _ in zip(_denoised(model_files["int8"], pairs), pairs, strict=True):
        errors.append(denoised.astype(float) - clean)
        regions.append(classify(clean))
        levels.append(np.rint(clean @ np.array([0.299, 0.587, 0.114])))
    error, region, level = np.stack(errors), np.stack(regions), np.stack(levels)
    row = comparison.row("tiny_64x64_int8")
    assert row.bias == pytest.approx(error.mean(axis=(0, 1, 2)), abs=1e-4)
    for number, name in enumerate(REGIONS):
        inside = region == number
        found = row.regions[name]
        assert found.share == pytest.approx(inside.mean(), abs=1e-5)
        if inside.any():
            assert found.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(error[inside] ** 2)), abs=1e-4)
            assert found.bias == pytest.approx(error[inside].mean(axis=0), abs=1e-4)
    dark = level < 64
    assert row.lights["shadows"].share == pytest.approx(dark.mean(), abs=1e-5)
    assert row.lights["shadows"].psnr == pytest.approx(10 * np.log10(255**2 / np.mean(error[dark] ** 2)), abs=1e-4)
    floating = comparison.row("tiny_64x64_float32").lights["shadows"]
    assert row.lights["shadows"].drop == pytest.approx(floating.psnr - row.lights["shadows"].psnr, abs=1e-5)


def test_groups_are_means_over_their_pictures(model_files, pairs):
    names = ("0001_001_S6_00100_00060_3200_L", "0002_001_GP_00100_00060_3200_N", "0003_001_GP_01600_00060_3200_N")
    named = [dataclasses.replace(pair, instance=Instance.parse(name)) for pair, name in zip(pairs, names, strict=False)]
    comparison = scores_of(list(model_files.values()), named)
    row = comparison.row("tiny_64x64_int8")
    each = [pair.psnr[row.name] for pair in comparison.pairs]
    floats = [pair.psnr[row.reference] for pair in comparison.pairs]
    assert list(row.groups["iso"]) == ["up to 100", "401-1600"]
    low = row.groups["iso"]["up to 100"]
    assert (low.pictures, low.psnr) == (2, pytest.approx(np.mean(each[:2]), abs=1e-6))
    assert low.drop == pytest.approx(np.mean(floats[:2]) - np.mean(each[:2]), abs=1e-6)
    assert row.groups["phone"]["GP (Google Pixel)"].psnr == pytest.approx(np.mean(each[1:]), abs=1e-6)
    assert row.groups["brightness"]["low light"].pictures == 1
    noisy = comparison.rows[0]
    assert low.gain == pytest.approx(low.psnr - noisy.groups["iso"]["up to 100"].psnr, abs=1e-6)


def test_the_worst_patches_are_those_of_a_search_through_all(model_files, tmp_path):
    for index, (noisy, clean) in enumerate(zip(*noisy_pictures(3, 200, seed=5), strict=True)):
        write_picture(tmp_path / "noisy" / f"{index}.png", noisy)
        write_picture(tmp_path / "clean" / f"{index}.png", clean[:, :])
    pairs = find_pairs(tmp_path).pairs
    found = compare_pairs(list(model_files.values()), pairs, with_blame=False)
    errors, growth = [], []
    with ExitStack() as stack:
        floating, quantized = (stack.enter_context(Denoiser(model_files[each])) for each in ("float32", "int8"))
        for pair in pairs:
            noisy, clean = pair.read()
            pictures = [(each.denoise(noisy).astype(float) - clean) ** 2 for each in (floating, quantized)]
            for y in range(0, 200, 64):
                for x in range(0, 200, 64):
                    one, other = (each[y : y + 64, x : x + 64].mean() for each in pictures)
                    errors.append((other, pair.name, x, y))
                    growth.append((other - one, pair.name, x, y))
    for kept, expected in ((found.worst, errors), (found.costliest, growth)):
        wanted = [(name, x, y) for _, name, x, y in sorted(expected, reverse=True)[:10]]
        assert [(each.score.sample, *each.score.box[:2]) for each in kept] == wanted
    patch = found.worst[0]
    x0, y0, x1, y1 = patch.score.box
    clean = next(pair for pair in pairs if pair.name == patch.score.sample).read()[1]
    np.testing.assert_array_equal(patch.pictures["clean"], clean[y0:y1, x0:x1])
    worst = 10 * np.log10(255**2 / max(errors)[0])
    assert patch.score.psnr["tiny_64x64_int8"] == pytest.approx(worst, abs=1e-3)
    assert [each.score for each in found.worst] == found.scores.worst


def test_the_report_is_plain_json(comparison):
    report = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert report["format"] == 3
    assert [row["name"] for row in report["rows"]] == ["noisy", "blur", "tiny_64x64_float32", "tiny_64x64_int8"]
    assert len(report["pairs"]) == 5


def test_blame_stands_in_the_report(comparison):
    (blamed,) = comparison.blame
    assert (blamed.model, blamed.reference) == ("tiny_64x64_int8", "tiny_64x64_float32")
    assert {"down0_0", "down1_0", "residual"} <= {layer.name for layer in blamed.layers}
    assert blamed.verdict
    assert comparison.notes == []


def test_the_report_is_about_the_first_network_that_is_given(model_files, pairs, tmp_path):
    turned = scores_of([model_files["int8"], model_files["float32"]], pairs[:1])
    assert turned.reference == "tiny_64x64_float32"
    assert turned.subject.name == "tiny_64x64_int8"
    assert turned.subject.difference is not None
    alone = scores_of([model_files["int8"]], pairs[:1])
    assert (alone.reference, alone.subject.drop, alone.notes) == (None, None, [])
    peer = tmp_path / "peer.tflite"
    peer.write_bytes(strip_manifest(model_files["int8"].read_bytes()))
    for models, subject in (
        ([peer, *model_files.values()], "peer"),
        ([*model_files.values(), peer], "tiny_64x64_int8"),  # the float twin stands first: one network
        ([model_files["float32"], peer], "tiny_64x64_float32"),
    ):
        assert scores_of(models, pairs[:1]).subject.name == subject


@pytest.fixture(scope="module")
def with_keras(run_folder, model_files, pairs):
    return compare_pairs([run_folder, model_files["int8"], model_files["float32"]], pairs, data="blocks")


def test_a_keras_run_stands_beside_tflite(with_keras, run_folder):
    keras_row, quantized, floating = with_keras.scores.models
    assert (keras_row.name, keras_row.recipe) == ("tiny", "keras")
    # The float conversion is the same network: at most a rounding apart.
    assert floating.difference.against == "tiny"
    assert floating.difference.largest <= 1
    assert keras_row.psnr == pytest.approx(floating.psnr, abs=0.01)
    assert (quantized.reference, keras_row.drop, keras_row.ms) == ("tiny", None, None)
    assert keras_row.parameters == floating.parameters
    assert keras_row.gmacs_256 == pytest.approx(floating.gmacs_256, rel=0.02)
    assert keras_row.bytes == (run_folder / "model.keras").stat().st_size
    assert [(each.model, each.reference) for each in with_keras.scores.blame] == [(quantized.name, "tiny")]
    assert with_keras.scores.tools["tensorflow"]


def test_keras_alone_and_qat_are_compared_too(run_folder, qat_file, pairs):
    comparison = scores_of([run_folder, qat_file], pairs[:1])
    assert (comparison.width, comparison.height) == (256, 256)
    qat = comparison.row("qat")
    assert (qat.is_quantized, qat.reference, qat.recipe) == (True, "tiny", "keras QAT")  # the same weights
    assert qat.drop is not None


def test_layers_that_cannot_be_matched_are_a_note_and_no_failure(model_files, pairs, monkeypatch):
    def refuse(*_, **__):
        raise ModelError("A quantized model and its float twin must have the same layers.")

    monkeypatch.setattr("compare.comparison.blame", refuse)
    comparison = compare_pairs(list(model_files.values()), pairs[:1]).scores
    assert comparison.blame == []
    assert "tiny_64x64_int8 were not compared" in comparison.notes[0]


def test_models_of_one_name_stay_apart(model_files, pairs, tmp_path):
    copy = tmp_path / model_files["int8"].name
    copy.write_bytes(model_files["int8"].read_bytes())
    names = [row.name for row in scores_of([model_files["int8"], copy, copy], pairs[:1]).models]
    assert len(set(names)) == 3
    assert all(name.split(" #")[0].endswith("tiny_64x64_int8") for name in names)


def test_equal_pictures_keep_the_report_finite(model_files, pairs):
    pair = dataclasses.replace(pairs[0], clean=pairs[0].noisy)
    assert scores_of([model_files["int8"]], [pair]).rows[0].psnr == 100.0


def test_other_frame_sizes_are_refused(model_files, loaded, pairs, tmp_path):
    other = convert_model(loaded, get_recipe("float32"), width=80, height=64)
    path = write_model(tmp_path, other.content, describe(other, loaded, "other", None))
    with pytest.raises(UsageError, match=r"the same frame size.*80x64.*Remedy: "):
        compare_pairs([model_files["int8"], path], pairs)


@pytest.mark.parametrize("length", [0, 50, 3000])
def test_a_model_that_is_cut_short_is_refused(model_files, pairs, tmp_path, length):
    path = tmp_path / "cut.tflite"
    path.write_bytes(model_files["int8"].read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.tflite"):
        compare_pairs([path], pairs)

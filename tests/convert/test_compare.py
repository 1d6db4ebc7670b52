"""The comparison's numbers, computed once more from files, scikit-image and LiteRT."""

from __future__ import annotations

import dataclasses
import gzip
import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter as LiteRt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from convert.compare import compare
from convert.converter import convert_model, describe
from convert.files import write_model
from convert.recipes import get_recipe
from quietcam.data.pairs import find_pairs, read_pair
from quietcam.errors import MissingExtraError, ModelError, UsageError
from quietcam.manifest import read_manifest, strip_manifest


@pytest.fixture(scope="module")
def pairs(pair_folder):
    return find_pairs(pair_folder).pairs


@pytest.fixture(scope="module")
def comparison(model_files, pairs):
    return compare(list(model_files.values()), pairs, data="blocks", classic=["blur"])


def _denoised(path, pairs):
    interpreter = LiteRt(model_path=str(path))
    interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for pair in pairs:
        noisy, clean = read_pair(pair)
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
    assert row.psnr == pytest.approx(np.mean(psnr), abs=1e-3)
    assert row.ssim == pytest.approx(np.mean(ssim), abs=1e-4)
    assert [pair.psnr[row.name] for pair in comparison.pairs] == pytest.approx(psnr, abs=1e-3)


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

    monkeypatch.setattr("convert.costs.read_graph", missing)
    row = compare([model_files["int8"]], pairs[:1]).models[0]
    manifest = read_manifest(model_files["int8"])
    assert (row.gmacs_256, row.sparsity) == (manifest.gmacs_256, manifest.sparsity)
    assert row.int8_share is None


def test_the_filter_stands_at_its_best_strength(comparison):
    row = comparison.row("blur")
    assert row.psnr == pytest.approx(max(row.strengths.values()), abs=1e-3)
    assert row.strengths[f"{row.strength:g}"] == max(row.strengths.values())
    assert row.psnr_each >= row.psnr


def test_the_report_is_plain_json(comparison):
    report = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert report["format"] == 1
    assert [row["name"] for row in report["rows"]] == ["noisy", "blur", "tiny_64x64_float32", "tiny_64x64_int8"]
    assert len(report["pairs"]) == 5


def test_the_gate_is_about_drops_of_models_alone(comparison):
    drop = comparison.row("tiny_64x64_int8").drop
    assert comparison.drops_above(drop + 0.001) == []
    assert [row.name for row in comparison.drops_above(drop - 0.001)] == ["tiny_64x64_int8"]


def test_the_subject_is_the_quantized_model_wherever_it_stands(model_files, pairs):
    turned = compare([model_files["int8"], model_files["float32"]], pairs[:1])
    assert turned.reference == "tiny_64x64_float32"
    assert turned.subject.name == "tiny_64x64_int8"
    assert turned.subject.difference is not None
    alone = compare([model_files["int8"]], pairs[:1])
    assert alone.reference is None
    assert alone.subject.drop is None


def test_a_second_float_model_is_a_peer_and_not_gated(model_files, pairs, tmp_path):
    peer = tmp_path / "peer.tflite"
    peer.write_bytes(strip_manifest(model_files["float32"].read_bytes()))
    comparison = compare([*model_files.values(), peer], pairs[:1])
    assert comparison.row("peer").drop is None
    assert comparison.row("peer").difference is None
    assert comparison.subject.name == "tiny_64x64_int8"
    assert [row.name for row in comparison.drops_above(-100)] == ["tiny_64x64_int8"]


def test_models_of_one_name_stay_apart(model_files, pairs, tmp_path):
    copy = tmp_path / model_files["int8"].name
    copy.write_bytes(model_files["int8"].read_bytes())
    names = [row.name for row in compare([model_files["int8"], copy, copy], pairs[:1]).models]
    assert len(set(names)) == 3
    assert all(name.split(" #")[0].endswith("tiny_64x64_int8") for name in names)


def test_equal_pictures_keep_the_report_finite(model_files, pairs):
    pair = dataclasses.replace(pairs[0], clean=pairs[0].noisy)
    assert compare([model_files["int8"]], [pair]).rows[0].psnr == 100.0


def test_other_frame_sizes_are_refused(model_files, loaded, pairs, tmp_path):
    other = convert_model(loaded, get_recipe("float32"), width=80, height=64)
    path = write_model(tmp_path, other.content, describe(other, loaded, "other", None))
    with pytest.raises(UsageError, match=r"one frame size.*80x64.*Remedy"):
        compare([model_files["int8"], path], pairs)


def test_a_drop_needs_a_float_model(model_files, pairs):
    with pytest.raises(UsageError, match="float"):
        compare([model_files["int8"]], pairs, needs_reference=True)


@pytest.mark.parametrize("length", [0, 50, 3000])
def test_a_model_that_is_cut_short_is_refused(model_files, pairs, tmp_path, length):
    path = tmp_path / "cut.tflite"
    path.write_bytes(model_files["int8"].read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.tflite"):
        compare([path], pairs)

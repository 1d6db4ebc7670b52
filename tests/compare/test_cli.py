"""The command compare as a user types it: tables, reports, the gate, bad input, and a device without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from convert.converter import convert_model, describe
from convert.files import write_model
from convert.quantize.ranges import RangeRule
from convert.quantize.scheme import Scheme
from convert.recipes import get_recipe
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.tflite.manifest import Manifest, attach_manifest, read_manifest, strip_manifest
from quietcam.tflite.packing import pack, schema
from tests.tiny_network import SIZE

ROOT = Path(__file__).parents[2]
# What the extra `edge` does not bring.
_BLOCKED = ("tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "scipy", "h5py", "skimage")
_ON_A_DEVICE = f"""if True:
    import sys
    for module in {_BLOCKED!r}:
        sys.modules[module] = None
    from quietcam.app.cli import run
    sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def model_files(conversions, loaded, representative, tmp_path_factory):
    """As everywhere, but int8 with ranges cut far too close: by default so small a network may lose nothing."""
    folder = tmp_path_factory.mktemp("lossy")
    lossy = convert_model(
        loaded,
        get_recipe("int8"),
        width=SIZE,
        height=SIZE,
        representative=representative,
        scheme=Scheme(RangeRule(0.05), bias=False),
    )
    made = {"float32": conversions["float32"], "int8": lossy}
    return {
        name: write_model(folder, each.content, describe(each, loaded, "tiny", representative))
        for name, each in made.items()
    }


@pytest.fixture(scope="module")
def sidd_folder(pair_folder, tmp_path_factory):
    """The pairs under SIDD's names: three of ISO 100, two of ISO 3200."""
    folder = tmp_path_factory.mktemp("sidd")
    for index, path in enumerate(sorted((pair_folder / "noisy").iterdir())):
        iso = 100 if index < 3 else 3200
        for side in ("noisy", "clean"):
            name = f"{index:04d}_001_S6_{iso:05d}_00060_3200_L.png"
            write_picture(folder / side / name, read_picture(pair_folder / side / path.name))
    return folder


def test_compare_shows_writes_and_gates(model_files, sidd_folder, tmp_path, capsys):
    models = [str(path) for path in model_files.values()]
    arguments = ["compare", *models, "--data", str(sidd_folder), "--classic", "blur"]
    reports = ["--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]
    assert run([*arguments, *reports, "--max-drop", "20"]) == 0
    shown = capsys.readouterr().out
    words = ("Noisy", "Gaussian blur", "tiny_64x64_int8", "PSNR", "gzipped", "1601-6400", "texture", "low light")
    for word in (*words, "holds   tiny_64x64_int8, all (5 pictures)", "ISO up to 100 (3 pictures)"):
        assert word in shown
    assert "ISO 1601-6400 (2" not in shown  # too few to be gated
    report = json.loads((tmp_path / "c.json").read_text())
    assert report["reference"] == "tiny_64x64_float32"
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")

    drop = next(row["drop"] for row in report["rows"] if row["drop"] is not None)
    assert drop > 0
    (tmp_path / "c.json").unlink()
    assert run([*arguments, *reports, "--max-drop", str(drop / 2), "--max-drop-iso", "20"]) == 3
    captured = capsys.readouterr()
    assert "MISSED  tiny_64x64_int8, all" in captured.out
    assert "tiny_64x64_int8 loses" in captured.err
    report = json.loads((tmp_path / "c.json").read_text())  # the reports are what tells why
    assert [check["holds"] for check in report["gate"]] == [False, True]


def test_one_iso_bucket_is_enough_to_miss_the_gate(model_files, sidd_folder, capsys):
    models = [str(path) for path in model_files.values()]
    arguments = ["compare", *models, "--data", str(sidd_folder), "--no-blame", "--max-drop", "20"]
    assert run([*arguments, "--max-drop-iso", "0"]) == 3
    assert "ISO up to 100, at most 0" in capsys.readouterr().err


def test_on_a_device_everything_works_without_tensorflow(model_files, pair_folder, tmp_path):
    arguments = [
        "compare",
        *map(str, model_files.values()),
        "--data",
        str(pair_folder),
        "--classic",
        "nlm",
        "--classic",
        "bilateral",
    ]
    arguments += ["--html", "r.html", "--json", "r.json", "--max-drop", "20", "--limit", "2"]
    command = [sys.executable, "-c", _ON_A_DEVICE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["blame"][0]["layers"]
    assert report["notes"] == []
    assert (tmp_path / "r.html").read_text().count("<img") > 20


def test_on_a_device_a_keras_file_says_which_extra_it_needs(run_folder, model_files, pair_folder):
    command = [sys.executable, "-c", _ON_A_DEVICE, "compare", str(run_folder), str(model_files["int8"])]
    command += ["--data", str(pair_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "quietcam[train]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_but_our_own_words_reaches_the_terminal(run_folder, model_files, pair_folder):
    command = [sys.executable, "-m", "quietcam", "compare", str(run_folder), str(model_files["int8"])]
    command += ["--data", str(pair_folder), "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {line.split(":")[0] for line in done.stderr.splitlines()} <= {"Comparing", "Timing", "Comparing layers"}


def test_json_on_the_standard_output_is_alone_there(model_files, pair_folder, capsys):
    assert run(["compare", str(model_files["int8"]), "--data", str(pair_folder), "--limit", "1", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["pairs"]) == 1
    assert "PSNR" in captured.err


def test_every_key_of_the_report_is_described(model_files, sidd_folder, tmp_path):
    models = [str(path) for path in model_files.values()]
    arguments = ["compare", *models, "--data", str(sidd_folder), "--classic", "blur", "--max-drop", "20"]
    assert run([*arguments, "--json", str(tmp_path / "c.json")]) == 0
    described = set(
        re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs" / "reference" / "comparison.md").read_text(encoding="utf-8"))
    )
    # Where keys are data: names of rows, values of groups, steps, percents, and another document.
    free = {"groups", "iso", "phone", "brightness", "strengths", "histogram", "percentiles", "psnr", "ssim", "tools"}

    def keys(value, inside=""):
        if isinstance(value, list):
            for each in value:
                yield from keys(each, inside)
        elif isinstance(value, dict) and inside != "manifest":
            for key, each in value.items():
                if inside not in free and inside not in ("regions", "lights"):
                    yield key
                yield from keys(each, key)

    missing = set(keys(json.loads((tmp_path / "c.json").read_text()))) - described
    assert missing == set()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["MODEL", "--data", "absent"], 2, "absent"),
        (["absent.tflite", "--data", "PAIRS"], 2, "absent.tflite"),
        (["absent.keras", "--data", "PAIRS"], 2, "absent.keras"),
        (["bad.npz", "--data", "PAIRS"], 1, "bad.npz"),
        (["bad.keras", "--data", "PAIRS"], 1, "bad.keras"),
        (["empty", "--data", "PAIRS"], 2, "without model.keras"),
        (["MODEL", "--data", "."], 1, "noisy"),
        (["MODEL", "--data", "PAIRS", "--max-drop", "-1"], 2, "--max-drop"),
        (["MODEL", "--data", "PAIRS", "--max-drop", "nan"], 2, "--max-drop"),
        (["MODEL", "--data", "PAIRS", "--max-drop", "0.1"], 2, "float32"),
        (["MODEL", "--data", "PAIRS", "--max-drop-iso", "0.1"], 2, "--max-drop DB"),
        (["MODEL", "--data", "PAIRS", "--limit", "1", "--html", "bad.npz/r.html"], 1, "bad.npz"),
        (["dynamic.tflite", "--data", "PAIRS"], 1, "a fixed size"),
        (["outputs.tflite", "--data", "PAIRS"], 1, "outputs=3"),
        (["unknown.tflite", "--data", "PAIRS"], 1, "unknown.tflite"),
        (["cut.tflite", "--data", "PAIRS"], 1, "cut short"),
        (["scale.tflite", "--data", "PAIRS"], 1, "pixel identity"),
        (["changed.tflite", "--data", "PAIRS"], 1, "SHA-256"),
        (["large.tflite", "MODEL", "--data", "PAIRS"], 2, "the same frame size"),
    ],
)
def test_mistakes_get_one_line_and_the_contracts_code(bad_files, arguments, code, words, monkeypatch, capsys):
    folder, named = bad_files
    monkeypatch.chdir(folder)
    assert run(["compare", *(named.get(each, each) for each in arguments)]) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert words in line
    assert "Remedy" in line or "choose another place" in line
    assert "Traceback" not in line


@pytest.fixture(scope="module")
def bad_files(model_files, pair_folder, tmp_path_factory):
    """A folder of everything that can be wrong with a model file."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("bad.npz", "bad.keras"):
        (folder / name).write_text("not what it should be")
    (folder / "empty").mkdir()

    def network(x):
        return tf.clip_by_value(x + tf.abs(x), 0.0, 1.0)

    shape = [1, 32, 32, 3]
    (folder / "dynamic.tflite").write_bytes(_convert(network, [1, None, None, 3]))
    (folder / "outputs.tflite").write_bytes(_convert(lambda x: (network(x), tf.abs(x), x * 2.0), shape))
    (folder / "large.tflite").write_bytes(_convert(network, shape))
    content = model_files["int8"].read_bytes()
    bare = strip_manifest(content)
    (folder / "cut.tflite").write_bytes(bare[: len(bare) // 2])
    manifest: Manifest = read_manifest(model_files["int8"])
    (folder / "changed.tflite").write_bytes(bare)
    wrong = dataclasses.replace(manifest, sha256="0" * 64).to_dict()
    (folder / "changed.json").write_text(json.dumps(wrong))

    def unknown(model):
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
        code.customCode = b"Frobnicate"

    def scale(model):
        for index in model.subgraphs[0].inputs:
            model.subgraphs[0].tensors[index].quantization.scale = np.array([0.01], np.float32)

    for name, change in (("unknown", unknown), ("scale", scale)):
        model = schema().ModelT.InitFromPackedBuf(bare, 0)
        change(model)
        (folder / f"{name}.tflite").write_bytes(pack(model))
    assert attach_manifest(bare, manifest) == content
    return folder, {"MODEL": str(model_files["int8"]), "PAIRS": str(pair_folder)}


def _convert(network, shape):
    concrete = tf.function(network).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()

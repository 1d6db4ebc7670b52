"""The commands as a user types them: files, tables, exit codes, and nothing but our own words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.modelfile import load_model
from quietcam.cli import run
from quietcam.representative import save_set


@pytest.fixture(scope="module")
def set_file(representative, tmp_path_factory):
    path = tmp_path_factory.mktemp("rep") / "rep.npz"
    save_set(path, representative)
    return path


def test_convert_writes_every_size_and_recipe(run_folder, set_file, tmp_path, capsys):
    arguments = [
        "convert",
        str(run_folder),
        "--name",
        "demo",
        "--out",
        str(tmp_path),
        "--representative",
        str(set_file),
    ]
    arguments += ["--recipe", "float32", "--recipe", "int8", "--size", "64x64", "--size", "96x32"]
    assert run([*arguments, "--json", str(tmp_path / "report.json")]) == 0
    names = [f"demo_{size}_{recipe}" for size in ("64x64", "96x32") for recipe in ("float32", "int8")]
    for name in names:
        model = load_model(tmp_path / f"{name}.tflite")
        assert model.manifest is not None
        assert model.is_int8 == name.endswith("int8")
        assert "created" in json.loads((tmp_path / f"{name}.json").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    assert [Path(each["path"]).stem for each in report["models"]] == names
    assert [each["int8_share"] for each in report["models"]] == [0.0, 1.0, 0.0, 1.0]
    shown = capsys.readouterr().out
    assert "demo_96x32_int8.tflite" in shown
    assert "100%" in shown
    assert "Taken out" in shown


def test_nothing_but_our_own_words_reaches_the_terminal(run_folder, set_file, tmp_path):
    """In a process of its own: what TensorFlow says on the file descriptor is not to be seen by capsys."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "quietcam", "convert", run_folder, "--recipe", "int8", "--size", "64x64"),
            *("--representative", set_file, "--out", tmp_path),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("TF_")},
        timeout=300,
    )
    # Progress speaks every ten seconds, so on a busy machine more than once.
    # The set is small, which the linter says.
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {"Converting", "warning"}


def test_compare_shows_writes_and_gates(model_files, pair_folder, tmp_path, capsys):
    models = [str(path) for path in model_files.values()]
    arguments = ["compare", *models, "--data", str(pair_folder), "--classic", "blur"]
    reports = ["--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]
    assert run([*arguments, *reports, "--max-drop", "20"]) == 0
    shown = capsys.readouterr().out
    for word in ("Noisy", "Gaussian blur", "tiny_64x64_int8", "PSNR", "gzipped"):
        assert word in shown
    report = json.loads((tmp_path / "c.json").read_text())
    assert report["reference"] == "tiny_64x64_float32"
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")

    drop = next(row["drop"] for row in report["rows"] if row["drop"] is not None)
    assert drop > 0
    (tmp_path / "c.json").unlink()
    assert run([*arguments, *reports, "--max-drop", str(drop / 2)]) == 3
    captured = capsys.readouterr()
    assert "tiny_64x64_int8 loses" in captured.err
    assert (tmp_path / "c.json").exists()  # the reports are what tells why


def test_compare_needs_no_tensorflow(model_files, pair_folder):
    """It runs on the device, where only the extra `edge` is installed."""
    code = """if True:
        import sys
        for module in ("tensorflow", "tf_keras", "jinja2"):
            sys.modules[module] = None
        from quietcam.cli import run
        sys.exit(run(sys.argv[1:]))
    """
    arguments = ["compare", model_files["int8"], "--data", pair_folder, "--limit", "1"]
    command = [sys.executable, "-c", code, *arguments]
    assert subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0
    done = subprocess.run([*command, "--html", "r.html"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "quietcam[train]" in done.stderr


def test_json_on_the_standard_output_is_alone_there(model_files, pair_folder, capsys):
    assert run(["compare", str(model_files["int8"]), "--data", str(pair_folder), "--limit", "1", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["pairs"]) == 1
    assert "PSNR" in captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["convert", "absent"], 2, "quietcam train"),
        (["convert", "RUN", "--recipe", "int4"], 2, "float32, int8"),
        (["convert", "RUN", "--size", "big"], 2, "WIDTHxHEIGHT"),
        (["convert", "RUN", "--recipe", "float32", "--size", "66x64"], 2, "--size 64x64"),
        (["convert", "RUN", "--name", "../up"], 2, "--name"),
        (["convert", "RUN", "--recipe", "int8", "--size", "64x64"], 2, "--representative"),
        (["convert", "RUN", "--representative", "absent.npz"], 2, "quietcam calibrate"),
        (["convert", "RUN", "--representative", "bad.npz"], 1, "bad.npz"),
        (["convert", "bad.keras", "--recipe", "float32"], 1, "bad.keras"),
        (["convert", "RUN", "--recipe", "float32", "--out", "bad.npz/models"], 1, "choose another place"),
        (["compare", "MODEL", "--data", "absent"], 2, "absent"),
        (["compare", "absent.tflite", "--data", "PAIRS"], 2, "absent.tflite"),
        (["compare", "bad.npz", "--data", "PAIRS"], 1, "bad.npz"),
        (["compare", "MODEL", "--data", "."], 1, "noisy"),
        (["compare", "MODEL", "--data", "PAIRS", "--max-drop", "-1"], 2, "--max-drop"),
        (["compare", "MODEL", "--data", "PAIRS", "--max-drop", "0.1"], 2, "float32"),
        (["compare", "MODEL", "--data", "PAIRS", "--limit", "1", "--html", "bad.npz/r.html"], 1, "bad.npz"),
    ],
)
def test_mistakes_get_one_line_and_the_contracts_code(
    run_folder, model_files, pair_folder, tmp_path, monkeypatch, capsys, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.npz", "bad.keras"):
        Path(name).write_text("not what it should be")
    named = {"RUN": str(run_folder), "MODEL": str(model_files["int8"]), "PAIRS": str(pair_folder)}
    arguments = [named.get(each, each) for each in arguments]
    if arguments[0] == "convert" and "--out" not in arguments:
        arguments += ["--out", "models"]
    assert run(arguments) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert words in line
    assert "Traceback" not in line
    assert not list(Path().glob("**/*.tflite"))

"""The commands as a user types them: files, tables, exit codes, and nothing but our own words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.network.golden import TOLERANCE, check_golden
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from quietcam.app.cli import run
from quietcam.representative.set import save_set
from quietcam.tflite.manifest import read_manifest


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
    assert "Removed from int8" in shown


@pytest.fixture(scope="module")
def elsewhere(run_folder, set_file, tmp_path_factory):
    """A conversion in a process of its own, whose hashes have another seed: the folder, and what it said."""
    folder = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "quietcam", "convert", run_folder, "--size", "64x64"),
            *("--representative", set_file, "--out", folder),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("TF_")} | {"PYTHONHASHSEED": "7"},
    )
    return folder, done


def test_converted_twice_a_file_is_the_same_manifest_and_golden_frame_included(
    elsewhere, run_folder, set_file, tmp_path
):
    arguments = ["convert", run_folder, "--size", "64x64", "--representative", set_file, "--out", tmp_path]
    assert run(list(map(str, arguments))) == 0
    for name in ("tiny_64x64_float32", "tiny_64x64_int8"):
        first, second = (folder / f"{name}.tflite" for folder in (elsewhere[0], tmp_path))
        assert first.read_bytes() == second.read_bytes()
        manifest = read_manifest(first)
        assert manifest is not None
        assert manifest.golden is not None
        beside = json.loads(first.with_suffix(".json").read_text())
        assert beside.pop("created")
        assert beside == manifest.to_dict()
        with Interpreter(first) as interpreter:
            assert check_golden(interpreter) == (0, TOLERANCE)


def test_nothing_but_our_own_words_reaches_the_terminal(elsewhere):
    """In a process of its own: what TensorFlow says on the file descriptor is not to be seen by capsys."""
    _, done = elsewhere
    # Progress speaks every ten seconds, so on a busy machine more than once.
    # The linter has something to say of so small a set, and the network was never trained.
    words = {line.split(":")[0] for line in done.stderr.splitlines()}
    assert "Converting" in words
    assert words <= {"Converting", "note", "warning", "error", "The float network's output is far from its input"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["convert", "absent"], 2, "quietcam train"),
        (["convert", "RUN", "--recipe", "int4"], 2, "float32, float16"),
        (["convert", "RUN", "--size", "big"], 2, "WIDTHxHEIGHT"),
        (["convert", "RUN", "--recipe", "float32", "--size", "66x64"], 2, "--size 64x64"),
        (["convert", "RUN", "--tile", "12x"], 2, "--tile"),
        (["convert", "RUN", "--target", "coral", "--recipe", "float16"], 2, "--target cpu"),
        (["convert", "RUN", "--recipe", "int8x16", "--size", "64x64"], 2, "--representative"),
        (["convert", "RUN", "--recipe", "float32", "--max-drop", "0.1"], 2, "quietcam compare"),
        (["convert", "RUN", "--max-drop", "-1"], 2, "--max-drop"),
        (["convert", "RUN", "--name", "../up"], 2, "--name"),
        (["convert", "RUN", "--recipe", "int8", "--size", "64x64"], 2, "--representative"),
        (["convert", "RUN", "--representative", "absent.npz"], 2, "quietcam calibrate"),
        (["convert", "RUN", "--representative", "bad.npz"], 1, "bad.npz"),
        (["convert", "bad.keras", "--recipe", "float32"], 1, "bad.keras"),
        (["convert", "RUN", "--recipe", "float32", "--out", "bad.npz/models"], 1, "choose another place"),
    ],
)
def test_mistakes_get_one_line_and_the_contracts_code(
    run_folder, tmp_path, monkeypatch, capsys, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.npz", "bad.keras"):
        Path(name).write_text("not what it should be")
    arguments = [str(run_folder) if each == "RUN" else each for each in arguments]
    if "--out" not in arguments:
        arguments += ["--out", "models"]
    assert run(arguments) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert words in line
    assert "Traceback" not in line
    assert not list(Path().glob("**/*.tflite"))

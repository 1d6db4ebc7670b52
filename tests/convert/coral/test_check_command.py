"""`quietcam coral check`: exit codes, what it prints, and files that are no models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convert.coral.check import check_model
from quietcam.app.cli import run
from quietcam.errors import ModelError, UsageError

from .graphs import graph


def test_the_command_exits_with_3_and_one_line_when_something_falls_back(tmp_path, capsys):
    file = tmp_path / "leaky.tflite"
    file.write_bytes(graph("leaky_relu"))
    assert run(["coral", "check", str(file), "--json", str(tmp_path / "report.json")]) == 3
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "LEAKY_RELU" in said.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["on_cpu"] == 2
    assert [op["runs_on"] for op in report["ops"]] == ["TPU", "CPU", "CPU"]
    assert report["ops"][1]["conditions"][0]["source"].endswith("(read)")


def test_the_command_prints_the_estimate_with_its_assumptions(tmp_path, capsys):
    file = tmp_path / "good.tflite"
    file.write_bytes(graph("good"))
    assert run(["coral", "check", str(file), "--all"]) == 0
    said = capsys.readouterr().out
    for word in ("USB 2", "not measured", "assumed: ", "Source: ", "all 2 operators"):
        assert word in said


def test_json_to_standard_output_is_json_alone(tmp_path, capsys):
    file = tmp_path / "good.tflite"
    file.write_bytes(graph("good"))
    assert run(["coral", "check", str(file), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


@pytest.mark.parametrize("name", ["nowhere.tflite", "."])
def test_a_path_that_is_not_a_file_is_wrong_usage(name, capsys):
    with pytest.raises(UsageError):
        check_model(Path(name))
    assert run(["coral", "check", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_not_a_model_is_refused(tmp_path):
    file = tmp_path / "text.tflite"
    file.write_text("not a model")
    with pytest.raises(ModelError, match="TensorFlow Lite"):
        check_model(file)
    file.write_bytes(graph("good")[:700])
    with pytest.raises(ModelError, match="cut short"):
        check_model(file)


def test_check_needs_no_tensorflow(tmp_path):
    file = tmp_path / "good.tflite"
    file.write_bytes(graph("good"))
    blocked = (
        "import sys; sys.modules['tensorflow'] = sys.modules['tf_keras'] = None; from quietcam.app.cli import run; "
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked} sys.exit(run(['coral', 'check', {str(file)!r}]))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""The compiler's run, by a stand-in that prints logs of the documented form; the real one only where it is on PATH.

What holds with the stand-in says nothing of Google's compiler beyond that form.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convert.coral.check import check_model
from convert.coral.compile import adopt_model, compile_model, compiled_name
from convert.coral.compiler import ENVIRONMENT, Compiler, find_compiler, require_compiler
from edge.network.modelfile import load_model
from quietcam.app.cli import run
from quietcam.errors import MissingExtraError, ModelError, UsageError
from quietcam.tflite.manifest import extract_manifest, read_manifest, sidecar_path
from tests.waiting import until

from .graphs import compiled, graph

STAND_IN = Path(__file__).with_name("stand_in.py")
COMMAND = f"{sys.executable} {STAND_IN}"
MAPPED = "{:<31}{:<11}Mapped to Edge TPU\n"
BEHIND = "{:<31}{:<11}More than one subgraph is not supported\n"


@pytest.fixture
def model(model_files, tmp_path):
    """A model of the project with manifest, as `convert` writes it; the compiler's result for it is made up."""
    return Path(shutil.copy(model_files["int8"], tmp_path))


@pytest.fixture
def behave(model, tmp_path, monkeypatch):
    """Set how the stand-in behaves: its manner, what it leaves on the CPU, and the rows of its log."""

    def set_behavior(manner, left=0, rows=None):
        counts = {}
        for op in check_model(model).ops:
            counts[op.kind] = counts.get(op.kind, 0) + 1
        result = tmp_path / "result.bin"
        result.write_bytes(compiled(model.read_bytes(), left))
        monkeypatch.setenv("STAND_IN", manner)
        monkeypatch.setenv("STAND_IN_RESULT", str(result))
        monkeypatch.setenv("STAND_IN_PID", str(tmp_path / "pid"))
        everything = "".join(MAPPED.format(kind, count) for kind, count in counts.items())
        monkeypatch.setenv("STAND_IN_ROWS", everything if rows is None else rows)
        return counts

    return set_behavior


def compile_it(model, out=None, seconds=30.0):
    compiler = require_compiler(COMMAND)
    return compile_model(model, out or model.parent, compiler, check_model(model), seconds)


def test_the_result_has_the_suffix_the_manifest_of_its_source_and_the_log(model, behave, tmp_path):
    behave("good")
    report = compile_it(model, tmp_path / "out")
    assert report.path.name == compiled_name(model) == "tiny_64x64_int8_edgetpu.tflite"
    assert report.holds
    before, after = read_manifest(model), extract_manifest(report.path.read_bytes())
    assert after.name == before.name
    assert after.metrics == before.metrics
    assert after.sha256 != before.sha256
    assert after.tools["edgetpu_compiler"] == "16.0.384591198"
    assert after.tools["compiled_from"] == before.sha256
    assert json.loads(sidecar_path(report.path).read_text())["sha256"] == after.sha256
    said = report.log_path.read_text()
    assert "Model compiled successfully" in said
    assert "written by the compiler" in said


def test_the_log_is_read_into_the_report(model, behave):
    counts = behave("good")
    report = compile_it(model)
    assert report.log.mapped == counts
    assert (report.log.used, report.log.remaining, report.log.streamed) == (60 << 10, round(7.96 * (1 << 20)), 0)
    assert (report.log.milliseconds, report.log.subgraphs) == (141, 1)
    assert report.compiled.runtime == 14


def test_the_device_s_reader_takes_the_compiled_file(model, behave):
    behave("good")
    assert load_model(compile_it(model).path).name == "tiny_64x64_int8_edgetpu"


def test_what_differs_from_the_preflight_is_said(model, behave):
    """The preflight leaves the depth-to-space of a whole model on the CPU; this log says that it mapped."""
    behave("good")
    assert compile_it(model).differences == ("DEPTH_TO_SPACE: 0 predicted on the chip, 1 found",)


def test_where_the_log_says_what_the_preflight_said_there_is_no_difference(model, behave):
    expected = check_model(model).expected_log
    rows = "".join(MAPPED.format(*each) for each in expected.items()) + BEHIND.format("DEPTH_TO_SPACE", 1)
    behave("split", left=1, rows=rows)
    report = compile_it(model)
    assert report.differences == ()
    assert not report.holds
    assert report.log.on_cpu == {"DEPTH_TO_SPACE": 1}


def test_unexpected_streaming_is_a_difference(model, behave):
    behave("streaming")
    assert any("1.70 MiB found" in each for each in compile_it(model).differences)


@pytest.mark.parametrize(
    ("manner", "cause", "remedy"),
    [
        ("version", "version 6 of CONV_2D", "older TensorFlow"),
        ("crash", "it crashed", "run it again"),
        ("killed", "signal 9", "memory"),
        ("dynamic", "dynamic size", "fixed size"),
        ("large", "activations are too large", "smaller size or tile"),
        ("silent", "without a reason", "log"),
        ("nothing", "ended with status 0", "log"),
    ],
)
def test_a_failure_is_one_line_with_the_log_kept(model, behave, manner, cause, remedy):
    behave(manner)
    with pytest.raises(ModelError) as caught:
        compile_it(model)
    text = str(caught.value)
    assert cause in text
    assert remedy in text
    assert "The preflight predicted" in text
    log = model.with_name("tiny_64x64_int8_edgetpu.log")
    assert str(log) in text
    assert "Edge TPU Compiler version 16" in log.read_text()
    assert not log.with_suffix(".tflite").exists()


def test_a_hanging_compiler_is_stopped_with_all_that_it_started(model, behave, tmp_path, monkeypatch):
    behave("hang")
    monkeypatch.setattr("convert.coral.compiler._GRACE", 0.2)

    class Begun(subprocess.Popen):
        """Its time counts from when the compiler hangs: a busy machine starts it slowly."""

        def communicate(self, input=None, timeout=None):  # noqa: A002
            if timeout is not None and "-s" in self.args:
                until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
            return super().communicate(input, timeout)

    monkeypatch.setattr(subprocess, "Popen", Begun)
    compiler = Compiler((sys.executable, str(STAND_IN)))
    with pytest.raises(ModelError, match=r"not done after 1 s.*`timeout`"):
        compile_model(model, tmp_path, compiler, check_model(model), 1.0)
    assert "Started a compilation timeout timer" in (tmp_path / "tiny_64x64_int8_edgetpu.log").read_text()
    child = int((tmp_path / "pid").read_text())
    until(lambda: not _is_running(child))


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_result_that_is_not_compiled_is_refused(model, behave, tmp_path):
    behave("good")
    (tmp_path / "result.bin").write_bytes(graph("good"))
    with pytest.raises(ModelError, match="mapped nothing"):
        compile_it(model)


def test_a_compiled_model_is_not_compiled_again(model, behave, tmp_path):
    behave("good")
    report = compile_it(model, tmp_path / "out")
    with pytest.raises(UsageError, match="without _edgetpu in its name"):
        compile_it(report.path)


def test_a_model_without_manifest_stays_without(behave, tmp_path):
    behave("good")
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(graph("good"))
    (tmp_path / "result.bin").write_bytes(compiled(graph("good")))
    report = compile_it(bare)
    assert read_manifest(report.path) is None
    assert not sidecar_path(report.path).exists()


def test_a_result_from_elsewhere_gets_the_manifest_of_its_source(model, behave, tmp_path):
    behave("good")
    result = tmp_path / "from_colab.tflite"
    result.write_bytes((tmp_path / "result.bin").read_bytes())
    report = adopt_model(model, tmp_path / "out", result, check_model(model))
    manifest = extract_manifest(report.path.read_bytes())
    assert manifest.tools["edgetpu_compiler"] == "16.0.384591198"
    assert manifest.metrics == read_manifest(model).metrics
    assert report.log_path is None
    assert report.differences == ("1 predicted on the CPU, 0 found",)


def test_a_log_beside_a_result_from_elsewhere_is_read_and_kept(model, behave, tmp_path):
    counts = behave("good")
    first = compile_it(model, tmp_path / "elsewhere")
    report = adopt_model(model, tmp_path / "out", first.path, check_model(model))
    assert report.log.mapped == counts
    assert report.log_path.read_text() == first.log_path.read_text()


def test_a_result_of_another_model_is_refused(model, behave, tmp_path):
    behave("good")
    other = tmp_path / "other.tflite"
    other.write_bytes(compiled(graph("good")))
    with pytest.raises(ModelError, match="inputs and outputs of its source"):
        adopt_model(model, tmp_path / "out", other, check_model(model))
    assert not list((tmp_path / "out").glob("*.tflite"))


def test_the_command_takes_a_result_from_elsewhere(model, behave, tmp_path, capsys):
    behave("good")
    result = tmp_path / "from_colab.tflite"
    result.write_bytes((tmp_path / "result.bin").read_bytes())
    assert run(["coral", "compile", str(model), "--result", str(result), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "Put tiny_64x64_int8.tflite into the folder of" in said.err
    assert run(["coral", "compile", str(model), "--result", str(tmp_path / "none.tflite")]) == 2


def test_the_compiler_is_found_on_path(tmp_path, monkeypatch):
    assert find_compiler(None, {"PATH": str(tmp_path)}) is None
    program = tmp_path / "edgetpu_compiler"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_compiler(None, {"PATH": str(tmp_path)}).command == (str(program),)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler(None).command == (str(program),)


def test_a_container_s_command_gets_the_folder(tmp_path):
    """`sh -c` in the place of `docker run`: what counts is that {folder} becomes the model's folder."""
    script = tmp_path / "in_container"
    script.write_text(f'#!/bin/sh\ntest "$1" = "$(pwd):/work" || exit 9\nshift\nexec {COMMAND} "$@"\n')
    script.chmod(0o755)
    compiler = find_compiler(f"{script} {{folder}}:/work")
    assert compiler.command == (str(script), "{folder}:/work")
    assert compiler.version(tmp_path) == "16.0.384591198"


@pytest.mark.parametrize("wanted", ["/nowhere/edgetpu_compiler", "no-such-docker run x", "'open", " "])
def test_a_compiler_that_is_not_there_is_wrong_usage(wanted):
    with pytest.raises(UsageError, match="Received"):
        find_compiler(wanted)


def test_something_else_than_the_compiler_is_refused(model, behave):
    behave("unknown")
    with pytest.raises(ModelError, match=r"must print its version.*usage: something else"):
        compile_it(model)


def test_an_absent_compiler_is_told_where_to_get_and_what_to_expect(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    report = tmp_path / "report.json"
    assert run(["coral", "compile", str(model), "--json", str(report)]) == 1
    said = capsys.readouterr().err
    assert "The preflight of" in said
    assert "sudo apt-get install edgetpu-compiler" in said
    assert "packages.cloud.google.com" in said
    assert json.loads(report.read_text())["prediction"]["on_cpu"] == 1


def test_on_another_processor_the_remedy_is_another_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(MissingExtraError, match="x86-64 only, and this is aarch64"):
        require_compiler(None)


def test_the_command_takes_the_compiler_from_the_environment(model, behave, monkeypatch, tmp_path, capsys):
    behave("good")
    monkeypatch.setenv(ENVIRONMENT, COMMAND)
    report = tmp_path / "report.json"
    assert run(["coral", "compile", str(model), "--out", str(tmp_path / "out"), "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert "Mapped to Edge TPU" in said
    assert "differs from the preflight" in said
    assert json.loads(report.read_text())["compiler"] == "16.0.384591198"


def test_the_command_exits_with_3_when_something_stays_on_the_cpu(model, behave, capsys):
    expected = check_model(model).expected_log
    rows = "".join(MAPPED.format(*each) for each in expected.items()) + BEHIND.format("DEPTH_TO_SPACE", 1)
    behave("split", left=1, rows=rows)
    assert run(["coral", "compile", str(model), "--compiler", COMMAND]) == 3
    said = capsys.readouterr()
    assert "1 DEPTH_TO_SPACE" in said.err
    assert "no difference from the preflight" in said.out
    assert model.with_name(compiled_name(model)).is_file()


def test_a_time_limit_of_nothing_is_wrong_usage(model, capsys):
    for seconds in ("0", "nan", "inf"):
        assert run(["coral", "compile", str(model), "--timeout", seconds]) == 2
        assert "--timeout" in capsys.readouterr().err


def test_the_real_compiler_does_what_the_preflight_says(tmp_path):
    if find_compiler(None) is None:
        pytest.skip("Google's edgetpu_compiler is not on PATH; nothing here was tried with it")
    file = tmp_path / "good.tflite"
    file.write_bytes(graph("good"))
    report = compile_model(file, tmp_path, require_compiler(None), check_model(file), 180)
    assert report.holds
    assert report.differences == ()


def test_the_stand_in_is_no_compiler():
    """Nobody takes it for one: it says so in its first line, and it is not on PATH."""
    assert STAND_IN.read_text().startswith('"""A stand-in for')
    assert shutil.which("stand_in.py", path=os.environ["PATH"]) is None

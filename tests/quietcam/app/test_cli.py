"""The command line as a whole: what it imports at start, exit codes, help, errors in one line."""

import os
import subprocess
import sys

import pytest
import typer.main

from quietcam import errors
from quietcam.app import cli


def quietcam(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "quietcam", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def verbs(app=None, path=()):
    command = typer.main.get_command(app or cli.app)
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from ((*path, name, leaf) for leaf in inner.commands)
        else:
            yield (*path, name)


def test_a_command_starts_without_pydantic():
    code = "import sys; from quietcam.app import cli; code = cli.run(['models', '--json', '-']); " + (
        "sys.exit('typer below 0.29 is wanted, see pyproject.toml' if 'pydantic' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy():
    code = "import sys; from quietcam.app import cli; code = cli.run(['--help']); " + (
        "heavy = {'tensorflow', 'tf_keras', 'cv2', 'numpy', 'jinja2', 'ai_edge_litert'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", list(verbs()), ids=" ".join)
def test_every_verb_has_help_with_an_example(verb, capsys):
    assert cli.run([*verb, "--help"]) == 0
    assert "Example: " in " ".join(capsys.readouterr().out.split())


def test_the_verbs_are_exactly_these():
    assert {verb[0] for verb in verbs()} == {
        "demo", "data", "train", "prune", "evaluate", "calibrate", "lint", "convert", "compare", "coral",
        "run", "capture", "bench", "models", "doctor", "card", "release", "update",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["denoize"], "quietcam: No such command 'denoize'. Remedy: see quietcam --help\n"),
        (
            ["data", "generate"],
            "quietcam data generate: Missing option '--out'. Remedy: see quietcam data generate --help\n",
        ),
    ],
)
def test_wrong_usage_is_one_line(words, said):
    done = quietcam(*words)
    assert (done.returncode, done.stderr) == (2, said)


def test_version():
    done = quietcam("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("quietcam ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("rule"), 2),
        (errors.DataError("rule"), 1),
        (errors.GateError("rule"), 3),
        (KeyboardInterrupt(), 130),
        (ModuleNotFoundError("No module named 'tf_keras'", name="tf_keras.src"), 1),
        (ZeroDivisionError("oops"), 1),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(monkeypatch, capsys, error, code):
    def fail(**_):
        raise error

    monkeypatch.delenv("QUIETCAM_DEBUG", raising=False)
    monkeypatch.setattr("quietcam.app.demo.run_demo", fail)
    assert cli.run(["demo"]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("quietcam: ")
    assert "Traceback" not in said
    if isinstance(error, ModuleNotFoundError):
        assert "pip install 'quietcam[train]'" in said


def test_debug_shows_the_traceback(monkeypatch, capsys):
    def fail(**_):
        raise errors.DataError("rule")

    monkeypatch.setenv("QUIETCAM_DEBUG", "")
    monkeypatch.setattr("quietcam.app.demo.run_demo", fail)
    assert cli.run(["--debug", "demo"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_options_can_come_from_the_environment(tmp_path):
    out = tmp_path / "from_environment"
    done = quietcam(
        "data",
        "generate",
        "--count",
        1,
        "--size",
        32,
        env={**os.environ, "QUIETCAM_DATA_GENERATE_OUT": str(out)},
    )
    assert done.returncode == 0, done.stderr
    assert len(list((out / "noisy").iterdir())) == 1

"""The public names of the library: complete, documented with examples that run, and cheap until they are used."""

from __future__ import annotations

import ast
import doctest
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

import quietcam
from quietcam.process.own_packages import STAGES

HOME = Path(quietcam.__file__).parent
DESKTOP = {"train", "prune", "calibrate", "convert", "compare"}
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs the extra 'train'"))
    if name in DESKTOP
    else name
    for name in quietcam.__all__
]


def test_names_and_types_are_the_same() -> None:
    """``__init__.pyi`` tells type checkers what ``__init__.py`` loads when it is asked for."""
    stub = ast.parse((HOME / "__init__.pyi").read_text(encoding="utf-8"))
    told = {alias.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == quietcam._HOMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_there_with_an_example_that_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    public = getattr(quietcam, name)
    assert name in dir(quietcam)
    found = doctest.DocTestFinder(recurse=True).find(public, name, globs={"quietcam": quietcam})
    examples = [each for each in found if each.examples]
    assert examples, f"quietcam.{name} has no example in its docstring"
    for each in examples:
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(each)
        assert result.failed == 0, each.name


def test_the_version_is_that_of_the_wheel() -> None:
    assert quietcam.__version__ == version("quietcam")


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'denoise'"):
        _ = quietcam.denoise  # type: ignore[attr-defined]


def test_the_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, quietcam; quietcam.__all__, dir(quietcam);"
        "print([name for name in ('cv2', 'numpy', 'typer', 'tensorflow', 'ai_edge_litert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("name", "package", "extra"), [("train", "tensorflow", "train")])
def test_what_must_be_installed_is_said(name: str, package: str, extra: str) -> None:
    code = f"import sys, quietcam; sys.modules[{package!r}] = None; quietcam.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingExtraError: This needs the extra '{extra}' (missing: {package})" in done.stderr


def test_a_module_of_the_user_that_hides_one_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('it ran')")
    code = "import quietcam; quietcam.psnr; quietcam.train"
    environment = {**os.environ, "PYTHONPATH": str(HOME.parent)}  # behind the folder that Python is started in
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f"Received: {tmp_path / 'train.py'}, which Python finds before" in done.stderr
    assert "it ran" not in done.stderr


def test_types_ship() -> None:
    """A type checker takes everything of a package without ``py.typed`` for ``Any``."""
    assert (HOME / "__init__.pyi").is_file()
    for package in {"quietcam", *STAGES}:
        assert (HOME.parent / package / "py.typed").is_file(), package


def test_opencv_is_limited_before_anybody_can_import_it() -> None:
    code = "import os; os.environ.pop('OPENCV_IO_MAX_IMAGE_WIDTH', 0); import quietcam; print(*os.environ)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OPENCV_IO_MAX_IMAGE_WIDTH" in done.stdout.split()

"""Reports: every page is a Jinja template on the shared frame, and no code pastes HTML together."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import quietcam

pytest.importorskip("jinja2", reason="needs the extra 'edge'")

from quietcam.terminal.page import render_page

ROOT = Path(quietcam.__file__).parents[1]
PACKAGES = ("quietcam", "calibration", "train", "convert", "compare", "deploy")
REPORTS = {
    "calibration/templates/coverage.html.j2",
    "compare/page/templates/clips.html.j2",
    "compare/page/templates/report.html.j2",
    "train/evaluation/templates/evaluation.html.j2",
}
_TAG = re.compile(
    r"</?(?:html|head|body|main|div|span|p|h[1-6]|table|tr|td|th|ul|li|img|figure|section|details|svg)\b[^<]*>"
)


def test_every_report_stands_on_the_shared_frame() -> None:
    templates = [path for package in PACKAGES for path in (ROOT / package).rglob("templates/*.html*")]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in templates}
    assert {name for name in texts if not name.endswith(".html.j2")} == set()
    assert {name for name, text in texts.items() if '{% extends "page.html.j2" %}' in text} == REPORTS
    with_head = {name for name, text in texts.items() if "<head>" in text}
    assert with_head == {"quietcam/terminal/templates/page.html.j2"}


def test_no_string_of_the_code_holds_html() -> None:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            explains = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
            texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in explains]
            if tags := [tag for text in texts if isinstance(text, str) for tag in _TAG.findall(text)]:
                found[str(path.relative_to(ROOT))] = tags
    assert found == {}


def test_values_are_escaped_and_a_missing_one_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jinja2 import UndefinedError

    folder = tmp_path / "some_report" / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    text = '{% extends "page.html.j2" %}{% block title %}{{ name }}{% endblock %}'
    (folder / "page_of_it.html.j2").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    page = render_page("some_report", "page_of_it.html.j2", name="<b> & co")
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;b&gt; &amp; co</title>" in page
    assert "http" not in page
    with pytest.raises(UndefinedError, match="name"):
        render_page("some_report", "page_of_it.html.j2")

"""Every Python example that the README and the documentation print runs as it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("sybil", reason="needs the extra 'dev'")
pytest.importorskip("tensorflow", reason="needs the extra 'train'")

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

from quietcam.terminal.log import log

ROOT = Path(__file__).parents[1]
WRITTEN = {"_build", "commands"}
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not WRITTEN & set(page.parts)),
]
WITH_EXAMPLES = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], path=str(ROOT)).parse(page)
    examples = list(document.examples())
    assert examples
    level = log.level
    try:
        for example in examples:
            example.evaluate()
    finally:
        log.setLevel(level)  # an example that sets it does so for the whole process
    assert os.environ.get("QUIETCAM_DEBUG") is None

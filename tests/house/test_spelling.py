"""American spelling, in code, tests and docs alike: one word is found by one search."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BRITISH = re.compile(
    r"(?:col|behavi|flav|fav|hon)our|neighb?our|cent(?:re\b|res\b|red\b)|licence|\bgrey|analogue|catalogue|judgement"
    r"|artefact|(?:cancel|label|model|signal|travel)l(?:ed|ing)\b|(?:recogn|organ|normal|quant|initial)is(?:e|ing|ation)",
    re.IGNORECASE,
)
GIVEN = re.compile(
    r"ColourGains"  # of libcamera
    r"|\bGREY\b"  # of Video4Linux
    r"|[\"'`]licence[\"'`]|licence and sha256|licence="  # a key of files that ship
)
FOLDERS = [
    "quietcam",
    "calibration",
    "train",
    "convert",
    "compare",
    "edge",
    "deploy",
    "fuzz",
    "benchmarks",
    "tests",
    "lab",
    "docs",
]
PAGES = ("README.md", "CONTRIBUTING.md")
KINDS = {".css", ".html", ".j2", ".js", ".md", ".py"}
BUILT = {"_build", "commands", "__pycache__"}


def british(text: str) -> list[str]:
    return [word.group() for word in BRITISH.finditer(GIVEN.sub("", text))]


def texts() -> list[Path]:
    """Whatever people read of the repository; what the changelog said before stays as it was."""
    folders = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in KINDS]
    found = [*(ROOT / page for page in PAGES), *folders]
    return [path for path in found if path != Path(__file__) and path.is_file() and not BUILT & set(path.parts)]


@pytest.mark.parametrize("word", ["colour", "Neighbours", "centre", "licence", "grey", "judgement", "cancelled"])
def test_a_british_word_is_found(word: str) -> None:
    assert british(f"A {word} is here.")
    assert not british('"licence": a key, "ColourGains": a control; color, neighbor, center, license, gray')


def test_spelling_is_american() -> None:
    found = {str(path.relative_to(ROOT)): british(path.read_text()) for path in texts()}
    assert {path: words for path, words in found.items() if words} == {}

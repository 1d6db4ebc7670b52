"""Every command that a message, a help text or a page of the docs prints can be run exactly as printed."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from quietcam.app.cli import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("quietcam", "edge", "calibration", "convert", "compare", "deploy", "train")
WRITTEN = {"_build", "commands"}  # by `make docs`, from the code itself
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not WRITTEN & set(page.parts)),
    *sorted((ROOT / "edge/models").glob("*.md")),
]


def texts(node):
    """The strings of a module's tree as users read them: pieces are joined, values that are filled in read FILLED."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "FILLED" for part in node.values)]
    return [text for child in ast.iter_child_nodes(node) for text in texts(child)]


def in_backticks(text):
    return [found for found in re.findall(r"`([^`]+)`", text) if found.startswith("quietcam ")]


def printed_commands():
    found = set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
                found |= {(path.relative_to(ROOT), each) for each in in_backticks(" ".join(text.split()))}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        lines = [line.split(" #")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        found |= {(path.relative_to(ROOT), line.strip()) for line in lines if line.startswith("quietcam ")}
        plain = " ".join(re.sub(r"^```\w*\n.*?^```", "", text, flags=re.M | re.S).split())
        found |= {(path.relative_to(ROOT), each) for each in in_backticks(plain)}
    return sorted((str(path), command) for path, command in found)


def wrong(command):
    """Why a command cannot be run; None if it can."""
    words = shlex.split(command.split(" | ")[0])[1:]
    node, names = typer.main.get_command(app), ["quietcam"]
    while hasattr(node, "get_command"):
        if not words or words[0].startswith("-") or words[0].isupper():
            return None  # quietcam --debug COMMAND
        name = words.pop(0)
        if (child := node.get_command(None, name)) is None:
            return f"there is no command {name}"
        names.append(name)
        node = child
    if not words or "…" in words:  # a command that is named, and one of which a part is shown
        return None
    try:
        node.make_context(" ".join(names), words)
    except Exception as error:  # noqa: BLE001  typer brings its own copy of click's exceptions
        return error.format_message() if hasattr(error, "format_message") else None
    return None


COMMANDS = printed_commands()


def test_they_are_found_and_wrong_ones_are_told():
    assert len(COMMANDS) > 100
    assert all(map(wrong, ["quietcam convert --size 640x480", "quietcam convert small --sizes 9", "quietcam conver x"]))
    assert wrong("quietcam convert small --size 640x480") is None


@pytest.mark.parametrize(("place", "command"), COMMANDS, ids=[f"{place}:{command}" for place, command in COMMANDS])
def test_a_printed_command_can_be_typed(place, command):
    assert wrong(command) is None, f"{place}: {command}"


def test_every_file_that_a_page_or_a_docstring_names_is_there():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = re.compile(r"(?<![\w/.~-])((?:[\w-]+/)+[\w.-]+\.(?:py|md|toml|sh|j2|csv))\b")
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    missing = {
        f"{path.relative_to(ROOT)}: {found}"
        for path in [*PAGES, ROOT / "CONTRIBUTING.md", *sources]
        for found in named.findall(path.read_text(encoding="utf-8"))
        if found.split("/")[0] in rooms - {"runs"} and not (ROOT / found).exists()
    }
    assert missing == set()

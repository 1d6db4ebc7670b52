"""Library code names no flags, and informs the user only by the log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import quietcam

ROOT = Path(quietcam.__file__).parents[1]
PACKAGES = ("quietcam", "calibration", "train", "convert", "compare", "edge", "deploy")

PRINTS = {
    "quietcam/process/native_output.py",  # `write_line`, on which `say` and the log stand
    "quietcam/terminal/report.py",  # JSON for standard output
    "quietcam/terminal/say.py",
    "quietcam/terminal/log.py",  # what shows the records
    "quietcam/process/stopping.py",  # what a second signal says, when the log may be stuck
    "edge/child/link.py",  # in a child process, whose output its parent reads
}
TABLES = {
    "edge/table.py",
    "compare/table.py",
    "compare/clips/table.py",
    "convert/show.py",
    "convert/coral/show.py",
}
"""They print on the console that a command hands in, and only commands may ask them to."""

KNOWS_FLAGS = "quietcam/terminal/flags.py"  # its docstrings explain them

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_COMMAND = re.compile(
    r"(?:^|[\s`'\"(:=])(?:quietcam|sudo|v4l2-ctl|rpicam-\w+|libcamera-\w+|pip|python3?|git|mkdir|apt|apt-get|systemctl|"
    r"journalctl|systemd-\w+|docker|edgetpu_compiler|ffmpeg|namei|make|curl|modprobe|usermod|chmod|chown|dpkg) "
)
_PRINTS = re.compile(r"print|say|.*\.(print|echo|secho|print_exc|print_exception)|(sys\.)?(stdout|stderr)\.write")
_ARGUMENT = re.compile(r"--[a-z][a-z0-9-]*(?:=\S*)?")  # of another program, in the list that starts it
_END = re.compile(r"[.;:,]\s|\n\s*\n|`|\)")


def test_library_code_names_no_flags_and_does_not_print() -> None:
    found = {name: words for name in _library() if (words := list(_faults(name)))}
    assert found == {}


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("choose another place with --out", ["--out"]),
        ("Remedy: quietcam data pack --out FOLDER", []),
        ("`--max-drop` is a number", ["--max-drop"]),
        ("run `sudo apt install --reinstall x`, or use --live", ["--live"]),
        ("quietcam does it. See --live", ["--live"]),
        ("a -- b, a--b", []),
        ("Remedy: pip install --upgrade x, then --out", ["--out"]),
    ],
)
def test_a_flag_is_allowed_only_in_a_whole_command(text: str, flags: list[str]) -> None:
    assert _flags(text) == flags


def test_only_commands_show_tables() -> None:
    calls = {name: words for name in _library() if (words := list(_shown_by(name)))}
    assert calls == {}


@pytest.mark.parametrize(
    "call", ["console.print(x)", "typer.echo(x)", "typer.secho(x)", "traceback.print_exc()", "sys.stderr.write(x)"]
)
def test_every_way_to_print_is_found(call: str) -> None:
    name = call.partition("(")[0]
    assert list(_faults_of(f"def f(x):\n    {call}\n", prints=False)) == [f"line 2: {name}()"]
    assert list(_faults_of(f"def f(x):\n    {call}\n", prints=True)) == []


def test_flags_are_found_in_joined_strings() -> None:
    source = 'def f(x):\n    """Docs with --doc."""\n    raise E("a " f"{x} --joined " "b")\n    print(x)\n    say(x)\n'
    source += '    run([x, "--argument", f"{machine.pip} --upgrade x"])\n'
    assert list(_faults_of(source, prints=False)) == [
        "line 2: --doc",
        "line 3: --joined",
        "line 4: print()",
        "line 5: say()",
    ]


def _library() -> Iterator[str]:
    """Modules that are not commands, as paths from the root."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            is_command = (
                path.name in ("cli.py", "__main__.py")
                or path.name.endswith("_cli.py")
                or name.startswith("quietcam/app/")
            )
            if not is_command and name not in ("quietcam/terminal/options.py", KNOWS_FLAGS):
                yield name


def _shown_by(name: str) -> Iterator[str]:
    """The functions ``show_…`` of ``TABLES`` that a module imports."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and f"{node.module}".replace(".", "/") + ".py" in TABLES:
            yield from (each.name for each in node.names if each.name.startswith("show_"))


def _faults(name: str) -> Iterator[str]:
    yield from _faults_of((ROOT / name).read_text(encoding="utf-8"), prints=name in PRINTS | TABLES)


def _faults_of(source: str, prints: bool) -> Iterator[str]:
    faults: list[tuple[int, str]] = []
    _walk(ast.parse(source), faults, prints)
    for line, what in sorted(faults):
        yield f"line {line}: {what}"


def _walk(node: ast.AST, faults: list[tuple[int, str]], prints: bool, in_list: bool = False) -> None:
    if isinstance(node, ast.Constant | ast.JoinedStr):
        text = _text(node)
        if not (in_list and _ARGUMENT.fullmatch(text)):
            faults += [(node.lineno, flag) for flag in _flags(text)]
    elif isinstance(node, ast.Call) and _PRINTS.fullmatch(called := ast.unparse(node.func)):
        faults += [] if prints else [(node.lineno, f"{called}()")]
    if not isinstance(node, ast.JoinedStr):
        for inner in ast.iter_child_nodes(node):
            _walk(inner, faults, prints, isinstance(node, ast.List | ast.Tuple))


def _text(node: ast.expr) -> str:
    """What a string holds; a value in an f-string is its variable's last name: `{machine.pip} list` is a command."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    value = node.value if isinstance(node, ast.FormattedValue) else node
    return getattr(value, "attr", getattr(value, "id", "VALUE"))


def _flags(text: str) -> list[str]:
    """Flags in a text outside of whole commands. A command ends at the end of its sentence."""
    flags = []
    for found in _FLAG.finditer(text):
        starts = [each.end() for each in _COMMAND.finditer(text, 0, found.start())]
        if not starts or _END.search(text, starts[-1], found.start()):
            flags.append(found[0])
    return flags

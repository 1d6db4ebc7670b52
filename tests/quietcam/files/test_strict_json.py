"""JSON is accepted only where all parsers agree on it, and every parser can read what is written."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import JsonError
from quietcam.files.strict_json import MOST_DEPTH, dump_json, parse_json, parse_object, read_json, read_object
from quietcam.files.text import valid_text
from quietcam.terminal.report import write_report

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES, st.booleans())
def test_written_values_are_read_back(value: object, ascii_only: bool) -> None:
    text = dump_json(value, ascii_only=ascii_only)
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1] 2", "no JSON"),
        ("\ufeff[]", "no JSON"),
        ('"\x01"', "no JSON"),
        ("NaN", "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ("[1e999]", "1e999"),
        ("-1e400", "not finite"),
        (str(2**63), "beyond 64 bits"),
        ("9" * 5000, "beyond 64 bits"),
        ("-" + "9" * 20, "beyond 64 bits"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' twice"),
        ('[{"x": {"a": 1, "\\u0061": 1}}]', "'a' twice"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "levels"),
        ("[" * 100_000, "levels"),
        ('{"a":' * 100_000, "levels"),
        (r'"\ud800"', "UTF-8"),
        (r'{"\uDFFFx": 1}', "UTF-8"),
        ('"\udce9"', "UTF-8"),
        (b'"\xe9"', "UTF-8"),
        ("[]".encode("utf-16"), "UTF-8"),
        (b'"' + b"x" * (1 << 20) + b'"', "more than 1048576 bytes"),
        ('"' + "é" * (1 << 19) + '"', "more than 1048576 bytes"),
    ],
)
def test_json_on_which_parsers_disagree_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(JsonError, match=why) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isascii()


def test_brackets_in_a_string_are_no_levels_and_a_surrogate_pair_is_one_character() -> None:
    marks = "[{" * 1000 + '\\"['
    assert parse_json(json.dumps([[marks, "]"]])) == [[marks, "]"]]
    assert parse_json(r'"\ud83d\ude00 \\ud800"') == "\U0001f600 \\ud800"
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert json.dumps(parse_json(deep)) == deep


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', "[]", "{}", '""', "[1e5,", '{"\\\\', "]", "\\u"])
def test_the_time_is_linear_in_the_length_of_the_text(unit: str) -> None:
    """Each ends within seconds; a pattern that backtracks would take hours."""
    program = (
        "import sys\nfrom quietcam.errors import JsonError\nfrom quietcam.files.strict_json import parse_json\n"
        "unit = sys.argv[1]\nn = (1 << 20) // len(unit)\n"
        "for text in (unit * n, '[' * 20 + unit * (n - 20), '[' * 20 + '[]' * 20 + '\"' + unit * (n - 60)):\n"
        "    try:\n        parse_json(text)\n    except JsonError:\n        pass\n"
    )
    assert subprocess.run([sys.executable, "-c", program, unit], timeout=120, check=False).returncode == 0


def test_a_duplicate_among_many_keys_is_found_in_linear_time() -> None:
    keys = [f'"{number}":0' for number in range(80_000)]
    with pytest.raises(JsonError, match="'79999' twice"):
        parse_json("{" + ",".join([*keys, keys[-1]]) + "}")


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_gives_values_or_a_json_error(text: str | bytes) -> None:
    try:
        value = parse_json(text)
    except JsonError:
        return
    assert json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(("text", "kind"), [("[]", "an array"), ("1", "a number"), ("null", "null"), ('"a"', "text")])
def test_only_an_object_is_read_as_an_object(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "a.json").write_text(text)
    for read in (lambda: parse_object(text), lambda: read_object(tmp_path / "a.json")):
        with pytest.raises(JsonError, match=f"{kind} where an object is expected"):
            read()
    assert parse_object("{}") == {}


def test_a_file_over_its_limit_and_a_pipe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == read_object(path) == {"a": 1}
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # takes no room
    os.mkfifo(tmp_path / "pipe")
    for place in (path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is"):
            read_json(place)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_report_has_null_for_values_that_are_not_finite_and_plain_values_for_numpy(tmp_path: Path) -> None:
    report = {
        "psnr": math.inf,
        "noise": [math.nan, np.float32("nan"), np.float64(1.5)],
        "count": np.int64(3),
        "is": np.bool_(True),
        "pixels": np.arange(3, dtype=np.uint8),
        "path": Path("a/b"),
        Path("key"): (1, 2),
        4: "four",
    }
    write_report(str(tmp_path / "r.json"), report)
    assert parse_json((tmp_path / "r.json").read_bytes()) == {
        "psnr": None,
        "noise": [None, None, 1.5],
        "count": 3,
        "is": True,
        "pixels": [0, 1, 2],
        "path": "a/b",
        "key": [1, 2],
        "4": "four",
    }
    with pytest.raises(TypeError, match="object"):
        dump_json([object()])


@given(st.binary(min_size=1, max_size=12))
def test_names_that_are_not_utf8_are_escaped(name: bytes) -> None:
    told = parse_json(dump_json({os.fsdecode(name): [os.fsdecode(name)]}))
    (key, (value,)) = next(iter(told.items()))
    assert key == value == valid_text(os.fsdecode(name))
    if name.isascii():
        assert value.encode() == name


@given(st.text(max_size=12))
def test_any_text_becomes_valid_and_valid_text_is_unchanged(text: str) -> None:
    assert valid_text(text).encode().decode() == valid_text(text)
    assert valid_text(valid_text(text)) == valid_text(text)
    assert valid_text("a\ud800\udce9") == "a\\ud800\\udce9"
    assert valid_text("caf\udce9") == "caf\\xe9"

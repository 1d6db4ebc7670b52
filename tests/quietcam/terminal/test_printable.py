"""Text for a terminal has no control characters, and can be encoded."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.terminal.printable import printable


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a b-ä-日本-🎞.png", "a b-ä-日本-🎞.png"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("one\r\ntwo\x85\u2028", "one\\r\\ntwo\\x85\\u2028"),
        ("\u202egnp.exe\u2066\u200f", "\\u202egnp.exe\\u2066\\u200f"),
        (os.fsdecode(b"caf\xe9\x9b2J"), "caf\\xe9\\x9b2J"),
        ("\ud800", "\\ud800"),
        ("tab\tnbsp\xa0", "tab\\tnbsp\\xa0"),
    ],
)
def test_control_characters_are_escaped(text, seen):
    assert printable(text) == seen


def test_line_ends_stay_in_a_text_of_several_lines():
    assert printable("one\n\ttwo\x1b[0m\r", lines=True) == "one\n\ttwo\\x1b[0m\\r"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "Cc", "Cf", "Co", "Cs", "Cn"])), st.booleans())
def test_any_text_becomes_encodable_and_printable(text, lines):
    seen = printable(text, lines)
    seen.encode("utf-8")
    assert {unicodedata.category(each) for each in seen if each not in ("\n\t" if lines else "")}.isdisjoint(
        {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    )
    assert printable(seen, lines) == seen

"""KEY=VALUE,KEY=VALUE: what is accepted, and the messages for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from quietcam.errors import UsageError
from quietcam.terminal.key_values import Key, choice_key, number_key, parse_key_values, path_key, whole_key

KEYS = {
    "rate": number_key(0.5, 10, "frames a second, 0.5 to 10"),
    "count": whole_key(1, 3, "a whole number from 1 to 3"),
    "format": choice_key("jpg", "png", "raw"),
    "place": path_key("a folder"),
    "word": Key(str.upper, "a word"),
}


def parse(text: str) -> dict[str, object]:
    return parse_key_values(text, KEYS, "A thing", "thing:rate=1")


def test_each_value_is_read_as_its_key_says() -> None:
    assert parse("rate=0.5,count=3,format=raw,place=/a=b,word=x") == {
        "rate": 0.5,
        "count": 3,
        "format": "raw",
        "place": Path("/a=b"),
        "word": "X",
    }


@pytest.mark.parametrize(("text", "values"), [("", {}), (",", {}), (" rate = 2 ,", {"rate": 2.0})])
def test_spaces_and_empty_parts_do_not_count(text: str, values: dict[str, object]) -> None:
    assert parse(text) == values


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("color=red", "A thing has the options rate, count, format, place, word. Received: color=red."),
        ("rate=0.4", "A thing's rate is frames a second, 0.5 to 10. Received: rate=0.4."),
        ("rate=nan", "A thing's rate is frames a second, 0.5 to 10. Received: rate=nan."),
        ("rate", "A thing's rate is frames a second, 0.5 to 10. Received: rate."),
        ("count=1.5", "A thing's count is a whole number from 1 to 3. Received: count=1.5."),
        ("format=bmp", "A thing's format is jpg, png or raw. Received: format=bmp."),
        ("place=", "A thing's place is a folder. Received: place=."),
        ("rate=1,rate=2", "A thing's rate may be given once. Received: rate=2."),
    ],
)
def test_a_mistake_is_told_with_the_rule_and_an_example(text: str, rule: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert str(raised.value) == f"{rule} Remedy: for example thing:rate=1"


@pytest.mark.parametrize("text", ["rate=secret,x@camera", "word=rtsp://owner:secret"])
def test_what_may_be_part_of_a_password_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="not shown") as raised:
        parse(f"{text},color=red")
    assert "secret" not in str(raised.value)


def test_control_characters_are_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        parse("rate=\x1b[2J")
    assert "\x1b" not in str(raised.value)

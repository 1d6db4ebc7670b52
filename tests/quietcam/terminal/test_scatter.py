"""Plots as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.terminal.scatter import Dot, scatter

DOTS = st.lists(
    st.tuples(st.floats(0.01, 1e4), st.floats(-20, 60)).map(lambda at: Dot("name", *at, "*")), min_size=1, max_size=9
)


def marks(lines: list[str], mark: str) -> list[tuple[int, int]]:
    """Rows, from below, and columns of a mark within the axes."""
    rows = [line.split("|", 1)[1] for line in lines if "|" in line][::-1]
    return [(row, column) for row, line in enumerate(rows) for column, cell in enumerate(line) if cell == mark]


@given(DOTS, st.integers(40, 120))
def test_it_is_plain_text_within_its_width(dots: list[Dot], width: int) -> None:
    lines = scatter(dots, "ms", "dB", width)
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert max(map(len, lines)) <= width
    assert 1 <= len(marks(lines, "*")) <= len(dots)


@given(
    st.tuples(st.floats(0.01, 1e4), st.floats(-20, 60)),
    st.tuples(st.floats(0.01, 1e4), st.floats(-20, 60)),
)
def test_slower_is_not_left_and_better_is_not_below(one: tuple[float, float], two: tuple[float, float]) -> None:
    lines = scatter([Dot("one", *one, "#"), Dot("two", *two, "*")], "ms", "dB")
    ((row_two, column_two),) = marks(lines, "*")
    for row, column in marks(lines, "#"):  # it lies under the other where they meet
        assert (column_two - column) * (two[0] - one[0]) >= 0
        assert (row_two - row) * (two[1] - one[1]) >= 0


def test_the_axis_is_logarithmic() -> None:
    dots = [Dot(f"of{x}", x, math.log(x), "*") for x in (1, 10, 100)]
    (_, one), (_, ten), (_, hundred) = sorted(marks(scatter(dots, "ms", "dB"), "*"))
    assert hundred - ten == pytest.approx(ten - one, abs=1)


def test_round_numbers_stand_below_their_place() -> None:
    lines = scatter([Dot("a", 1, 0, "*"), Dot("b", 10, 1, "*")], "ms", "dB")
    (_, column) = max(marks(lines, "*"))
    assert lines[-1][lines[0].find("dB") + 8 :][column : column + 2] == "10"
    assert lines[-1].endswith("ms")


def test_every_name_stands_beside_its_mark_where_there_is_room() -> None:
    lines = scatter([Dot("nano", 1, 32, "*"), Dot("small", 2, 35, "*"), Dot("base", 4, 34, "o")], "ms", "dB gained")
    assert lines[0] == "dB gained"
    text = "\n".join(lines)
    assert "* nano" in text
    assert "* small" in text
    assert "o base" in text or "base o" in text


def test_names_of_marks_at_one_place_do_not_overwrite_anything() -> None:
    lines = scatter([Dot(name, 1, 1, "*") for name in ("first", "second", "third", "fourth", "fifth")], "ms", "dB")
    text = "\n".join(lines)
    assert text.count("*") == 1
    assert all(name in text for name in ("first", "second", "third", "fourth"))


def test_nothing_has_no_plot() -> None:
    assert scatter([], "ms", "dB") == []

"""The frontier, against its definition tried on all pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietcam.quality.frontier import beaten_by

# Few values: ties and equal points happen often.
POINTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2), st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=9
)


def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
    not_worse = one[0] <= other[0] and one[1] >= other[1]
    return not_worse and (one[0] < other[0] or one[1] > other[1])


@given(POINTS)
def test_on_the_frontier_is_what_nothing_beats(points: dict[str, tuple[int, int]]) -> None:
    found = beaten_by(points)
    assert found.keys() == points.keys()
    for name, point in points.items():
        beating = [other for other, each in points.items() if beats(each, point)]
        assert (found[name] is None) is (not beating)
        if beating:
            assert found[name] in beating
            best = max(points[each][1] for each in beating)
            fastest = min(points[each][0] for each in beating if points[each][1] == best)
            assert points[found[name] or ""] == (fastest, best)


@given(POINTS)
def test_what_beats_is_itself_on_the_frontier(points: dict[str, tuple[int, int]]) -> None:
    found = beaten_by(points)
    assert all(found[each] is None for each in found.values() if each is not None)


def test_equal_ones_do_not_beat_each_other() -> None:
    assert beaten_by({"a": (1, 30), "b": (1, 30), "c": (1, 29.9)}) == {"a": None, "b": None, "c": "b"}

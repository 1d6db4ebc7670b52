"""A figure is compared with what it must be."""

from __future__ import annotations

import pytest

from benchmarks.network.quality.targets import TARGETS, Line, faster_than_peer


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (0.0, False, "missed by 0.20"),
        (0.2, False, "met, goal missed by 0.60"),
        (0.8, False, "met"),
        (0.1951, False, "met, goal missed by 0.60"),  # 0.20, as it is shown
        (0.1949, False, "missed by 0.01"),
        (0.9, True, "missed by 0.70"),
        (0.2, True, "met"),
    ],
)
def test_the_verdict_tells_how_far_it_is(value: float, at_most: bool, verdict: str) -> None:
    line = Line("dB", "native", value, 0.2, 0.2 if at_most else 0.8, at_most)
    assert line.verdict == verdict
    assert line.holds is verdict.startswith("met")


def test_a_figure_without_a_limit_holds() -> None:
    line = Line("dB", "native", -3.0)
    assert (line.verdict, line.holds) == ("", True)


def test_a_rounded_zero_has_no_sign() -> None:
    assert Line("dB", "native", -0.001).shown == "0.00"


@pytest.mark.parametrize(
    ("instructions", "threads", "must"),
    [
        ("AVX512 with VNNI", 2, 22.0),
        ("AVX2 with VNNI", 2, 22.0),
        ("AVX512 without VNNI", 2, 12.0),
        ("AVX2 without VNNI", 2, 12.0),
        ("AVX512 with VNNI", 1, None),
        ("NEON with dot products", 2, None),
    ],
)
def test_the_speed_that_is_asked_depends_on_the_instructions(
    instructions: str, threads: int, must: float | None
) -> None:
    assert faster_than_peer(TARGETS["small"], instructions, threads) == must
